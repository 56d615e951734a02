"""Prepare one image: read it, or take over what was prepared before."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...identity import digest
from .changes import plain
from .journal import Asked, Record
from .layout import FOLDS, image_digest, read_pixels
from .made_from import file_states, read_files
from .source import Frame, Job

if TYPE_CHECKING:
    from ..sector.finder import FoundSector

__all__ = ["SIZES", "SectorFinder", "Task", "with_facts", "write"]

SIZES = (16, 4096)  # rows and columns
FOUND = ("sector", "outside_sector")  # what the search for the sector adds to an item

SectorFinder: TypeAlias = "Callable[[NDArray[np.uint8], NDArray[np.float32] | None], FoundSector | None]"
Task: TypeAlias = tuple[Job, Asked, tuple[Record, Path] | None]  # the last: what was prepared before


def write(
    task: Task,
    folder: Path,
    size: int | None,
    sector_finder: SectorFinder | None,
    structures: Mapping[str, Sequence[int]],
) -> Record:
    """Take over the image that was prepared before, or read it."""
    job, asked, before = task
    if before is not None and (record := _take_over(job, *before, folder)) is not None:
        return record
    files = file_states(read_files(job.read))
    try:
        frame = job.read()
        if size is None and max(frame.image.shape) > SIZES[1]:
            raise ValueError(f"it has {frame.image.shape} pixels, at most {SIZES[1]} a side are kept; give --size")
    except (ValueError, OSError) as error:
        return Record(job.id, asked, files, reason=str(error) or type(error).__name__)
    except MemoryError:
        return Record(job.id, Asked("", ""), files, reason="MemoryError")  # it may be read the next time
    found: dict[str, Any] = {}
    if sector_finder is not None:
        frame, found = _blacken(frame, sector_finder, structures[job.item["dataset"]])
    frame = frame if size is None else frame.resized(size)
    for name, pixels in zip(_names(job).values(), (frame.image, frame.label), strict=True):
        with _writing(folder / name):
            Image.fromarray(pixels).save(folder / name)
    spacing = None if frame.spacing is None else list(frame.spacing)
    item = {**_names(job), **job.item, **found, "spacing": spacing, "values": np.unique(frame.label).tolist()}
    return _recorded(Record(job.id, asked, files, item), frame.image, frame.label)


def _take_over(job: Job, record: Record, place: Path, folder: Path) -> Record | None:
    """Copy a prepared image and describe it as the source does now; None if it is not what it was."""
    if record.item is None:
        return record
    try:
        image, label = (read_pixels(place / record.item[key]) for key in ("image", "label"))
    except (OSError, ValueError):
        return None
    if image_digest(image, label, {}) != record.pixels:
        return None
    for name in _names(job).values() if place != folder else ():
        with _writing(folder / name):
            shutil.copy2(place / name, folder / name)
    return _recorded(with_facts(job, record), image, label)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror or error}; finished images are kept", str(path)) from error


def _names(job: Job) -> dict[str, str]:
    return {"image": f"images/{job.id}.png", "label": f"labels/{job.id}.png"}


def with_facts(job: Job, record: Record) -> Record:
    """Return the record of an unchanged image with the facts that the source states now."""
    if record.item is None:
        return record
    found = {key: record.item[key] for key in FOUND if key in record.item and key not in job.item}
    results = {key: record.item[key] for key in ("spacing", "values")}
    return replace(record, item=plain({**_names(job), **job.item, **found, **results}))


def _recorded(record: Record, image: NDArray[np.uint8], label: NDArray[np.uint8]) -> Record:
    """Return the record with its digests."""
    item = record.item or {}
    content = {fold: image_digest(image, label, {**item, "fold": fold}) for fold in FOLDS}
    pixels = image_digest(image, label, {})
    distinct = digest(image.tobytes()) if image.min() != image.max() else ""
    return replace(record, content=content, image=distinct, pixels=pixels)


def _blacken(frame: Frame, sector_finder: SectorFinder, structures: Sequence[int]) -> tuple[Frame, dict[str, Any]]:
    """Blacken the pixels outside the sector; return how it was found and how much of the structures is outside, too."""
    found = sector_finder(frame.image, frame.motion)
    if found is None:
        return frame, {"sector": None}
    drawn = np.isin(frame.label, structures)
    outside = drawn & ~found.mask
    facts = {
        "sector": {"method": found.method, "confidence": round(found.confidence, 3)},
        "outside_sector": round(float(outside.sum() / max(1, np.count_nonzero(drawn))), 4),
    }
    return replace(frame, image=np.where(found.mask, frame.image, 0).astype(np.uint8)), facts
