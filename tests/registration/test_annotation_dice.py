"""Agreement is Dice where both annotate a class, in whichever order they are given."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.label_set_map import known_masks
from common.label_sets import LabelSets
from common.registration.annotation_dice import agreement_dice, encode_annotation

CLASSES = ["background", "lv_cavity", "lv_myocardium", "left_atrium"]
LABELS = LabelSets(
    CLASSES,
    {
        "full": [[name] for name in CLASSES],
        "lv_only": [["background", "lv_myocardium", "left_atrium"], ["lv_cavity"]],
    },
)
VALUES = arrays(np.uint8, (4, 5), elements=st.integers(0, 3))


def full(values: np.ndarray, unlabelled: tuple[str, ...] = ()) -> torch.Tensor:
    return encode_annotation(values, LABELS, "full", unlabelled)


@given(VALUES, VALUES)
def test_full_annotations_have_the_dice_of_the_textbook(one: np.ndarray, other: np.ndarray):
    measured = agreement_dice(full(one), full(other), 4)
    for index, value in enumerate(measured):
        here, there = {*np.flatnonzero(one == index)}, {*np.flatnonzero(other == index)}
        expected = 2 * len(here & there) / (len(here) + len(there)) if here or there else math.nan
        assert value == pytest.approx(expected, nan_ok=True)
    assert agreement_dice(full(other), full(one), 4) == pytest.approx(measured, nan_ok=True)


def test_a_class_that_only_one_of_them_shows_scores_nothing():
    one, other = np.zeros((2, 2), np.uint8), np.full((2, 2), 3, np.uint8)
    assert agreement_dice(full(one), full(other), 4)[3] == 0.0


@pytest.mark.parametrize("first", [True, False])
def test_a_class_that_one_of_them_does_not_annotate_is_undefined(first: bool):
    values = np.array([[0, 1], [2, 3]], np.uint8)
    partial = encode_annotation((values == 1).astype(np.uint8), LABELS, "lv_only")
    pair = (partial, full(values)) if first else (full(values), partial)
    assert agreement_dice(*pair, 4) == pytest.approx([math.nan, 1.0, math.nan, math.nan], nan_ok=True)


def test_what_an_image_leaves_out_although_its_dataset_does_not_is_undefined():
    values = np.array([[0, 1], [0, 3]], np.uint8)
    dice = agreement_dice(full(values, ("lv_myocardium",)), full(np.array([[2, 1], [2, 3]], np.uint8)), 4)
    assert dice == pytest.approx([math.nan, 1.0, math.nan, 1.0], nan_ok=True)


@given(VALUES)
def test_every_pixel_of_a_full_annotation_is_of_one_class(values: np.ndarray):
    masks = known_masks(full(values)[None], 4)[0]
    np.testing.assert_array_equal(masks.int().argmax(dim=0), values)
    assert (masks.sum(dim=0) == 1).all()


def test_a_value_without_meaning_is_named():
    with pytest.raises(ValueError, match=r"annotation of 'full' holds the values \[9\]"):
        full(np.full((2, 2), 9, np.uint8))
