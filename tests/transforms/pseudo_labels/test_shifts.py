"""The four shifted crops: multiples within a quarter of the crop, and where they lie."""

import numpy as np
import pytest
import torch

from common.transforms.pseudo_labels import crop, shifts


@pytest.mark.parametrize(
    ("size", "multiple", "steps"),
    [
        ((112, 112, 80), 16, (16, 16, 16)),
        ((96, 96, 96), 16, (16, 16, 16)),
        ((128, 64), 16, (32, 16)),
        ((64, 127), 16, (16, 16)),
        ((256, 191, 48), 16, (64, 32, 0)),
        ((56, 56, 40), 8, (8, 8, 8)),
    ],
)
def test_shifts_are_the_largest_multiples_within_a_quarter_of_the_crop(size, multiple, steps):
    found = shifts(size, multiple)
    assert (found.abs() == torch.tensor(steps)).all()
    assert len({tuple(shift) for shift in found.tolist()}) == 4
    assert (found.sum(dim=0) == 0).all(), "no direction is preferred"


def test_the_shifts_of_a_cube_are_equally_far_apart():
    found = shifts((96, 96, 96)).double()
    assert len({round(float(distance), 6) for distance in torch.pdist(found)}) == 1


@pytest.mark.parametrize("channels", [(), (2,)])
def test_a_crop_is_the_centre_moved_by_its_shift(channels: tuple[int, ...]):
    shape = (2, *channels, 9, 7, 6)
    image = torch.arange(int(np.prod(shape))).reshape(shape)
    found = crop(image, (3, 3, 4), torch.tensor([[0, 0, 0], [-3, 2, 1]]))
    whole = image.numpy()
    assert np.array_equal(found[0].numpy(), whole[0, ..., 3:6, 2:5, 1:5])
    assert np.array_equal(found[1].numpy(), whole[1, ..., 0:3, 4:7, 2:6])


@pytest.mark.parametrize("size", [(63, 63), (64, 63), (40, 63, 96)])
def test_a_crop_too_small_to_be_shifted_is_refused(size):
    with pytest.raises(ValueError, match=r"cannot be shifted in four directions .* of 16 .* two axes of at least 64,"):
        shifts(size)


def test_other_numbers_of_axes_are_refused():
    with pytest.raises(ValueError, match=r"two or three axes, got \[64\]"):
        shifts([64])


@pytest.mark.parametrize(
    ("shift", "message"),
    [
        ([[4, 0]], r"crops of \[4, 4\] inside images of \[10, 10\], got the shifts \[\[4, 0\]\]"),
        ([[0, -4]], r"crops of \[4, 4\] inside images"),
        ([[0]], r"shifts \(B, axes\) for crops of \[4, 4\], got \(1, 1, 10, 10\) and \(1, 1\)"),
        ([[0, 0], [0, 0]], r"got \(1, 1, 10, 10\) and \(2, 2\)"),
    ],
)
def test_wrong_crops_are_refused(shift, message):
    with pytest.raises(ValueError, match=message):
        crop(torch.zeros(1, 1, 10, 10), [4, 4], torch.tensor(shift))
