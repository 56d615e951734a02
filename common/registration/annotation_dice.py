"""Dice between two annotations of the same pixels, computed only where both annotate the class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..label_set_map import annotated, drop_classes, known_masks
from ..label_sets import LabelSets

__all__ = ["agreement_dice", "encode_annotation"]


def encode_annotation(values: NDArray[Any], labels: LabelSets, dataset: str, unlabelled: Sequence[str] = ()) -> Tensor:
    """Return the label-set map of one annotation, (2, rows, columns).

    Args:
        values: annotation values, (rows, columns).
        labels: label sets of the datasets.
        dataset: that the annotation comes from.
        unlabelled: classes that this image does not annotate although its dataset does.
    """
    encoded = labels.encode(torch.from_numpy(values.astype("int64"))[None], dataset)
    return drop_classes(encoded[None], labels.unlabelled([{"dataset": dataset, "unlabelled": unlabelled}]))[0]


def agreement_dice(first: Tensor, second: Tensor, num_classes: int) -> list[float]:
    """Compute the Dice of every class between two annotations; neither is the reference.

    Args:
        first: label-set map, (2, rows, columns).
        second: likewise.
        num_classes: C.

    Returns:
        One number per class, over the pixels where both annotate it; NaN if there are none, and for a class that
        neither shows (0/0). A class that only one of them shows scores 0.

    Example:
        >>> decided = torch.full((1, 4), 0b11)
        >>> one, other = (torch.stack([torch.tensor([row]), decided]) for row in ([1, 2, 2, 1], [1, 1, 2, 1]))
        >>> [round(dice, 3) for dice in agreement_dice(one, other, num_classes=2)]
        [0.8, 0.667]
    """
    both = torch.stack([first, second])
    here, there = known_masks(both, num_classes) & annotated(both, num_classes).all(dim=0)
    shared, total = (mask.sum(dim=(1, 2)).tolist() for mask in (here & there, here.int() + there.int()))
    return [2 * overlap / size if size else math.nan for overlap, size in zip(shared, total, strict=True)]
