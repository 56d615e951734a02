"""A flip exchanges left and right, in the image and in every bit of the label-set map, in 2-D and 3-D."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.label_set_map import admitted, annotated, drop_classes, exchange_classes
from common.label_sets import LabelSets
from common.transforms import EncodeLabelSetsd, RandFlipd

CLASSES = ["background", "left", "middle", "right"]
PAIRS = [["left", "right"]]
LABELS = LabelSets(
    CLASSES,
    {
        "all": [["background"], ["left"], ["middle"], ["right"]],
        "left_only": [["background", "right"], ["left"]],
        "sides": [["background"], ["left", "right"], ["middle"]],
    },
)
MIRRORED = LabelSets(
    CLASSES,
    {
        "all": [["background"], ["right"], ["middle"], ["left"]],
        "left_only": [["background", "left"], ["right"]],
        "sides": [["background"], ["left", "right"], ["middle"]],
    },
)


def batch(shape: tuple[int, ...], count: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    label = torch.stack(
        [torch.randint(0, values, (1, *shape), generator=generator, dtype=torch.uint8) for values in (4, 2, 3)][:count]
    )
    image = torch.rand(count, 1, *shape, generator=generator)
    return {"image": image, "label": label, "dataset": torch.arange(count), "index": torch.arange(count)}


@pytest.mark.parametrize("shape", [(5, 6), (4, 5, 6)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_flip_equals_mirroring_the_annotation_and_exchanging_its_meaning(shape: tuple[int, ...], axis: int):
    """By another route: values of flipped annotations, encoded with left and right exchanged in the label sets."""
    data = batch(shape)
    result = RandFlipd(axis, CLASSES, PAIRS, prob=1.0)(EncodeLabelSetsd(LABELS)(data))
    expected = EncodeLabelSetsd(MIRRORED)({**data, "label": data["label"].flip(2 + axis)})
    assert torch.equal(result["label"], expected["label"])
    assert torch.equal(result["image"], data["image"].flip(2 + axis))
    assert result["label"].dtype == expected["label"].dtype


def test_without_pairs_only_places_change():
    data = EncodeLabelSetsd(LABELS)(batch((4, 4)))
    result = RandFlipd(1, CLASSES, None, prob=1.0)(data)
    assert torch.equal(result["label"], data["label"].flip(3))


@pytest.mark.parametrize(
    ("classes", "given", "message"),
    [
        (["liver", "kidney_left", "kidney_right"], [], r'--exchanged "\[\[kidney_left, kidney_right\]\]"'),
        (
            ["left_a", "right_a", "B_R", "B_L"],
            [["right_a", "left_a"]],
            r'--exchanged "\[\[right_a, left_a\], \[B_L, B_R\]\]"',
        ),
    ],
)
def test_sides_that_do_not_exchange_are_refused(classes: list[str], given: list[list[str]], message: str):
    with pytest.raises(ValueError, match=r"a network would learn that sides do not matter. State " + message):
        RandFlipd(0, ["background", *classes], given)
    RandFlipd(0, ["background", *classes], given, prob=0.0)
    RandFlipd(1, ["background", *classes], None)


def test_two_flips_give_the_batch_back_and_leave_the_input_alone():
    data = EncodeLabelSetsd(LABELS)(batch((4, 5, 6)))
    kept = {key: value.clone() for key, value in data.items()}
    flip = RandFlipd(0, CLASSES, PAIRS, prob=1.0)
    twice = flip(flip(data))
    assert all(torch.equal(twice[key], kept[key]) and torch.equal(data[key], kept[key]) for key in kept)


def test_each_image_flips_by_its_own_number_with_the_probability():
    data = EncodeLabelSetsd(LABELS)(batch((3, 3), count=1))
    many = {key: value.repeat_interleave(2000, dim=0) for key, value in data.items()} | {"index": torch.arange(2000)}
    flip = RandFlipd(1, CLASSES, PAIRS, prob=0.3)
    flip.set_key(4)
    result = flip(many)
    flipped = (result["image"] != many["image"]).flatten(1).any(dim=1)
    assert float(flipped.float().mean()) == pytest.approx(0.3, abs=0.04)
    some = {key: value[[7, 3, 900]] for key, value in many.items()}
    assert torch.equal(flip(some)["label"], result["label"][[7, 3, 900]])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([torch.uint8, torch.int16, torch.int64]))
def test_exchanging_permutes_the_classes_and_commutes_with_dropping(seed: int, dtype: torch.dtype):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 128, (2, 2, 9), generator=generator).to(dtype)
    pairs, order = [(1, 4), (6, 2)], [0, 4, 6, 3, 1, 5, 2]
    result = exchange_classes(target, pairs)
    assert result.dtype == dtype
    for part in (admitted, annotated):
        assert torch.equal(part(result, 7), part(target, 7)[:, order])
    drop = torch.rand(2, 7, generator=generator) < 0.4
    drop[:, 0] = False
    assert torch.equal(drop_classes(result, drop[:, order]), exchange_classes(drop_classes(target, drop), pairs))
    assert torch.equal(exchange_classes(result, pairs), target)


def test_the_highest_class_of_an_int64_is_exchanged_too():
    target = torch.tensor([[[1 << 62], [3]]])
    assert exchange_classes(target, [(0, 62)]).tolist() == [[[1], [(1 << 62) + 2]]]


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match=r"probability of a flip from 0 to 1, got 2"):
        RandFlipd(0, CLASSES, prob=2)
    with pytest.raises(ValueError, match=r"classes among \['left', 'middle', 'right'\], got \['left', 'top'\]"):
        RandFlipd(0, CLASSES, [["left", "top"]])
    with pytest.raises(ValueError, match=r"each class in one pair at most, got the pairs \[\(1, 3\), \(3, 2\)\]"):
        RandFlipd(0, CLASSES, [["left", "right"], ["right", "middle"]])
    with pytest.raises(ValueError, match=r"expected label-set maps \(B, 2, \*spatial\), got \(3, 1, 4, 4\); encode"):
        RandFlipd(0, CLASSES, PAIRS)(batch((4, 4)))
