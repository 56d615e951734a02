"""Crops that show the same pixels at the places that their shifts say, drawn by key."""

import pytest
import torch
from scipy.stats import chisquare

from common.transforms.draws import key_of
from common.transforms.pseudo_labels import RandShiftedCropd, combine, shifts, surroundings


def batch(images: int, size: list[int]) -> dict[str, torch.Tensor]:
    """Every pixel of an image is another number, also as its label-set map."""
    count = int(torch.tensor(size).prod())
    image = 1 + torch.arange(count).reshape(1, 1, *size).repeat(images, *[1] * (1 + len(size)))
    label = image.repeat(1, 2, *[1] * len(size))
    return {"image": image.float(), "label": label, "index": torch.arange(images)}


def drawn(data: dict[str, torch.Tensor], size: list[int], multiple: int, key: int = 1) -> dict[str, torch.Tensor]:
    transform = RandShiftedCropd(size, multiple)
    transform.set_key(key_of(0, key))
    return transform(data)  # type: ignore[return-value]


@pytest.mark.parametrize(("size", "multiple"), [([32, 64], 8), ([16, 16, 32], 4)])
@pytest.mark.parametrize("larger", [True, False])
def test_both_crops_show_the_same_pixels_where_they_overlap(size: list[int], multiple: int, larger: bool):
    found = drawn(batch(8, surroundings(size, multiple) if larger else size), size, multiple)
    for name in ("image", "label"):
        fixed, shifted = found[name], found[f"shifted_{name}"]
        assert fixed.shape[2:] == shifted.shape[2:] == tuple(size)
        combined = combine(torch.zeros_like(fixed), shifted, found["shift"])
        overlap = combined != 0
        assert torch.equal(combined[overlap], fixed[overlap])
        share = torch.tensor([1 - abs(step) / side for step, side in zip(found["shift"][0], size, strict=True)]).prod()
        assert float(overlap.float().mean()) == pytest.approx(float(share))
        assert not torch.equal(fixed, shifted)


def test_an_image_of_the_size_of_the_crop_stays_and_what_is_beside_it_is_ignored():
    data = batch(4, [64, 64])
    data["image"] += 10 * torch.arange(4.0).view(-1, 1, 1, 1)
    found = drawn(data, [64, 64], 16)
    assert torch.equal(found["image"], data["image"])
    assert torch.equal(found["label"], data["label"])
    beside = found["shifted_label"] == 0
    assert float(beside.float().mean()) == pytest.approx(1 - 0.75**2)
    lowest = data["image"].amin(dim=(1, 2, 3), keepdim=True).expand_as(found["shifted_image"])
    assert torch.equal(found["shifted_image"][beside[:, :1]], lowest[beside[:, :1]]), "whatever else is in the batch"


def test_each_shift_is_drawn_equally_often_whatever_the_box():
    found = drawn(batch(4000, [8, 8]), [8, 8], 2)
    counts = [int((found["shift"] == shift).all(dim=1).sum()) for shift in shifts([8, 8], 2)]
    assert sum(counts) == 4000
    assert chisquare(counts).pvalue > 0.01
    boxed = (~found["cut"]).flatten(start_dim=1).float().mean(dim=1)
    of_shift = [boxed[(found["shift"] == shift).all(dim=1)].mean() for shift in shifts([8, 8], 2)]
    assert max(of_shift) - min(of_shift) < 0.05


def test_draws_depend_on_the_number_of_the_image_and_the_key_alone():
    data = batch(8, [16, 16])
    found, some = drawn(data, [16, 16], 4), [5, 2]
    again = drawn({name: value[some] for name, value in data.items()}, [16, 16], 4)
    for name in ("shift", "cut", "shifted_image"):
        assert torch.equal(again[name], found[name][some])
    assert not torch.equal(drawn(data, [16, 16], 4, key=2)["shift"], found["shift"])
