"""What has to be said aloud before data are used: what nothing validates or tests, copies, images resampled twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...command import command
from .layout import FOLDS, prepared_records, read_datalist, read_provenance

__all__ = ["copies", "resampled_again", "without_annotation", "without_folds", "without_images", "without_validation"]

Items = Sequence[Mapping[str, Any]]


def without_images(datasets: Iterable[str], data: Items) -> Iterator[str]:
    """Name the datasets that have no image in `data`, one fold.

    Example:
        >>> list(without_images(["a", "b"], [{"dataset": "a", "fold": "test"}]))
        ['no image in the fold test: b']
    """
    there = {item["dataset"] for item in data}
    if missing := [name for name in datasets if name not in there]:
        fold = next((f" in the fold {item['fold']}" for item in data if "fold" in item), "")
        yield f"no image{fold}: {', '.join(missing)}"


def without_annotation(annotated: Mapping[str, Collection[str]], data: Items) -> Iterator[str]:
    """Name the datasets in `data` whose annotation decides no structure.

    Args:
        annotated: dataset -> classes that it annotates.
        data: items of a datalist.

    Example:
        >>> list(without_annotation({"a": ["background"], "b": ["background", "lv"]}, [{"dataset": "a"}]))
        ['no Dice, since the annotation decides no structure: a']
    """
    there = dict.fromkeys(item["dataset"] for item in data)
    if missing := [name for name in there if not set(annotated[name]) - {"background"}]:
        yield f"no Dice, since the annotation decides no structure: {', '.join(missing)}"


def without_validation(classes: Sequence[str], covered: Collection[str]) -> Iterator[str]:
    """Name the classes that no validation image annotates.

    Example:
        >>> list(without_validation(["background", "lv", "la"], {"lv"}))
        ['no validation image annotates la: the best epoch is chosen without it']
    """
    if missing := [name for name in classes[1:] if name not in covered]:
        yield f"no validation image annotates {', '.join(missing)}: the best epoch is chosen without it"


def without_folds(data: Items) -> Iterator[str]:
    """Name the datasets of a training that have no image to validate, or to test it, in their folders."""
    present = defaultdict[str, set[str]](set)
    for folder in _folders(data):
        for item in read_datalist(folder):
            present[item["dataset"]].add(item["fold"])
    trained = dict.fromkeys(item["dataset"] for item in data if item["dataset"] in present)
    for fold in FOLDS[1:]:
        if missing := [name for name in trained if fold not in present[name]]:
            yield f"no {fold} image: {', '.join(missing)}"


def resampled_again(data: Items, image_size: int | None) -> Iterator[str]:
    """Name the folders whose images were reduced to one size and are resampled to another."""
    for folder in _folders(data):
        size = read_provenance(folder).get("size")
        if image_size is not None and isinstance(size, int) and size != image_size:
            yield (
                f"{folder.name}: prepared with {size} x {size} pixels, resampled again to {image_size} x {image_size}; "
                f"prepare it with --size {image_size} or --size own to resample once"
            )


def copies(data: Items) -> Iterator[str]:
    """Say how many images of the folders occur in two folds or two folders, pixel for pixel."""
    folders = _folders(data)
    places = defaultdict[str, dict[tuple[Path, str], str]](dict)
    for folder in folders:
        records = prepared_records(folder)
        for item in read_datalist(folder):
            record = records.get(name := Path(item["image"]).stem)
            if record is not None and record.image:
                places[record.image].setdefault((folder, item["fold"]), f"{folder.name}/{name} ({item['fold']})")
    if found := [list(own.values()) for own in places.values() if len(own) > 1]:
        check = command(f"datasets check {' '.join(map(str, folders))}")
        yield (
            f"copies: {len(found)} image{'s' * (len(found) != 1)} in several folds or folders, such as "
            f"{' and '.join(found[0][:2])}; {check} lists them"
        )


def _folders(data: Items) -> list[Path]:
    """Return the prepared folders that items come from."""
    return list(dict.fromkeys(Path(item["image"]).parent.parent for item in data if "image" in item))
