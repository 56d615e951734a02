"""Jaccard index (intersection over union) of each image and class."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .dice import annotated_dice

__all__ = ["jaccard"]


def jaccard(
    prediction: torch.Tensor, target: torch.Tensor, num_classes: int, _: torch.Tensor
) -> Mapping[str, torch.Tensor]:
    """Return the Jaccard index of each class over the pixels whose annotation decides it, as `annotated_dice`.

    Args:
        prediction: predicted class, integer, (B, *spatial).
        target: label-set map, (B, 2, *spatial).
        num_classes: C.
        _: index of the images.

    Returns:
        `jaccard`, float64, (B, C); NaN where the Dice is.

    Example:
        >>> target = torch.tensor([[[2, 2, 1, 1], [3, 3, 3, 3]]])  # class 1 in the first two pixels
        >>> jaccard(torch.tensor([[0, 1, 1, 0]]), target, 2, torch.tensor([0]))["jaccard"]
        tensor([[0.3333, 0.3333]], dtype=torch.float64)
    """
    dice = annotated_dice(prediction, target, num_classes)
    return {"jaccard": dice / (2 - dice)}
