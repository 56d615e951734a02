"""Pair similar images of two datasets, each patient once."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..datasets.prepared.layout import read_pixels
from .similarity import similarity

__all__ = ["Item", "Pair", "best_first", "similar_pairs"]

Item = Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """A source and the target that it is registered to.

    Args:
        source: item of a datalist.
        target: item of a datalist.
        similarity: correlation of their gradients, -1 to 1.
        scale: of the source at which they are most similar (`similarity`).
    """

    source: Item
    target: Item
    similarity: float
    scale: float


def _may_be_compared(source: Item, target: Item) -> bool:
    """Return whether view and phase agree; unknown ones agree with any."""
    known = ((source.get(key), target.get(key)) for key in ("view", "phase"))
    return all(one is None or other is None or one == other for one, other in known)


def _patient(item: Item) -> tuple[str, str]:
    return item["dataset"], item["patient"]


def best_first(correlation: NDArray[np.floating[Any]], group: Sequence[Any]) -> list[tuple[int, int]]:
    """Pair rows and columns, the most similar first; each row and each group of columns is used once.

    `correlation`, (rows, columns), is -inf where the two may not be paired; `group` has an entry per column.

    Example:
        >>> best_first(np.array([[0.9, 0.8, 0.1], [0.7, 0.6, 0.2]]), group=["a", "a", "b"])
        [(0, 0), (1, 2)]
    """
    left = np.array(correlation, np.float64)
    groups = np.array([list(dict.fromkeys(group)).index(name) for name in group])
    pairs = []
    while left.size and left.max() > -np.inf:
        row, column = (int(index) for index in np.unravel_index(left.argmax(), left.shape))
        pairs.append((row, column))
        left[row] = left[:, groups == groups[column]] = -np.inf
    return pairs


def similar_pairs(data: Sequence[Item], source: str, target: str, count: int, seed: int) -> list[Pair]:
    """Draw patients of one dataset, one image each, and find for each the most similar image of another dataset.

    Only images of the same view and phase are compared, if these are known. `source` and `target` may be the same
    dataset: registration between patients annotated under one protocol measures the disagreement due to the
    registration itself.

    Args:
        data: items of a datalist.
        source: dataset whose annotation is carried over.
        target: dataset that it is compared with.
        count: number of pairs.
        seed: of the draw.

    Returns:
        `count` pairs, the most similar first; no patient is in two of them.

    Raises:
        ValueError: if a dataset is missing, or there are too few patients.
    """
    present = list(dict.fromkeys(item["dataset"] for item in data))
    if unknown := [name for name in (source, target) if name not in present]:
        raise ValueError(f"expected --source and --target among the datasets {present}, got {unknown}.")
    if count < 1:
        raise ValueError(f"expected --pairs of 1 or more, got {count}.")
    rng = np.random.default_rng(seed)
    targets = [item for item in data if item["dataset"] == target]
    images: dict[tuple[str, str], list[Item]] = {}
    for item in data:
        if item["dataset"] == source and any(_may_be_compared(item, other) for other in targets):
            images.setdefault(_patient(item), []).append(item)
    patients = sorted(images)
    drawn = [patients[index] for index in rng.permutation(len(patients))[:count]]
    sources = [images[patient][rng.integers(len(images[patient]))] for patient in drawn]
    targets = [
        item for item in targets if _patient(item) not in drawn and any(_may_be_compared(one, item) for one in sources)
    ]
    pairs = _search(sources, targets) if sources and targets else []
    if len(pairs) < count:
        raise ValueError(
            f"only {len(pairs)} pairs of patients of '{source}' and '{target}' share view and phase; "
            f"lower --pairs {count}."
        )
    return pairs


def _search(sources: Sequence[Item], targets: Sequence[Item]) -> list[Pair]:
    bar = tqdm(targets, "read candidates", unit=" images", file=sys.stdout, mininterval=1, leave=False)
    pixels = ((read_pixels(item["image"]) for item in items) for items in (sources, bar))
    correlation, scale = similarity(*pixels)
    for row, one in enumerate(sources):
        correlation[row, [not _may_be_compared(one, item) for item in targets]] = -np.inf
    return [
        Pair(sources[row], targets[column], float(correlation[row, column]), float(scale[row, column]))
        for row, column in best_first(correlation, [_patient(item) for item in targets])
    ]
