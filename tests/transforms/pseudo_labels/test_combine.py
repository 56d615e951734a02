"""Dynamic pseudo-labels: check values, the definition voxel by voxel, and what they may not change."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.transforms.pseudo_labels import combine, crop, pseudo_label_map

FIXED, TEMPORARY = torch.tensor([[103, 104, 105, 106]]), torch.tensor([[200, 201, 202, 203]])


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        (2, [103, 104, 200, 201]),  # the second crop is of pixels 5 to 8
        (-1, [201, 202, 203, 106]),
        (-3, [203, 104, 105, 106]),
        (0, [200, 201, 202, 203]),
        (4, [103, 104, 105, 106]),
        (-4, [103, 104, 105, 106]),
        (9, [103, 104, 105, 106]),
        (-9, [103, 104, 105, 106]),
    ],
)
def test_the_check_values(shift: int, expected: list[int]):
    assert combine(FIXED, TEMPORARY, torch.tensor([[shift]])).tolist() == [expected]


def voxel_by_voxel(fixed: np.ndarray, temporary: np.ndarray, shift: list[list[int]]) -> np.ndarray:
    """Ask each voxel of the fixed crop whether the shifted crop holds it."""
    dynamic = fixed.copy()
    for image, steps in enumerate(shift):
        size = fixed.shape[-len(steps) :]
        for voxel in itertools.product(*map(range, size)):
            other = tuple(place - step for place, step in zip(voxel, steps, strict=True))
            if all(0 <= place < length for place, length in zip(other, size, strict=True)):
                dynamic[(image, ..., *voxel)] = temporary[(image, ..., *other)]
    return dynamic


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.data())
def test_it_equals_its_definition_voxel_by_voxel_in_every_dimension(data):
    axes = data.draw(st.integers(1, 4))
    size = data.draw(st.lists(st.integers(1, 4), min_size=axes, max_size=axes))
    channels = data.draw(st.sampled_from([[], [2]]))
    shift = data.draw(
        st.lists(st.lists(st.integers(-5, 5), min_size=axes, max_size=axes), min_size=1, max_size=3).map(torch.tensor)
    )
    shape = [len(shift), *channels, *size]
    fixed = torch.arange(np.prod(shape)).reshape(shape)
    temporary = fixed + 1000
    expected = voxel_by_voxel(fixed.numpy(), temporary.numpy(), shift.tolist())
    found = combine(fixed, temporary, shift)
    assert np.array_equal(found.numpy(), expected)
    assert np.array_equal(fixed.numpy(), np.arange(np.prod(shape)).reshape(shape)), "the arguments stay as they are"


def test_crops_of_the_same_pseudo_labels_combine_to_the_fixed_crop():
    patch = torch.randint(0, 9, (3, 2, 12, 10), generator=torch.Generator().manual_seed(0))
    shift = torch.tensor([[3, -2], [-4, 3], [0, 1]])
    fixed, shifted = crop(patch, [4, 4], torch.zeros_like(shift)), crop(patch, [4, 4], shift)
    assert torch.equal(combine(fixed, shifted, shift), fixed)
    assert not torch.equal(combine(fixed, shifted, -shift), fixed), "the direction of the shift matters"


def test_pseudo_labels_of_partial_labels_change_at_ambiguous_pixels_alone():
    generator = torch.Generator().manual_seed(0)
    codes = torch.tensor([[0b001, 0b111], [0b010, 0b111], [0b110, 0b001], [0b101, 0b010], [0b111, 0], [0, 0]])
    patch = codes[torch.randint(0, len(codes), (2, 16, 16), generator=generator)].movedim(-1, 1)
    shift = torch.tensor([[2, -2], [-4, 4]])
    maps = [crop(patch, [8, 8], by) for by in (torch.zeros_like(shift), shift)]
    labels = [pseudo_label_map(one, torch.randn(2, 3, 8, 8, generator=generator)) for one in maps]
    dynamic = combine(*labels, shift)
    decided = (maps[0][:, 0] & (maps[0][:, 0] - 1) == 0).unsqueeze(1).expand_as(dynamic)
    assert torch.equal(dynamic[decided], maps[0][decided])
    assert (dynamic[:, 0] & ~maps[0][:, 0] == 0).all(), "only admitted classes are chosen"
    assert not torch.equal(dynamic, labels[0])


@pytest.mark.parametrize(
    ("fixed", "temporary", "shift", "message"),
    [
        (FIXED, TEMPORARY[:, 1:], [[1]], r"one shape and dtype, got torch.int64 \(1, 4\) and torch.int64 \(1, 3\)"),
        (FIXED, TEMPORARY.int(), [[1]], r"one shape and dtype, .* torch.int32"),
        (FIXED, TEMPORARY, [[1], [1]], r"integer shifts \(B, axes\), .* got torch.int64 \(2, 1\)"),
        (FIXED, TEMPORARY, [1], r"integer shifts \(B, axes\), .* got torch.int64 \(1,\)"),
        (FIXED, TEMPORARY, [[1, 1]], r"integer shifts .* \(1, 2\) for pseudo-labels \(1, 4\)"),
        (FIXED, TEMPORARY, [[0.5]], r"integer shifts .* torch.float32"),
        (torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4), [[1]], r"for pseudo-labels \(1, 2, 4, 4\)"),
    ],
)
def test_wrong_use_is_refused(fixed, temporary, shift, message):
    with pytest.raises(ValueError, match=message):
        combine(fixed, temporary, torch.tensor(shift))
