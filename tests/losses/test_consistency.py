"""The consistency of two networks: check values by hand, its plain definition, and what does not count."""

import math

import pytest
import torch

from common.label_sets import LabelSets
from common.losses import MarginalLoss
from common.losses.consistency import consistency

CLASSES = ["background", "lv", "lvm", "la"]
STUDENT = torch.tensor([[1.0, 2, 0, -1], [0, 0, 0, 0], [2, -1, 1, 0], [-1, 0, 3, 1]]).T[None]
TEACHER = torch.tensor([[1.5, 1, 0, -1], [0, 1, 0, 0], [2, -1, 1, 1], [-1, 0, 2, 2]]).T[None]
LV = LabelSets(CLASSES, {"a": {0: "background", 1: "lv"}}).encode(torch.tensor([[1, 0, 0, 0]]), "a")[None]
NOTHING = LabelSets(CLASSES, {"a": {0: CLASSES}}).encode(torch.zeros(1, 4, dtype=torch.uint8), "a")[None]


def test_the_check_values():
    """From the equations of Filbrandt et al., 2021, with the annotation of the left ventricle alone."""
    distance = consistency(STUDENT, TEACHER, LV)
    torch.testing.assert_close(distance.sum().item(), 0.538452, atol=1e-6, rtol=0)
    torch.testing.assert_close(distance.mean().item(), 0.134613, atol=1e-6, rtol=0)
    both = MarginalLoss("none")(STUDENT, LV) + distance
    torch.testing.assert_close(both.sum().item(), 1.341159, atol=1e-6, rtol=0)
    torch.testing.assert_close(both.mean().item(), 0.335290, atol=1e-6, rtol=0)


def probabilities(logits: list[float], activation: str) -> list[float]:
    if activation == "sigmoid":
        return [1 / (1 + math.exp(-z)) for z in logits[1:]]
    return [math.exp(z) / sum(map(math.exp, logits)) for z in logits]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("spatial", [(4,), (2, 2), (1, 2, 2)])
def test_it_equals_its_definition_in_every_dimension(activation: str, spatial: tuple[int, ...]):
    expected = []
    for student, teacher in zip(STUDENT[0].T.tolist(), TEACHER[0].T.tolist(), strict=True):
        pair = zip(probabilities(student, activation), probabilities(teacher, activation), strict=True)
        expected.append(sum((p - q) ** 2 for p, q in pair))
    own, other = (one.reshape(1, 4, *spatial) for one in (STUDENT, TEACHER))
    found = consistency(own, other, LV.reshape(1, 2, *spatial), activation)
    torch.testing.assert_close(found, torch.tensor(expected).reshape(1, *spatial))


def test_annotation_does_not_matter():
    assert torch.equal(consistency(STUDENT, TEACHER, LV), consistency(STUDENT, TEACHER, NOTHING))


def test_ignored_pixels_cost_nothing_and_have_no_gradient():
    target = LV.clone()
    target[..., 0] = 0
    logits = STUDENT.clone().requires_grad_()
    distance = consistency(logits, TEACHER, target)
    distance.sum().backward()
    assert distance[0, 0] == 0
    assert (logits.grad[..., 0] == 0).all()
    assert (logits.grad[..., 1:].abs().sum(dim=1) > 0).all()


def test_the_background_logit_of_sigmoids_does_not_count():
    moved = STUDENT.clone()
    moved[:, 0] += 5
    before, after = (consistency(one, TEACHER, LV, "sigmoid") for one in (STUDENT, moved))
    assert torch.equal(before, after)


def test_half_precision_is_computed_in_full():
    found = consistency(STUDENT.bfloat16(), TEACHER.bfloat16(), LV)
    torch.testing.assert_close(found, consistency(STUDENT, TEACHER, LV))  # these logits are exact in bfloat16
