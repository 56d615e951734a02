"""Marginal loss: the probability of a label set is the sum over its classes."""

import torch
from torch import nn

from .contract import check_agreement, reduce_pixels
from .set_cross_entropy import set_cross_entropy

__all__ = ["MarginalLoss"]


class MarginalLoss(nn.Module):
    """Cross entropy of the label set: minus the logarithm of the total probability of the admitted classes.

    Where the truth may be background or any class that was not outlined, the network is free to choose among them. The
    loss is also known as adaptive cross entropy, target adaptive loss and marginalised cross entropy. A pixel that
    admits every class has a loss of exactly zero, and complete labels give the ordinary cross entropy.

    Args:
        reduction: "mean" over all pixels, "annotated_mean" over those whose annotation says something (sparse
            annotations), "sum", or "none" for the loss per pixel (B, *spatial).

    References:
        Shi et al. (2021), Marginal loss and exclusion loss for partially supervised multi-organ segmentation, eq. (4).
        Roulet et al. (2019), Joint learning of brain lesion and anatomy segmentation from heterogeneous datasets.
        Fidon et al. (2021), Label-set loss functions for partial supervision.
        Filbrandt et al. (2021), Learning from partially overlapping labels: image segmentation under annotation shift.

    Example:
        >>> target = torch.tensor([[[5], [2]]])  # background or class 2
        >>> MarginalLoss()(torch.zeros(1, 3, 1), target)  # -log(2 / 3)
        tensor(0.4055)
    """

    activation = "softmax"

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss of logits (B, C, *spatial) for a label-set map (B, 2, *spatial)."""
        input, target = check_agreement(input, target)
        loss = set_cross_entropy(input, target[:, 0])
        return reduce_pixels(loss, self.reduction, target[:, 0], input.shape[1])
