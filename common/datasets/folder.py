"""Anyone's own data: a folder of images and masks that one YAML file describes.

    dataset: gstft                  # its name in label_sets and in every result
    licence: private, not to be shared
    values: {0: [background, left_atrium], 1: lv_cavity, 2: lv_myocardium}  # what each value of a mask may stand for
    files:                          # either a naming pattern; {name} is (a part of) one component of a path ...
      image: "images/{patient}_{view}_{phase}.nii.gz"
      label: "masks/{patient}_{view}_{phase}_mask.png"
    table: cases.csv                # ... or a CSV with a row an image
    spacing: [0.3, 0.3]             # optional: mm per pixel, (row, column), for files that do not tell

docs/own_data.md explains both ways. All paths are relative to the source folder, and nothing outside it is read.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from common.datasets.images import read_annotation, read_grey
from common.datasets.prepared import FOLDS
from common.datasets.source import Frame, Job, Source
from common.datasets.splits import fold_of

__all__ = ["folder"]

MAX_DESCRIPTION = 1024 * 1024  # bytes; a description has a dozen lines
MAX_TABLE = 64 * 1024 * 1024  # bytes; a million rows
KEYS = ("dataset", "licence", "citation", "values", "files", "table", "spacing", "keep")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")  # needs no quotes in YAML and no care in a path
SUFFIX = re.compile(r"\.(nii\.gz|nii|mhd|mha|png|jpe?g|bmp|tiff?|dcm)$", re.IGNORECASE)
PLACEHOLDER = re.compile(r"\{(\w+)\}")
VIEWS = {"2CH": "2CH", "A2C": "2CH", "4CH": "4CH", "A4C": "4CH"}
PHASES = {"ED": "ED", "ES": "ES"}
# column or placeholder -> type of the item's field; the others say where and how to read the image
FIELDS: dict[str, Callable[[str], Any]] = {
    "ef": float,
    "edv": float,
    "esv": float,
    "frame_rate": float,
    "frame": int,
    "quality": str,
    "sex": str,
    "age": float,
    "unlabelled": str.split,
}
COLUMNS = (*FIELDS, "image", "label", "label_frame", "patient", "view", "phase", "fold", "spacing_row", "spacing_column")
WRITTEN = ("dataset", "image", "label", "spacing", "values", "cone", "outside_cone")  # by the preparation, in an item


@dataclass(frozen=True)
class _Description:
    path: Path
    dataset: str
    licence: str
    citation: str
    values: Mapping[int, list[str]]
    files: tuple[str, str] | None
    table: str | None
    spacing: tuple[float, float] | None
    keep: tuple[str, ...]


def folder(source: Path, description: Path) -> Source:
    """Find the images of a folder as a description tells.

    Values of masks are renumbered 0, 1, 2, ... in their order, as label sets are; `facts` keeps the mapping. An image
    of no known patient counts as a patient of its own.

    Args:
        source: the folder that holds images and masks.
        description: a YAML file, see the module.

    Returns:
        The dataset; `facts["bundle_line"]` is the line of `label_sets` in a bundle's bundle.yaml.

    Raises:
        FileNotFoundError: if the folder, the description, the table or every image is missing.
        ValueError: if description or table cannot be understood, or a patient stands in two folds.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"{source} is no folder; SOURCE holds the images and masks that {description} names.")
    told = _read_description(description)
    facts: dict[str, Any] = {"values": {str(value): index for index, value in enumerate(told.values)}}
    if told.table is not None:
        records, left_out = _rows(source, told)
        facts["columns_left_out"] = left_out
    else:
        records = _matches(source, told)
    jobs: dict[str, Job] = {}
    skipped: dict[str, str] = {}
    folds: dict[str, str] = {}
    for place, record in records:
        try:
            job = _job(source, told, record)
        except OSError as error:
            skipped[record["image"]] = str(error)
            continue
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
        if job.id.lower() in jobs:
            raise ValueError(f"{place}: {job.id} is there already. Rename one of the images or give its frame.")
        patient, fold = job.item["patient"], job.item["fold"]
        if folds.setdefault(patient, fold) != fold:
            raise ValueError(f"{place}: patient {patient!r} is in the fold {folds[patient]!r} already, not {fold!r}.")
        jobs[job.id.lower()] = job
    if any(job.item["patient"] == job.id for job in jobs.values()):
        facts["patients"] = "not told for all images; those count as patients of their own and may straddle folds"
    sets = list(told.values.values())
    facts["bundle_line"] = f"  {told.dataset}: [{', '.join(f'[{", ".join(names)}]' for names in sets)}]"
    return Source(told.dataset, list(jobs.values()), told.licence, told.citation, {told.dataset: sets}, skipped, facts)


def _read(
    image: Path,
    label: Path,
    frame: int | None,
    label_frame: int | None,
    stated: tuple[float, float] | None,
    values: tuple[int, ...],
) -> Frame:
    grey, spacing = read_grey(image, frame)
    annotation, label_spacing = read_annotation(label, label_frame)
    if grey.shape != annotation.shape:
        raise ValueError(f"{label} has shape {annotation.shape}, its image {grey.shape}.")
    for other, name in ((label_spacing, label), (stated, "the description")):
        if spacing and other and not np.allclose(spacing, other, rtol=1e-3):
            raise ValueError(f"{image} has spacing {spacing} mm, {name} {other} mm. Correct one of them.")
        spacing = spacing or other
    if unknown := sorted(set(np.unique(annotation).tolist()) - set(values)):
        raise ValueError(f"{label} holds the annotation values {unknown}; the description names {list(values)}.")
    return Frame(grey, np.searchsorted(values, annotation).astype(np.uint8), spacing)


def _job(source: Path, told: _Description, record: Mapping[str, str]) -> Job:
    """Make a job of a record; OSError means that this image is left out, ValueError that the record is wrong."""
    item: dict[str, Any] = {name: kind(record[name]) for name, kind in FIELDS.items() if name in record}
    item |= {name: value for name, value in record.items() if name not in COLUMNS}
    if unknown := set(item.get("unlabelled", ())) - {name for names in told.values.values() for name in names}:
        raise ValueError(f"unlabelled names {sorted(unknown)}, which `values` does not.")
    image, label = (_inside(source, record, key) for key in ("image", "label"))
    # the frame of a naming pattern tells of the still, that of a table where to look in the clip
    frame = item.get("frame") if told.table is not None else None
    name = SUFFIX.sub("", record["image"]) + (f"_{frame}" if frame is not None else "")
    identity = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".-")
    patient = record.get("patient", identity)
    fold = record.get("fold") or fold_of(told.dataset, patient)
    if fold not in FOLDS:
        raise ValueError(f"fold is {fold!r}, allowed are {list(FOLDS)}.")
    label_frame = int(record["label_frame"]) if "label_frame" in record else None
    lengths = [record[name] for name in ("spacing_row", "spacing_column") if name in record]
    spacing = _spacing(lengths) if lengths else told.spacing
    item |= {"dataset": told.dataset, "patient": patient, "fold": fold}
    item |= {"view": _known(record, "view", VIEWS), "phase": _known(record, "phase", PHASES)}
    return Job(identity, item, partial(_read, image, label, frame, label_frame, spacing, tuple(told.values)))


def _inside(source: Path, record: Mapping[str, str], key: str) -> Path:
    if key not in record:
        raise OSError(f"no {key} is named")
    path = source / record[key]
    if not path.resolve().is_relative_to(source.resolve()):
        raise OSError(f"{key} {record[key]} leaves SOURCE")
    if not path.is_file():
        raise OSError(f"{key} {record[key]} is missing")
    return path


def _known(record: Mapping[str, str], key: str, names: Mapping[str, str]) -> str | None:
    if key not in record:
        return None
    if record[key].upper() not in names:
        raise OSError(f"{key} {record[key]!r} is not among {list(names)}")
    return names[record[key].upper()]


def _matches(source: Path, told: _Description) -> list[tuple[str, dict[str, str]]]:
    """Find the files of the naming pattern: where told, and what the name tells."""
    assert_image, label = told.files or ("", "")
    seen: set[str] = set()

    def group(match: re.Match[str]) -> str:
        name = match[1]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        # a view or phase holds no separator, so a patient's name may
        return f"(?P<{name}>{'[A-Za-z0-9]+' if name in ('view', 'phase') else '[^/]+?'})"
    raise NotImplementedError
