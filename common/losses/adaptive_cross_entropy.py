"""Adaptive categorical cross entropy (aCCE) in its three readings."""

import torch
from torch import nn

from .categorical_cross_entropy import lowest_admitted
from .contract import check_agreement, reduce_pixels
from .set_cross_entropy import set_cross_entropy

__all__ = ["AdaptiveCrossEntropyLoss"]


class AdaptiveCrossEntropyLoss(nn.Module):
    """Cross entropy among background and the annotated classes (aCCE).

    The published equation drops the terms of unannotated classes. Taken literally this changes nothing, because those
    terms are zero anyway, so there are three readings:

    - "masked_softmax": the logits of unannotated classes leave the softmax of that pixel. It agrees with the published
      results.
    - "annotated_foreground": where the labels are incomplete, background pixels are dropped too (they still count in
      the mean).
    - "literal": the categorical cross entropy.

    The members of a super-class compete and are admitted together. The logits of other unannotated classes have no
    gradient under the first reading.

    Args:
        reading: "masked_softmax", "annotated_foreground" or "literal".
        reduction: "mean" over all pixels, "annotated_mean" over those whose annotation says something (sparse
            annotations), "sum", or "none" for the loss per pixel (B, *spatial).

    References:
        Mariscal-Harana et al. (2023), An artificial intelligence tool for automated analysis of large-scale
        unstructured clinical cine cardiac magnetic resonance databases.
        Islam et al. (2026), Comparison of loss functions for robust deep learning-based echocardiography segmentation
        when learning with partially labelled data from multiple domains, MELBA, eq. (2).

    Example:
        >>> target = torch.tensor([[[5], [2]]])  # background or class 2; class 1 is annotated
        >>> AdaptiveCrossEntropyLoss()(torch.zeros(1, 3, 1), target)  # background against class 1: log 2
        tensor(0.6931)
    """

    activation = "softmax"

    def __init__(self, reading: str = "masked_softmax", reduction: str = "mean") -> None:
        super().__init__()
        self.reading = reading
        self.reduction = reduction

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss of logits (B, C, *spatial) for a label-set map (B, 2, *spatial)."""
        input, target = check_agreement(input, target)
        admitted, annotated = target.unbind(dim=1)
        may_be_background = (admitted & 1).bool()
        if self.reading == "literal":
            loss = set_cross_entropy(input, lowest_admitted(admitted))
        elif self.reading == "masked_softmax":
            truth = torch.where(may_be_background, 1, admitted)
            loss = set_cross_entropy(input, truth, truth | annotated | 1)
        elif self.reading == "annotated_foreground":
            every = (1 << input.shape[1]) - 1
            dropped = may_be_background & (annotated != every)
            # where both sets are equal, the loss and its gradient are exactly zero
            loss = set_cross_entropy(input, torch.where(dropped, every, admitted))
        else:
            raise ValueError(
                f"expected reading 'masked_softmax', 'annotated_foreground' or 'literal', got '{self.reading}'."
            )
        return reduce_pixels(loss, self.reduction, admitted, input.shape[1])
