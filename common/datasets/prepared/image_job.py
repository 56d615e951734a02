"""Prepare one image: read it, or take over what was prepared before.

What is particular to pictures or to volumes is their form (`pictures/form.py`, and that of volumes); everything else
is the same for both.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...identity import digest
from .changes import plain
from .journal import Asked, Record
from .layout import FOLDS, RESULTS, image_digest, image_digests
from .made_from import file_states, read_files
from .source import Job, values_in

__all__ = ["Form", "Task", "with_facts", "write"]

Task: TypeAlias = tuple[Job, Asked, tuple[Record, Path] | None]  # the last: what was prepared before


class Form(ABC):
    """How images are kept in a prepared folder.

    Attributes:
        suffix: of the files.
        libraries: whose versions can affect the pixels.
        resampling: module whose code affects the pixels, beside that of the reader.
        found: keys that preparation adds to an item, and that stay when only the facts of the source change.
    """

    suffix: ClassVar[str]
    libraries: ClassVar[tuple[str, ...]]
    resampling: ClassVar[str]
    found: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What decides the content of every image, beside its own files and the versions of libraries."""

    @abstractmethod
    def settings_of(self, dataset: str) -> str:
        """Return what else decides the content of the images of a dataset."""

    @abstractmethod
    def stated(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the entries of provenance.json that describe the form, and `size`."""

    @abstractmethod
    def read(self, image: Path, label: Path) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Read a prepared image and its annotation, as `prepared` returned them.

        Raises:
            ValueError: or OSError, if they are not what `save` writes.
        """

    @abstractmethod
    def prepared(self, job: Job) -> tuple[NDArray[Any], NDArray[np.uint8], dict[str, Any]]:
        """Read the image of a job; return it as it is kept, its annotation, and facts for the item.

        Raises:
            ValueError: or OSError, if it cannot be used.
        """

    @abstractmethod
    def save(self, path: Path, pixels: NDArray[Any], facts: Mapping[str, Any]) -> None:
        """Write an image or an annotation.

        Raises:
            OSError: if it cannot be written.
        """


def write(task: Task, folder: Path, form: Form) -> Record:
    """Take over the image that was prepared before, or read it."""
    job, asked, before = task
    if before is not None and (record := _take_over(job, *before, folder, form)) is not None:
        return record
    files = file_states(read_files(job.read))
    try:
        image, label, facts = form.prepared(job)
    except (ValueError, OSError) as error:
        return Record(job.id, asked, files, reason=str(error) or type(error).__name__)
    except MemoryError:
        return Record(job.id, Asked("", ""), files, reason="MemoryError")  # it may be read the next time
    names = _names(job, form)
    for name, pixels in zip(names.values(), (image, label), strict=True):
        with _writing(folder / name):
            form.save(folder / name, pixels, facts)
    own = {key: value for key, value in facts.items() if key in (*RESULTS, *form.found)}
    item = {**names, **job.item, **own, "values": values_in(label)}
    return _recorded(job, Record(job.id, asked, files, item), image, label)


def _take_over(job: Job, record: Record, place: Path, folder: Path, form: Form) -> Record | None:
    """Copy a prepared image and describe it as the source does now; None if it is not what it was."""
    if record.item is None:
        return record
    try:
        image, label = form.read(place / record.item["image"], place / record.item["label"])
    except (OSError, ValueError):
        return None
    if image_digest(image, label, {}) != record.pixels:
        return None
    for name in _names(job, form).values() if place != folder else ():
        with _writing(folder / name):
            shutil.copy2(place / name, folder / name)
    return _recorded(job, with_facts(job, record, form), image, label)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror or error}; finished images are kept", str(path)) from error


def _names(job: Job, form: Form) -> dict[str, str]:
    return {"image": f"images/{job.id}{form.suffix}", "label": f"labels/{job.id}{form.suffix}"}


def with_facts(job: Job, record: Record, form: Form) -> Record:
    """Return the record of an unchanged image with the facts that the source states now."""
    if record.item is None:
        return record
    names = _names(job, form)
    found = {key: record.item[key] for key in form.found if key in record.item and key not in job.item}
    results = {key: record.item[key] for key in RESULTS if key in record.item and key not in names}
    return replace(record, item=plain({**names, **job.item, **found, **results}))


def _recorded(job: Job, record: Record, image: NDArray[Any], label: NDArray[np.uint8]) -> Record:
    """Return the record with its digests, and with the number of files that hold the image."""
    item = record.item or {}
    *own, pixels = image_digests(image, label, [*({**item, "fold": fold} for fold in FOLDS), {}])
    distinct = digest(np.ascontiguousarray(image).data) if image.min() != image.max() else ""
    content, of_image = dict(zip(FOLDS, own, strict=True)), len(read_files(job.read, image_only=True))
    return replace(record, content=content, image=distinct, pixels=pixels, image_files=of_image)
