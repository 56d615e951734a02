"""Exclusion loss: penalise predicting a class where it is impossible."""

import torch
from torch import nn
from torch.nn import functional

from .check_shapes import check_agreement
from .dice import dice
from .membership import membership
from .precision import full_precision
from .reduction import reduce

__all__ = ["ExclusionLoss"]


class ExclusionLoss(nn.Module):
    """Dice overlap of each foreground class with the pixels where it is impossible.

    Structures exclude each other, so an annotated structure also shows where unannotated structures are not. A class is
    impossible wherever a pixel does not admit it. Use it together with a marginal loss, never alone. Unlike the losses
    of the cross-entropy family it depends on the distribution of probability within a label set, through the size of
    each class.

    Args:
        reduction: "mean" over images and foreground classes, "sum", or "none" for the losses (B, C) with zeros for
            background.

    References:
        Shi et al. (2021), Marginal loss and exclusion loss for partially supervised multi-organ segmentation.

    Example:
        >>> target = torch.tensor([[[1, 2], [3, 3]]])  # background, class 1
        >>> ExclusionLoss()(torch.zeros(1, 2, 2), target)  # class 1 is impossible at the first: 2 * (1/2) / (1 + 1)
        tensor(0.5000)
    """

    activation = "softmax"

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss of logits (B, C, *spatial) for a label-set map (B, 2, *spatial)."""
        input, target = check_agreement(input, target)
        probability = full_precision(input).softmax(dim=1)
        admitted = target[:, 0]
        impossible = membership(torch.where(admitted == 0, 0, ~admitted), probability)
        taking_part = (admitted != 0).unsqueeze(1)  # ignored pixels have neither probability nor truth
        loss = dice(probability[:, 1:] * taking_part, impossible[:, 1:])
        if self.reduction == "none":
            loss = functional.pad(loss, (1, 0))
        return reduce(loss, self.reduction)
