"""The label sets of the datasets that are there, and a table of who annotates what."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...label_sets import LabelSets, describe
from .layout import read_provenance

__all__ = ["checksum", "coverage_table", "labels_of"]


def labels_of(
    classes: Sequence[str],
    label_sets: Mapping[str, Sequence[Sequence[str]]],
    data: Sequence[Mapping[str, Any]],
) -> LabelSets:
    """Return the label sets of the datasets in `data`, less what their images leave unlabelled.

    A class that no image of a dataset annotates (`unlabelled` of its items) leaves the dataset's label sets; one that
    only some annotate is named in `LabelSets.partly`.

    Args:
        classes: names, background first.
        label_sets: of every dataset that the bundle knows.
        data: items of a datalist.

    Raises:
        ValueError: if a dataset in `data` has no label sets, or a class is left without annotation.
    """
    present = list(dict.fromkeys(item["dataset"] for item in data))
    if unknown := [name for name in present if name not in label_sets]:
        raise ValueError(f"the data hold {unknown}, which label_sets does not describe; it has {list(label_sets)}.")
    missing = Counter((item["dataset"], name) for item in data for name in item.get("unlabelled", ()))
    images = Counter(item["dataset"] for item in data)
    partly, never = ({name: list[str]() for name in present} for _ in range(2))
    for (dataset, name), count in missing.items():
        if name in classes:
            (never if count == images[dataset] else partly)[dataset].append(name)
    whole = LabelSets(classes, {name: label_sets[name] for name in present}, partly)
    return whole.withhold(never)


def coverage_table(label_sets: LabelSets, data: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of datasets by classes with the number of images, to print."""
    return describe(label_sets, Counter(item["dataset"] for item in data))


def checksum(folders: str | Path | Iterable[str | Path]) -> str:
    """Return one number for the content of prepared folders, whatever they are called and wherever they lie."""
    folders = [folders] if isinstance(folders, str | Path) else list(folders)
    parts = sorted(str(read_provenance(Path(folder))["checksum"]) for folder in folders)
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()
