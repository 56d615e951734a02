"""The mean over the pixels whose annotation says something, for sparse annotations."""

import pytest
import torch
from torch.nn import functional

from common.label_sets import LabelSets
from common.losses import (
    AdaptiveBCELoss,
    AdaptiveCrossEntropyLoss,
    CategoricalCrossEntropyLoss,
    MarginalDiceCELoss,
    MarginalDiceLoss,
    MarginalLoss,
)

CLASSES = ["background", "one", "two"]
EMPTY = 3  # a pixel that nobody looked at
SETS = LabelSets(CLASSES, {"scribbles": {0: "background", 1: "one", 2: "two", EMPTY: CLASSES}})
OF_PIXELS = [MarginalLoss, CategoricalCrossEntropyLoss, AdaptiveCrossEntropyLoss, AdaptiveBCELoss, MarginalDiceCELoss]


def scribbles() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return logits, annotation with 1 % of the pixels scribbled on, and label-set map."""
    generator = torch.Generator().manual_seed(0)
    label = torch.full((2, 1, 40, 40), EMPTY)
    for image in label:
        image.view(-1)[torch.randperm(1600, generator=generator)[:16]] = torch.arange(16) % 3
    return torch.randn(2, 3, 40, 40, generator=generator), label, SETS.encode_batch(label, torch.tensor([0, 0]))


@pytest.mark.parametrize("loss", [MarginalLoss, CategoricalCrossEntropyLoss, AdaptiveCrossEntropyLoss])
def test_scribbles_have_the_cross_entropy_of_torch_with_ignore_index(loss):
    logits, label, target = scribbles()
    expected = functional.cross_entropy(logits, label[:, 0], ignore_index=EMPTY)
    torch.testing.assert_close(loss(reduction="annotated_mean")(logits, target), expected)
    if loss is MarginalLoss:  # 1 % of the pixels
        torch.testing.assert_close(loss()(logits, target), expected / 100)


def test_scribbles_have_the_binary_cross_entropy_of_their_pixels():
    logits, label, target = scribbles()
    z, y = (tensor.movedim(1, -1)[label[:, 0] != EMPTY] for tensor in (logits, label))
    truth = (y == torch.tensor([1, 2])).float()
    expected = 2 * functional.binary_cross_entropy_with_logits(z[:, 1:], truth)
    torch.testing.assert_close(AdaptiveBCELoss(reduction="annotated_mean")(logits, target), expected)


def test_a_dice_beside_it_is_left_as_it_is():
    logits, _, target = scribbles()
    expected = MarginalLoss("annotated_mean")(logits, target) + MarginalDiceLoss()(logits, target)
    torch.testing.assert_close(MarginalDiceCELoss("annotated_mean")(logits, target), expected)


@pytest.mark.parametrize("loss", OF_PIXELS)
def test_pixels_that_say_nothing_change_nothing(loss):
    logits, label, target = scribbles()
    value = loss(reduction="annotated_mean")(logits, target)
    more = functional.pad(label, (0, 20), value=EMPTY)
    padded = functional.pad(SETS.encode_batch(more, torch.tensor([0, 0])), (0, 0, 0, 20))  # and ignored pixels
    torch.testing.assert_close(
        loss(reduction="annotated_mean")(functional.pad(logits, (0, 20, 0, 20)), padded), value, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("loss", OF_PIXELS)
def test_nothing_annotated_costs_exactly_nothing(loss):
    logits, _, target = scribbles()
    for empty in (torch.zeros_like(target), torch.stack([torch.full_like(target[:, 0], 7), 0 * target[:, 0]], dim=1)):
        leaf = logits.clone().requires_grad_()
        value = loss(reduction="annotated_mean")(leaf, empty)
        value.backward()
        assert value.item() == 0
        assert bool((leaf.grad == 0).all())
