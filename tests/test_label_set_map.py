"""One-hot masks as label-set maps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import one_hot

from common.label_set_map import drop_classes, from_one_hot, smallest_dtype
from common.label_sets import IGNORE, LabelSets

KINDS = [torch.bool, torch.uint8, torch.int16, torch.int64, torch.float16, torch.float32, torch.float64]


def channels(classes: torch.Tensor, num_classes: int) -> torch.Tensor:
    """One channel per class of integer classes (B, *spatial); all zero where the class is `num_classes`."""
    return one_hot(classes, num_classes + 1)[..., :num_classes].movedim(-1, 1)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_one_hot_masks_equal_integers_that_are_encoded_and_dropped(data):
    num_classes = data.draw(st.sampled_from([2, 3, 8, 9, 16, 32, 63]))
    kind = data.draw(st.sampled_from(KINDS))
    shape = data.draw(st.sampled_from([(2, 5), (2, 3, 4), (2, 2, 2, 3)]))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32 - 1)))
    classes = torch.randint(0, num_classes + 1, shape, generator=generator)
    annotated = torch.rand(2, num_classes, generator=generator) < 0.6
    names = ["background", *(f"class_{c}" for c in range(1, num_classes))]
    labels = LabelSets(names, {"full": {**dict(enumerate(names)), num_classes: IGNORE}})
    encoded = torch.stack([labels.encode(one[None], "full") for one in classes])
    drop = ~annotated
    drop[:, 0] = False
    expected = drop_classes(encoded, drop)
    result = from_one_hot(channels(classes, num_classes).to(kind), annotated)
    assert result.dtype == expected.dtype == smallest_dtype(num_classes)
    assert torch.equal(result, expected)


def test_a_channel_that_is_not_annotated_may_hold_anything():
    annotated = torch.tensor([[False, True, False]])
    drawn = channels(torch.tensor([[0, 1, 2]]), 3)
    hidden = channels(torch.tensor([[0, 1, 0]]), 3)
    assert torch.equal(from_one_hot(drawn, annotated), from_one_hot(hidden, annotated))


def test_the_entry_of_background_has_no_effect():
    masks = channels(torch.tensor([[0, 1, 2]]), 3)
    for rest in ([True, True], [True, False]):
        one, other = (from_one_hot(masks, torch.tensor([[background, *rest]])) for background in (True, False))
        assert torch.equal(one, other)


def test_the_arguments_are_not_changed():
    masks, annotated = channels(torch.tensor([[0, 1]]), 2), torch.tensor([[False, False]])
    before = masks.clone()
    from_one_hot(masks, annotated)
    assert torch.equal(masks, before)
    assert not annotated.any()


@pytest.mark.parametrize(
    ("masks", "annotated", "message"),
    [
        ([[[1, 0], [1, 1]]], [[True, True]], r"sample 0 has pixels of several classes, among the channels \[0, 1\]"),
        (
            [[[1, 0], [0, 1], [0, 0]], [[0, 0], [1, 0], [1, 1]]],
            [[True] * 3] * 2,
            r"sample 1 has pixels of several classes, among the channels \[1, 2\]; classes exclude each other",
        ),
        ([[[1, 2], [0, 0]]], [[True, True]], r"masks of 0 and 1, got the value 2\."),
        ([[[1.0, 0.5], [0.0, 0.0]]], [[True, True]], r"masks of 0 and 1, got the value 0\.5\."),
        ([[[1.0, float("nan")], [0.0, 0.0]]], [[True, True]], r"masks of 0 and 1, got the value nan\."),
        ([[1, 0]], [[True, True]], r"masks \(B, C, \*spatial\) and .* \(B, C\), got \(1, 2\) and torch.bool \(1, 2\)"),
        ([[[1], [0]]], [[True]], r"got \(1, 2, 1\) and torch.bool \(1, 1\)"),
        ([[[1], [0]]], [[1, 1]], r"got \(1, 2, 1\) and torch.int64 \(1, 2\)"),
    ],
)
def test_wrong_masks_are_refused(masks, annotated, message):
    with pytest.raises(ValueError, match=message):
        from_one_hot(torch.tensor(masks), torch.tensor(annotated))


def test_more_classes_than_bits_are_refused():
    with pytest.raises(ValueError, match=r"expected at most 63 classes, .* got 64"):
        from_one_hot(torch.zeros(1, 64, 2), torch.ones(1, 64, dtype=torch.bool))
