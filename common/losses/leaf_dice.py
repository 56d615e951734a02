"""Leaf Dice: Dice over the pixels whose truth is known."""

import torch
from torch import nn

from .check_shapes import check_agreement
from .dice import dice
from .membership import membership
from .precision import full_precision
from .reduction import reduce

__all__ = ["LeafDiceLoss"]


class LeafDiceLoss(nn.Module):
    """One minus the Dice of each annotated class, over the pixels that admit a single class (the leaves).

    Ambiguous pixels are left out entirely. Marginal Dice is less strict: it still learns what an ambiguous pixel is
    *not*. An image counts a class, background included, only if it annotates the class at such a pixel. Every counted
    pair of image and class has the same weight in the mean.

    Args:
        reduction: "mean" over the counted pairs of image and class, "sum", or "none" for the losses (B, C) with zeros
            where nothing is counted.

    References:
        Fidon et al. (2021), Label-set loss functions for partial supervision.

    Example:
        >>> target = torch.tensor([[[2, 5], [2, 2]]])  # class 1, then background or class 2, which is left out
        >>> LeafDiceLoss()(torch.tensor([[[0.0, 9.0], [0.0, 9.0], [-100.0, 9.0]]]), target)  # 1 - 2 * (1/2) / (1/2 + 1)
        tensor(0.3333)
    """

    activation = "softmax"

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss of logits (B, C, *spatial) for a label-set map (B, 2, *spatial)."""
        input, target = check_agreement(input, target)
        probability = full_precision(input).softmax(dim=1)
        admitted, annotated = target.unbind(dim=1)
        annotated = torch.where((admitted & (admitted - 1)) == 0, annotated, 0)
        decided = membership(annotated, probability)
        counted = decided.flatten(start_dim=2).amax(dim=2).bool()
        loss = (1 - dice(probability * decided, membership(admitted & annotated, probability))) * counted
        return reduce(loss, self.reduction, counted)
