"""The one layout every dataset is prepared into: 8-bit PNG images, integer PNG annotations, a datalist, a provenance.

    OUT/images/<id>.png        8-bit grey values, (size, size)
    OUT/labels/<id>.png        the dataset's own annotation values, (size, size)
    OUT/datalist.json          one item an image: image, label, dataset, patient, view, phase, spacing, fold
    OUT/provenance.json        source, licence, citation, versions, checksum of the content, what was skipped and why

The folder is written beside its final name and renamed when complete: a folder that exists is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

__all__ = ["DATALIST", "FOLDS", "PROVENANCE", "Frame", "Job", "Source", "prepare", "read_datalist", "read_provenance"]

DATALIST = "datalist.json"
PROVENANCE = "provenance.json"
FOLDS = ("training", "validation", "test")


@dataclass(frozen=True)
class Frame:
    """One annotated image in native geometry.

    Args:
        image: grey values 0 to 255, uint8, (rows, columns).
        label: the dataset's own annotation values, uint8, (rows, columns).
        spacing: mm per pixel, (row, column), or None where the source does not tell.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    spacing: tuple[float, float] | None

    def resized(self, size: int) -> Frame:
        """Squash the frame to (size, size); the spacing follows, so physical areas stay what they were.

        Example:
            >>> frame = Frame(np.zeros((40, 20), np.uint8), np.zeros((40, 20), np.uint8), (0.5, 0.5))
            >>> frame.resized(10).spacing
            (2.0, 1.0)
        """
        rows, columns = self.image.shape
        spacing = None if self.spacing is None else (self.spacing[0] * rows / size, self.spacing[1] * columns / size)
        # Pillow's bilinear filter widens with the scale, so reduction does not alias; annotations keep their values.
        image = Image.fromarray(self.image).resize((size, size), Image.Resampling.BILINEAR)
        label = Image.fromarray(self.label).resize((size, size), Image.Resampling.NEAREST)
        return Frame(np.asarray(image), np.asarray(label), spacing)


@dataclass(frozen=True)
class Job:
    """One image still to be read: `read()` may run in another process, so it is picklable (functools.partial)."""

    id: str
    item: dict[str, Any]
    read: Callable[[], Frame]


@dataclass(frozen=True)
class Source:
    """A dataset as its reader found it.

    Args:
        name: of the dataset or the collection.
        jobs: the images to read.
        licence: its terms in a line.
        citation: what a user must cite.
        skipped: what is left out, name -> reason.
        facts: anything else that provenance.json should keep.
    """

    name: str
    jobs: Sequence[Job]
    licence: str
    citation: str
    skipped: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def _write(job: Job, folder: Path, size: int) -> tuple[dict[str, Any], str]:
    frame = job.read()
    if frame.image.shape != frame.label.shape:
        raise ValueError(f"{job.id}: image {frame.image.shape} and annotation {frame.label.shape} differ in shape.")
    frame = frame.resized(size)
    facts = json.dumps(job.item, sort_keys=True).encode()  # a frame that changes its fold is other content
    digest = hashlib.sha256(frame.image.tobytes() + frame.label.tobytes() + facts).hexdigest()
    names = {"image": f"images/{job.id}.png", "label": f"labels/{job.id}.png"}
    Image.fromarray(frame.image).save(folder / names["image"])
    Image.fromarray(frame.label).save(folder / names["label"])
    values = sorted(int(value) for value in np.unique(frame.label))
    return {**names, **job.item, "spacing": frame.spacing, "values": values}, digest


def prepare(source: Source, out: Path, size: int, workers: int = 0) -> list[dict[str, Any]]:
    """Read every image of `source`, squash it to (size, size) and write the prepared folder `out`.

    Args:
        source: the dataset.
        out: the folder to make; it must not exist.
        size: pixels along each side.
        workers: processes; 0 takes one a core.

    Returns:
        The items of the datalist.

    Raises:
        FileExistsError: if `out` exists.
        ValueError: if there is nothing to read, or a file cannot be used (the message names it).
    """
    if out.exists():
        raise FileExistsError(f"{out} exists; remove it, or prepare into another folder.")
    if not source.jobs:
        raise ValueError(f"{source.name}: no image to prepare; skipped: {source.skipped or 'nothing'}.")
    if size < 16:
        raise ValueError(f"size is {size}; an image needs at least 16 pixels a side.")
    partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
    try:
        for name in ("images", "labels"):
            (partial / name).mkdir(parents=True)
        workers = workers or os.cpu_count() or 1
        with ProcessPoolExecutor(workers) as pool:
            count = len(source.jobs)
            results = pool.map(_write, source.jobs, [partial] * count, [size] * count, chunksize=8)
            done = list(tqdm(results, total=count, desc=f"prepare {source.name}", unit=" images"))
        items = [item for item, _ in done]
        provenance = {
            "source": source.name,
            "licence": source.licence,
            "citation": source.citation,
            "size": size,
            "images": len(items),
            # one number for the content: order-independent, so the same images give the same checksum
            "checksum": hashlib.sha256("".join(sorted(digest for _, digest in done)).encode()).hexdigest(),
            "skipped": source.skipped,
            "versions": {"python": platform.python_version(), "pillow": version("pillow"), "numpy": version("numpy")},
            **source.facts,
        }
        (partial / DATALIST).write_text(json.dumps(items, indent=1) + "\n")
        (partial / PROVENANCE).write_text(json.dumps(provenance, indent=2) + "\n")
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return items


def read_provenance(folder: Path) -> dict[str, Any]:
    """Read provenance.json of a prepared folder.

    Raises:
        FileNotFoundError: if the folder is not a prepared one.
    """
    return dict(_read_json(folder, PROVENANCE))


def read_datalist(folders: str | Path | Iterable[str | Path], fold: str | None = None) -> list[dict[str, Any]]:
    """Read the items of one or more prepared folders, with absolute paths, in a fixed order.

    Args:
        folders: a prepared folder or several.
        fold: "training", "validation" or "test"; None keeps all.

    Returns:
        Items with the keys image, label, dataset, patient, view, phase, spacing, fold, values.

    Raises:
        FileNotFoundError: if a folder or one of its files is missing.
        ValueError: if `fold` is unknown or no item is left.
    """
    if fold is not None and fold not in FOLDS:
        raise ValueError(f"fold is {fold!r}; it is one of {list(FOLDS)}.")
    folders = [folders] if isinstance(folders, str | Path) else list(folders)
    items = []
    for folder in map(Path, folders):
        for item in _read_json(folder, DATALIST):
            if fold is None or item["fold"] == fold:
                items.append({**item, **{key: str((folder / item[key]).resolve()) for key in ("image", "label")}})
    if not items:
        raise ValueError(f"no item of fold {fold!r} in {[str(folder) for folder in folders]}.")
    return items


def _read_json(folder: Path, name: str) -> Any:
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} is not a prepared dataset: it has no {name}. "
            f"Make one with 'python -m common.datasets phantom OUT' or 'python -m common.datasets camus SOURCE OUT'."
        )
    try:
        return json.loads(path.read_text())
    except ValueError as error:  # not JSON, or not even text
        raise ValueError(f"{path} is not readable JSON ({error}); prepare the dataset again.") from error
