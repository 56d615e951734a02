"""Values computed by hand and by independent code: four pixels, classes background, LV, LVM, LA."""

import math

import pytest
import torch

from common.label_set_map import admitted
from common.label_sets import LabelSets
from common.losses import (
    AdaptiveBCELoss,
    AdaptiveCrossEntropyLoss,
    CategoricalCrossEntropyLoss,
    ExclusionLoss,
    LeafDiceLoss,
    MarginalDiceLoss,
    MarginalLoss,
    SumLoss,
)

CLASSES = ["background", "lv", "lvm", "la"]
SETS = LabelSets(
    CLASSES,
    {
        "full": [["background"], ["lv"], ["lvm"], ["la"]],
        "lv": [["background", "lvm", "la"], ["lv"]],
        "lv_lvm": [["background", "la"], ["lv"], ["lvm"]],
        "nothing": [CLASSES],
    },
)
# The truth is 1, 2, 0, 2; a class that the dataset does not annotate is stored as 0.
STORED = {"lv": [1, 0, 0, 0], "lv_lvm": [1, 2, 0, 2], "nothing": [0, 0, 0, 0]}
LOGITS = torch.tensor([[1.0, 2, 0, -1], [0, 0, 0, 0], [2, -1, 1, 0], [-1, 0, 3, 1]]).T[None]


def target(dataset):
    return SETS.encode(torch.tensor([STORED[dataset]]), dataset)[None]


TABLE = [
    (MarginalLoss(), 0.200677, 0.581232, 0.0),
    (AdaptiveCrossEntropyLoss("masked_softmax"), 0.592064, 0.480279, 0.0),
    (AdaptiveCrossEntropyLoss("annotated_foreground"), 0.110047, 0.502917, 0.0),
    (AdaptiveCrossEntropyLoss("literal"), 1.612964, 0.612964, 1.862964),
    (CategoricalCrossEntropyLoss(), 1.612964, 0.612964, 1.862964),
    (AdaptiveBCELoss(), 0.456621, 1.143657, 0.0),
    (MarginalDiceLoss(), 0.345397, 0.355236, 0.0),
    (MarginalDiceLoss(include_background=True), 0.229018, 0.384681, 0.0),
    (ExclusionLoss(), 0.092930, 0.193332, 0.0),
    (SumLoss([MarginalLoss(), MarginalDiceLoss()], [1.0, 2.0]), 0.200677 + 2 * 0.345397, 0.581232 + 2 * 0.355236, 0.0),
]


@pytest.mark.parametrize("column", range(3), ids=STORED)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: repr(row[0]).split("(")[0])
def test_the_loss_has_its_check_value(row, column):
    # half a unit of the last digit of the table, two where the digits of two losses are added
    torch.testing.assert_close(row[0](LOGITS, target(list(STORED)[column])).item(), row[1 + column], atol=2e-6, rtol=0)


def test_the_marginal_loss_of_each_pixel_has_its_check_value():
    expected = torch.tensor([[0.440190, 0.287682, 0.032584, 0.042251]])
    torch.testing.assert_close(MarginalLoss("none")(LOGITS, target("lv")), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("dataset", "wrong"), [("lv", (0.221703, 0.425185)), ("lv_lvm", (0.445523, 0.854312))])
def test_logits_are_not_merged_and_the_softmax_is_not_taken_twice(dataset, wrong):
    loss = MarginalLoss()(LOGITS, target(dataset)).item()
    assert min(abs(loss - number) for number in wrong) > 0.01


@pytest.mark.parametrize(("dataset", "published"), [("lv", 0.092934), ("lv_lvm", 0.193334)])
def test_the_exclusion_loss_differs_from_the_published_code_by_its_smoothing_only(dataset, published):
    probability = LOGITS.softmax(dim=1)[:, 1:]
    impossible = (~admitted(target(dataset), 4))[:, 1:].float()
    overlap, size = (probability * impossible).sum(dim=2), probability.sum(dim=2) + impossible.sum(dim=2)
    smooth = ((2 * overlap + 1e-5) / (size + 1e-5)).mean().item()
    assert smooth == pytest.approx(published, abs=5e-7)
    assert ExclusionLoss()(LOGITS, target(dataset)).item() == pytest.approx(smooth, abs=5e-6)


@pytest.mark.parametrize("gap", [0.0, 1.0, 31.0, 32.0, 60.0, 88.0, 200.0])
def test_a_certain_but_wrong_structure_costs_its_logit(gap):
    logits = torch.tensor([0.0, gap, 0.0, 0.0]).reshape(1, 4, 1).requires_grad_()
    loss = MarginalLoss()(logits, SETS.encode(torch.tensor([[0]]), "lv")[None])
    loss.backward()
    assert loss.item() == pytest.approx(math.log(3 + math.exp(gap)) - math.log(3))
    wrong = math.exp(gap) / (3 + math.exp(gap))  # probability of the structure
    expected = torch.tensor([-wrong / 3, wrong, -wrong / 3, -wrong / 3]).reshape(1, 4, 1)
    torch.testing.assert_close(logits.grad, expected)


def test_the_extreme_of_the_table():
    logits = torch.tensor([0.0, 60.0, 0.0, 0.0]).reshape(1, 4, 1)
    assert MarginalLoss()(logits, SETS.encode(torch.tensor([[0]]), "lv")[None]).item() == pytest.approx(
        58.901, abs=5e-4
    )


# Cases that the table leaves out


def test_members_of_a_superclass_are_admitted_together():
    sets = LabelSets(CLASSES, {"full": SETS.label_sets["full"], "whole": [["background"], ["lv", "lvm"], ["la"]]})
    logits = torch.tensor([1.0, 2.0, 3.0, 4.0]).log().reshape(1, 4, 1)  # probabilities .1 .2 .3 .4
    whole = sets.encode(torch.tensor([[1]]), "whole")[None]
    assert MarginalLoss()(logits, whole).item() == pytest.approx(-math.log(0.5))
    assert AdaptiveCrossEntropyLoss("masked_softmax")(logits, whole).item() == pytest.approx(-math.log(0.5))
    assert AdaptiveCrossEntropyLoss("annotated_foreground")(logits, whole).item() == pytest.approx(-math.log(0.5))
    assert CategoricalCrossEntropyLoss()(logits, whole).item() == pytest.approx(-math.log(0.2))
    # only the left atrium is counted, and it is absent: log(1 + e^log 4)
    assert AdaptiveBCELoss()(logits, whole).item() == pytest.approx(math.log(5))
    assert AdaptiveBCELoss(exclusive_negatives=True)(logits, whole).item() == pytest.approx(math.log(5))
    # impossible: the left atrium, with probability .4 at the only pixel
    assert ExclusionLoss()(logits, whole).item() == pytest.approx((2 * 0.4 / 1.4) / 3)
    # no pixel admits a single class
    assert LeafDiceLoss()(logits, whole).item() == 0


def test_exclusive_negatives_add_unannotated_structures_inside_annotated_ones_only():
    per_pixel = AdaptiveBCELoss(exclusive_negatives=True, reduction="none")(LOGITS, target("lv"))[0]
    plain = AdaptiveBCELoss(reduction="none")(LOGITS, target("lv"))[0]
    certain = sum(math.log1p(math.exp(z)) for z in (0.0, -1.0))  # LVM and LA at the one pixel annotated as LV
    torch.testing.assert_close(per_pixel - plain, torch.tensor([certain, 0.0, 0.0, 0.0]))
