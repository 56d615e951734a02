"""Adaptive binary cross entropy (aBCE): one sigmoid per annotated structure."""

import torch
from torch import nn
from torch.nn import functional

from .contract import check_agreement, full_precision, reduce_pixels
from .membership import membership

__all__ = ["AdaptiveBCELoss"]


class AdaptiveBCELoss(nn.Module):
    """Binary cross entropy with logits, summed over the annotated foreground classes of each pixel (aBCE).

    Each structure has its own sigmoid (one versus rest), so an unannotated structure is left out of the sum. The
    background logit is not trained: predict the largest of (0, z_1, ..., z_C-1).

    Args:
        exclusive_negatives: count a pixel annotated as one structure as a negative for every structure that it does not
            admit, annotated or not; only ambiguous pixels are left out (Petit's ambiguity map).
        reduction: "mean" over all pixels, "annotated_mean" over those whose annotation says something (sparse
            annotations), "sum", or "none" for the loss per pixel (B, *spatial).

    References:
        Petit et al. (2018), Handling missing annotations for semantic segmentation with deep ConvNets.
        Islam et al. (2026), Comparison of loss functions for robust deep learning-based echocardiography segmentation
        when learning with partially labelled data from multiple domains, MELBA, eq. (5).

    Example:
        >>> target = torch.tensor([[[2], [2]]])  # class 1, the only one annotated
        >>> AdaptiveBCELoss()(torch.zeros(1, 3, 1), target)  # log 2
        tensor(0.6931)
        >>> AdaptiveBCELoss(exclusive_negatives=True)(torch.zeros(1, 3, 1), target)  # and not class 2: 2 log 2
        tensor(1.3863)
    """

    activation = "sigmoid"

    def __init__(self, exclusive_negatives: bool = False, reduction: str = "mean") -> None:
        super().__init__()
        self.exclusive_negatives = exclusive_negatives
        self.reduction = reduction

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss of logits (B, C, *spatial) for a label-set map (B, 2, *spatial)."""
        input, target = check_agreement(input, target)
        logits = full_precision(input)
        admitted, annotated = target.unbind(dim=1)
        counted = annotated
        if self.exclusive_negatives:
            counted = torch.where(admitted == 0, 0, annotated | ~admitted)
        truth, weight = membership(admitted & annotated, logits), membership(counted, logits)
        loss = functional.binary_cross_entropy_with_logits(
            logits[:, 1:], truth[:, 1:], weight=weight[:, 1:], reduction="none"
        )
        return reduce_pixels(loss.sum(dim=1), self.reduction, admitted, input.shape[1])
