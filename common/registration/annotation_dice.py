"""How far two annotations of the same pixels agree: Dice, on what both of them tell and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..label_sets import LabelSets, annotated, drop_classes, known_masks

__all__ = ["agreement_dice", "encode_annotation"]


def encode_annotation(values: NDArray[Any], labels: LabelSets, dataset: str, unlabelled: Sequence[str] = ()) -> Tensor:
    """Return the label-set map of one annotation.

    Args:
        values: annotation values, (rows, columns).
        labels: label sets of the datasets.
        dataset: where the annotation comes from.
        unlabelled: classes that this image does not annotate although its dataset does.

    Returns:
        (2, rows, columns).

    Raises:
        ValueError: if the dataset has no label sets or a value is not among them.
    """
    encoded = labels.encode(torch.from_numpy(values.astype("int64"))[None], dataset)
    drop = torch.tensor([[name in unlabelled for name in labels.classes]])
    return drop_classes(encoded[None], drop)[0]


def agreement_dice(first: Tensor, second: Tensor, num_classes: int) -> list[float]:
    """Dice of every class between two annotations; neither of them counts as the truth.

    Args:
        first: label-set map, (2, rows, columns).
        second: likewise.
        num_classes: C.

    Returns:
        A number a class over the pixels where both tell it apart; NaN where there is no such pixel, and for a class
        that neither shows (0/0). A class that only one of them shows scores 0.

    Example:
        >>> told = torch.full((1, 4), 0b11)
        >>> one, other = (torch.stack([torch.tensor([row]), told]) for row in ([1, 2, 2, 1], [1, 1, 2, 1]))
        >>> [round(dice, 3) for dice in agreement_dice(one, other, num_classes=2)]
        [0.8, 0.667]
    """
    told = (annotated(first[None], num_classes) & annotated(second[None], num_classes))[0]
    here, there = (known_masks(each[None], num_classes)[0] & told for each in (first, second))
    both, total = ((mask.sum(dim=(1, 2))).tolist() for mask in (here & there, here.int() + there.int()))
    return [2 * shared / size if size else math.nan for shared, size in zip(both, total, strict=True)]
