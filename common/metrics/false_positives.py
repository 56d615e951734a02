"""False positives: classes that an image annotates and does not contain, but that are predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..label_set_map import annotated, known_masks, within_super_class

__all__ = ["false_positives"]


def false_positives(prediction: Tensor, target: Tensor, num_classes: int, _: Tensor) -> Mapping[str, Tensor]:
    """Return whether a class is predicted in each image that annotates it and does not contain it.

    Only pixels whose annotation decides the class count, for its absence and for its prediction. A class that a
    super-class of the image may contain is not absent.

    Args:
        prediction: predicted class, integer, (B, *spatial).
        target: label-set map, (B, 2, *spatial).
        num_classes: C.
        _: index of the images.

    Returns:
        `false_positives`, 1 or 0, float64, (B, C); NaN where the class is not annotated, or present.

    Example:
        >>> target = torch.tensor([[[1, 1], [7, 7]]])  # background, three classes, all annotated
        >>> false_positives(torch.tensor([[0, 2]]), target, 3, torch.tensor([0]))["false_positives"]
        tensor([[nan, 0., 1.]], dtype=torch.float64)
    """
    decided, true = (part(target, num_classes).flatten(start_dim=2) for part in (annotated, known_masks))
    classes = torch.arange(num_classes, device=prediction.device).view(1, -1, 1)
    predicted = (prediction.flatten(start_dim=1).unsqueeze(1) == classes) & decided
    absent = decided.any(dim=2) & ~true.any(dim=2) & ~within_super_class(target, num_classes)
    return {"false_positives": predicted.any(dim=2).double().masked_fill(~absent, math.nan)}
