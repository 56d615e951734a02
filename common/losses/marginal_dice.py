"""Marginal Dice: the Dice of each annotated structure, where it is annotated."""

import torch
from torch import nn
from torch.nn import functional

from .check_shapes import check_agreement
from .dice import dice
from .membership import membership
from .precision import full_precision
from .reduction import reduce

__all__ = ["MarginalDiceLoss"]


class MarginalDiceLoss(nn.Module):
    """One minus the Dice of each annotated class, with the unannotated classes merged into background.

    Merging adds probabilities. The sums in a Dice are linear in the probabilities, so the structures need no merged
    map: each class is summed over the pixels whose annotation decides it. An image counts a class only if it annotates
    it, and every counted pair of image and class has the same weight in the mean, so images without annotation do not
    change it. A class that is annotated but absent from an image has Dice 0 whatever the prediction, a constant without
    gradient: the cross entropy that accompanies this loss penalises predicting it.

    Args:
        include_background: count the merged background as one more class of each image.
        reduction: "mean" over the counted pairs of image and class, "sum", or "none" for the losses (B, C) with zeros
            where nothing is counted.

    References:
        Shi et al. (2021), Marginal loss and exclusion loss for partially supervised multi-organ segmentation.

    Example:
        >>> target = torch.tensor([[[2, 5], [2, 2]]])  # class 1, then background or class 2
        >>> logits = torch.tensor([[[0.0, 0.0], [0.0, -100.0], [-100.0, 0.0]]])
        >>> MarginalDiceLoss()(logits, target)  # class 1 has probabilities 1/2, 0: 1 - 2 * (1/2) / (1/2 + 1)
        tensor(0.3333)
    """

    activation = "softmax"

    def __init__(self, include_background: bool = False, reduction: str = "mean") -> None:
        super().__init__()
        self.include_background = include_background
        self.reduction = reduction

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss of logits (B, C, *spatial) for a label-set map (B, 2, *spatial)."""
        input, target = check_agreement(input, target)
        probability = full_precision(input).softmax(dim=1)
        admitted, annotated = target.unbind(dim=1)
        decided, truth = membership(annotated, probability), membership(admitted & annotated, probability)
        predicted = probability * decided
        counted = decided.flatten(start_dim=2).amax(dim=2).bool()
        if self.include_background:
            merged, merged_truth = _merge_background(probability, admitted, annotated)
            predicted = torch.cat([merged, predicted[:, 1:]], dim=1)
            truth = torch.cat([merged_truth, truth[:, 1:]], dim=1)
            counted = torch.cat([annotated.bool().flatten(start_dim=1).any(dim=1, keepdim=True), counted[:, 1:]], dim=1)
        else:
            counted = functional.pad(counted[:, 1:], (1, 0))
        return reduce((1 - dice(predicted, truth)) * counted, self.reduction, counted)


def _merge_background(
    probability: torch.Tensor, admitted: torch.Tensor, annotated: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return probability and truth of background merged with the unannotated classes, (B, 1, *spatial)."""
    # where the annotation decides background itself, it stays alone; where nothing is annotated, all is zero
    merged = torch.where((annotated & 1).bool(), 1, ~annotated) * annotated.bool()  # bit masks of the merged classes
    predicted = (probability * membership(merged, probability)).sum(dim=1, keepdim=True)
    return predicted, (admitted & merged).bool().unsqueeze(1).to(probability)
