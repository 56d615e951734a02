"""Categorical cross entropy: ignores partial labelling (naive baseline)."""

import torch
from torch import nn

from .contract import check_agreement, reduce_pixels
from .set_cross_entropy import set_cross_entropy

__all__ = ["CategoricalCrossEntropyLoss", "lowest_admitted"]


def lowest_admitted(admitted: torch.Tensor) -> torch.Tensor:
    """Keep only the lowest bit of each bit mask: the truth if the annotation is read as complete.

    Example:
        >>> lowest_admitted(torch.tensor([5, 2, 6]))  # {0, 2}, {1}, {1, 2}
        tensor([1, 2, 2])
    """
    return admitted & (~admitted + 1)


class CategoricalCrossEntropyLoss(nn.Module):
    """Cross entropy with the lowest admitted class as the truth: the baseline that adaptive losses improve on.

    Where a dataset leaves a structure inside its background, the network learns that it *is* background. With complete
    labels this is the ordinary cross entropy.

    Args:
        reduction: "mean" over all pixels, "annotated_mean" over those whose annotation says something (sparse
            annotations), "sum", or "none" for the loss per pixel (B, *spatial).

    References:
        Islam et al. (2026), Comparison of loss functions for robust deep learning-based echocardiography segmentation
        when learning with partially labelled data from multiple domains, MELBA, the baseline.

    Example:
        >>> target = torch.tensor([[[5], [2]]])  # background or class 2: read as background
        >>> CategoricalCrossEntropyLoss()(torch.zeros(1, 3, 1), target)  # log 3
        tensor(1.0986)
    """

    activation = "softmax"

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss of logits (B, C, *spatial) for a label-set map (B, 2, *spatial)."""
        input, target = check_agreement(input, target)
        loss = set_cross_entropy(input, lowest_admitted(target[:, 0]))
        return reduce_pixels(loss, self.reduction, target[:, 0], input.shape[1])
