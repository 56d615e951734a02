"""Marginal Dice: the Dice of each annotated structure, where it is annotated."""

import torch
from torch import nn

from .check_shapes import check_agreement
from .dice import dice
from .membership import membership
from .reduction import reduce

__all__ = ["MarginalDiceLoss"]


class MarginalDiceLoss(nn.Module):
    """One minus the Dice of each annotated class, with the unannotated classes merged into background.

    Merging adds probabilities. The sums inside a Dice are linear in the probabilities, so no merged map is needed for
    the structures: a class is summed over the pixels that tell it apart. An image counts a class only if it annotates
    it, and every counted pair of image and class weighs the same in the mean, so images without annotation do not move
    it. A class that is annotated but absent from an image has Dice 0 whatever is predicted, a constant without
    gradient: it is the cross entropy beside this loss that penalises predicting it.

    Args:
        include_background: count the merged background as one more class of each image.
        reduction: "mean" over the counted pairs of image and class, "sum", or "none" for the losses (B, C) with zeros
            where nothing is counted.

    Shapes:
        input: logits (B, C, *spatial).
        target: label-set map (B, 2, *spatial).

    References:
        Shi et al. (2021), Marginal loss and exclusion loss for partially supervised multi-organ segmentation.

    Example:
        >>> target = torch.tensor([[[2, 5], [2, 2]]])  # class 1, then background or class 2
        >>> logits = torch.tensor([[[0.0, 0.0], [0.0, -100.0], [-100.0, 0.0]]])
        >>> MarginalDiceLoss()(logits, target)  # class 1 has probabilities 1/2, 0: 1 - 2 * (1/2) / (1/2 + 1)
        tensor(0.3333)
    """

    def __init__(self, include_background: bool = False, reduction: str = "mean") -> None:
        super().__init__()
        self.include_background = include_background
        self.reduction = reduction

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss of logits (B, C, *spatial) for a label-set map (B, 2, *spatial)."""
        input, target = check_agreement(input, target)
        probability = (input if input.dtype == torch.float64 else input.float()).softmax(dim=1)
        admitted, annotated = target.unbind(dim=1)
        told_apart, truth = membership(annotated, probability), membership(admitted & annotated, probability)
        told = probability * told_apart
        counted = told_apart.flatten(start_dim=2).amax(dim=2) > 0
        if self.include_background:
            merged, merged_truth = _merged_background(probability, told_apart, admitted, annotated)
            told, truth = torch.cat([merged, told[:, 1:]], dim=1), torch.cat([merged_truth, truth[:, 1:]], dim=1)
            counted = torch.cat([(annotated != 0).flatten(start_dim=1).any(dim=1, keepdim=True), counted[:, 1:]], dim=1)
        else:
            counted = counted & (torch.arange(counted.shape[1], device=counted.device) > 0)
        return reduce((1 - dice(told, truth)) * counted, self.reduction, counted)


def _merged_background(
    probability: torch.Tensor, told_apart: torch.Tensor, admitted: torch.Tensor, annotated: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Merge background with the unannotated classes, where it is not told apart itself.

    Args:
        probability: of all classes (B, C, *spatial).
        told_apart: 1 where a class is told apart by the annotation, (B, C, *spatial).
        admitted: bit masks (B, *spatial).
        annotated: bit masks (B, *spatial).

    Returns:
        Probability and truth of the merged background (B, 1, *spatial), zero where nothing is annotated.
    """
    alone, labelled = (annotated & 1) != 0, annotated != 0
    unannotated = (probability * (1 - told_apart)).sum(dim=1)
    merged = torch.where(alone, probability[:, 0], unannotated) * labelled
    truth = torch.where(alone, admitted == 1, (admitted & ~annotated) != 0) & labelled
    return merged.unsqueeze(1), truth.unsqueeze(1).to(probability)
