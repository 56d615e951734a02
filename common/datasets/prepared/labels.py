"""Label sets of the datasets in use, and a table of which dataset annotates which class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...label_sets import LabelSets, describe

__all__ = ["coverage_table", "labels_of"]


def labels_of(
    classes: Sequence[str],
    label_sets: Mapping[str, Sequence[Sequence[str]]],
    data: Sequence[Mapping[str, Any]],
) -> LabelSets:
    """Return the label sets of the datasets in `data`, without what their images leave unlabelled.

    A class that no image of a dataset annotates (`unlabelled` of its items) is removed from the dataset's label sets;
    a class that only some of them annotate is named in `LabelSets.partly`.

    Args:
        classes: names, background first.
        label_sets: of every dataset that the bundle knows.
        data: items of a datalist.

    Raises:
        ValueError: if a dataset in `data` has no label sets, or a class is left without annotation.
    """
    images = Counter(item["dataset"] for item in data)
    if unknown := [name for name in images if name not in label_sets]:
        raise ValueError(f"the data have {unknown}, which label_sets does not describe; it has {list(label_sets)}.")
    missing = Counter((item["dataset"], name) for item in data for name in item.get("unlabelled", ()))
    partly, never = ({name: list[str]() for name in images} for _ in range(2))
    for (dataset, name), count in missing.items():
        if name in classes:
            (never if count == images[dataset] else partly)[dataset].append(name)
    return LabelSets(classes, {name: label_sets[name] for name in images}, partly).withhold(never)


def coverage_table(label_sets: LabelSets, data: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of datasets by classes with the number of images, to print."""
    return describe(label_sets, Counter(item["dataset"] for item in data))
