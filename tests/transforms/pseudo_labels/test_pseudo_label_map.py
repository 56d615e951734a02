"""Pseudo-labels decide what the annotation leaves open: check values, the definition, and what stays."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from common.datasets.prepared.pseudo_labels import fill_in
from common.label_set_map import drop_classes, known_classes, smallest_dtype
from common.label_sets import IGNORE, LabelSets
from common.losses import CategoricalCrossEntropyLoss, MarginalDiceLoss, MarginalLoss
from common.transforms.pseudo_labels import pseudo_label_map

CLASSES = ["background", "lv", "lvm", "la"]
STUDENT = torch.tensor([[1.0, 2, 0, -1], [0, 0, 0, 0], [2, -1, 1, 0], [-1, 0, 3, 1]]).T[None]
TEACHER = torch.tensor([[1.5, 1, 0, -1], [0, 1, 0, 0], [2, -1, 1, 1], [-1, 0, 2, 2]]).T[None]
NOTHING = LabelSets(CLASSES, {"a": {0: CLASSES}}).encode(torch.zeros(1, 4, dtype=torch.uint8), "a")[None]


@pytest.mark.parametrize("loss", [MarginalLoss(), CategoricalCrossEntropyLoss()], ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize(("learner", "other", "expected"), [(STUDENT, TEACHER, 0.862964), (TEACHER, STUDENT, 1.063270)])
def test_cross_pseudo_supervision_has_its_check_values(loss, learner, other, expected):
    """Of images without annotation; ties go to the lower class (pixels 2 of one and 4 of the other network)."""
    found = loss(learner, pseudo_label_map(NOTHING, other))
    torch.testing.assert_close(found.item(), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(found, cross_entropy(learner, other.argmax(dim=1)))


def test_an_image_without_annotation_becomes_fully_annotated():
    full = LabelSets(CLASSES, {"a": dict(enumerate(CLASSES))})
    assert torch.equal(pseudo_label_map(NOTHING, TEACHER), full.encode(torch.tensor([[0, 1, 0, 2]]), "a")[None])


def pixel_by_pixel(admitted: int, annotated: int, scores: np.ndarray) -> tuple[int, int]:
    """Choose among the admitted classes in order, each only if it beats those before it."""
    candidates = [c for c in range(len(scores)) if admitted >> c & 1]
    if len(candidates) < 2:
        return admitted, annotated
    best = candidates[0]
    for c in candidates:
        if scores[c] > scores[best]:
            best = c
    for c in candidates:
        annotated |= 1 << c
    return 1 << best, annotated


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.data())
def test_it_equals_its_definition_pixel_by_pixel(data):
    num_classes = data.draw(st.sampled_from([2, 3, 8, 15, 31, 63]))
    size = data.draw(st.sampled_from([(6,), (3, 4), (2, 3, 2)]))
    dtype = data.draw(st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32 - 1)))
    names = ["background", *(f"class_{c}" for c in range(1, num_classes))]
    classes = torch.randint(0, num_classes + 1, (2, *size), generator=generator)
    full = LabelSets(names, {"full": {**dict(enumerate(names)), num_classes: IGNORE}})
    drop = torch.rand(2, num_classes, generator=generator) < 0.5
    drop[:, 0] = False
    target = drop_classes(torch.stack([full.encode(one[None], "full") for one in classes]), drop)
    assert target.dtype == smallest_dtype(num_classes)
    scores = torch.randint(-2, 3, (2, num_classes, *size), generator=generator).to(dtype)  # ties are frequent
    scores[torch.rand(scores.shape, generator=generator) < 0.3] = -torch.inf

    found = pseudo_label_map(target, scores)
    flat = [one.movedim(1, -1).flatten(end_dim=-2) for one in (target.long(), scores.double(), found.long())]
    expected = [pixel_by_pixel(*bits.tolist(), own.numpy()) for bits, own in zip(*flat[:2], strict=True)]
    assert [tuple(bits) for bits in flat[2].tolist()] == expected
    assert found.dtype == target.dtype
    finite = scores.clamp(min=-3)
    of_teacher = fill_in(finite, target)  # the rule of prepared pseudo-labels
    assert torch.equal(known_classes(pseudo_label_map(target, finite), num_classes), of_teacher * (of_teacher != 255))


def test_annotated_and_ignored_pixels_stay_as_they_are():
    target = torch.tensor([[[0b0010, 0b0001, 0, 0b1101], [0b0010, 0b1111, 0, 0b0010]]])
    scores = torch.zeros(1, 4, 4)
    scores[:, 3] = 9  # of la, everywhere
    found = pseudo_label_map(target, scores)
    assert torch.equal(found[..., :3], target[..., :3])
    assert found[0, :, 3].tolist() == [0b1000, 0b1111]


def test_classes_that_the_annotation_excludes_keep_their_bit():
    """A wall that a dataset does not divide: `la`, which it never outlines, is neither admitted nor annotated."""
    partial = LabelSets(CLASSES, {"wall": {0: ["background", "la"], 1: ["lv", "lvm"]}})
    target = partial.encode(torch.tensor([[1]]), "wall")[None]
    assert target.flatten().tolist() == [0b0110, 0b0000]
    assert pseudo_label_map(target, torch.tensor([[[5.0], [1], [2], [9]]])).flatten().tolist() == [0b0100, 0b0110]


def test_a_pixel_whose_scores_are_not_numbers_stays_ambiguous():
    target = torch.tensor([[[0b1111, 0b0011], [0b0000, 0b1100]]])
    scores = torch.tensor([[[1.0, 1], [2, 2], [3, 3], [torch.nan, torch.nan]]])
    assert pseudo_label_map(target, scores).tolist() == [[[0b1111, 0b0010], [0b0000, 0b1111]]]


def test_impossible_scores_still_choose_an_admitted_class():
    target = torch.tensor([[[0b0110], [0b0000]]])
    assert pseudo_label_map(target, torch.full((1, 4, 1), -torch.inf)).flatten().tolist() == [0b0010, 0b0110]


def test_a_single_admitted_class_does_not_become_annotated():
    target = torch.tensor([[[0b0010], [0b0000]]])
    assert torch.equal(pseudo_label_map(target, torch.zeros(1, 4, 1)), target)


def test_it_is_a_fixed_point():
    once = pseudo_label_map(NOTHING, TEACHER)
    assert torch.equal(pseudo_label_map(once, STUDENT), once)


def test_logits_and_probabilities_choose_alike():
    assert torch.equal(pseudo_label_map(NOTHING, TEACHER), pseudo_label_map(NOTHING, TEACHER.double().softmax(dim=1)))


def test_losses_count_the_pseudo_labels_without_a_gradient_for_their_network():
    logits, other = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    assert MarginalDiceLoss()(STUDENT, NOTHING) == 0
    loss = MarginalDiceLoss()(logits, pseudo_label_map(NOTHING, other))
    loss.backward()
    assert loss > 0
    assert (logits.grad.abs() > 0).all()
    assert other.grad is None


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match=r"expected a label-set map \(1, 2, 4\) for logits \(1, 4, 4\)"):
        pseudo_label_map(NOTHING[:, :1], TEACHER)
    with pytest.raises(TypeError, match=r"floating-point logits as input, got torch.int64"):
        pseudo_label_map(NOTHING, TEACHER.long())
