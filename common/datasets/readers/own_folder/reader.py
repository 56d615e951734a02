"""Anyone's own data: a folder of images and masks that one YAML file describes.

    dataset: gstft                  # its name in label_sets and in every result
    licence: private, not to be shared
    values: {0: [background, left_atrium], 1: lv_cavity, 2: lv_myocardium}  # what each value of a mask may stand for
    files:                          # either a naming pattern; {name} is (a part of) one component of a path ...
      image: "images/{patient}_{view}_{phase}.nii.gz"
      label: "masks/{patient}_{view}_{phase}_mask.png"
    table: cases.csv                # ... or a CSV with a row an image
    spacing: [0.3, 0.3]             # optional: mm per pixel, (row, column), for files that do not tell

docs/own_data.md explains both ways. Paths are relative to the source folder, and nothing outside it is read.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ....spelling import nearest
from ...files.images import read_annotation, read_grey
from ...prepared.layout import FOLDS
from ...prepared.source import Frame, Job, Source
from ...prepared.splits import fold_of
from ...views import PHASE_WORDS, VIEW_WORDS
from .description import Description, read_description, spacing_of

__all__ = ["folder"]

MAX_TABLE = 64 * 1024 * 1024  # bytes; half a million rows
SUFFIX = re.compile(r"\.(nii\.gz|nii|mhd|mha|png|jpe?g|bmp|tiff?|dcm)$", re.IGNORECASE)
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# column or placeholder -> what the item tells
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
PLACES = ("image", "label", "label_frame", "spacing_row", "spacing_column")  # where and how to read
COLUMNS = (*PLACES, "patient", "view", "phase", "fold", *FIELDS)
WRITTEN = ("dataset", "spacing", "values", "sector", "outside_sector")  # fields that others write into an item

Record = dict[str, str]


def folder(source: Path, description: Path) -> Source:
    """Find the images of a folder as a description tells.

    Values of masks become 0, 1, 2, ... in their order, for label sets are lists; `facts["annotation_values"]` keeps the
    mapping. An image of no known patient counts as a patient of its own.

    Args:
        source: the folder that holds images and masks.
        description: a YAML file, as above.

    Returns:
        The dataset; `facts["bundle_line"]` is its line of `label_sets` in a bundle's bundle.yaml.

    Raises:
        FileNotFoundError: if the folder, the description or the table is missing, or no image has the pattern's name.
        ValueError: if description or table cannot be understood, or a patient stands in two folds.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"{source} is no folder; SOURCE holds the images and masks that {description} names.")
    told = read_description(description)
    sets = list(told.values.values())
    facts: dict[str, Any] = {
        "annotation_values": {str(value): index for index, value in enumerate(told.values)},
        "bundle_line": f"  {told.dataset}: [[{'], ['.join(', '.join(names) for names in sets)}]]",
    }
    try:
        if told.files:
            records = _matches(source, *told.files)
        else:
            records, facts["columns_left_out"] = _rows(source, told)
    except ValueError as error:
        raise ValueError(f"{description}: {error}") from error
    jobs: dict[str, Job] = {}
    skipped: dict[str, str] = {}
    folds: dict[str, str] = {}
    for place, record in records.items():
        try:
            job = _job(source, told, record)
        except OSError as error:
            skipped[place] = str(error)
            continue
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
        if job.id.lower() in jobs:
            raise ValueError(f"{place}: {job.id} is there already. Give each image another name, each frame a number.")
        patient, fold = job.item["patient"], job.item["fold"]
        if folds.setdefault(patient, fold) != fold:
            raise ValueError(f"{place}: patient {patient!r} is in the fold {folds[patient]!r} already, not {fold!r}.")
        jobs[job.id.lower()] = job
    if any("patient" not in record for record in records.values()):
        facts["patients"] = "not told of every image; those count as patients of their own and may straddle folds"
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


def _job(source: Path, told: Description, record: Record) -> Job:
    # OSError: this image is left out; ValueError: the record is wrong, nothing is prepared
    image, label = (_inside(source, record, key) for key in ("image", "label"))
    item = {name: _converted(record, name, kind) for name, kind in FIELDS.items() if name in record}
    item |= {name: value for name, value in record.items() if name not in COLUMNS}
    if unknown := set(item.get("unlabelled", ())) - {name for names in told.values.values() for name in names}:
        raise ValueError(f"unlabelled names {sorted(unknown)}, which are not among the classes of 'values'.")
    # in a table `frame` is where to look in the clip; in the name of a still it tells where the still was
    frame = item.get("frame") if told.table else None
    name = SUFFIX.sub("", record["image"]) + ("" if frame is None else f"_{frame}")
    identity = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".-")
    patient = record.get("patient", identity)
    fold = record.get("fold") or fold_of(told.dataset, patient)
    if fold not in FOLDS:
        raise ValueError(f"fold is {fold!r}, allowed are {list(FOLDS)}.")
    label_frame = _converted(record, "label_frame", int) if "label_frame" in record else None
    lengths = [record[name] for name in ("spacing_row", "spacing_column") if name in record]
    spacing = spacing_of(lengths) if lengths else told.spacing
    item |= {"dataset": told.dataset, "patient": patient, "fold": fold}
    item |= {
        "view": _known(record, "view", VIEW_WORDS),
        "phase": _known(record, "phase", PHASE_WORDS),
    }
    return Job(identity, item, partial(_read, image, label, frame, label_frame, spacing, tuple(told.values)))


def _inside(source: Path, record: Record, key: str) -> Path:
    if key not in record:
        raise OSError(f"no {key} is named")
    path = source / record[key]
    if not _is_within(source, path):
        raise OSError(f"{key} {record[key]} leaves SOURCE")
    if not path.is_file():
        raise OSError(f"{key} {record[key]} is missing")
    return path


def _is_within(source: Path, path: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(source))


def _known(record: Record, key: str, names: Mapping[str, str]) -> str | None:
    if key not in record:
        return None
    if record[key].upper() not in names:
        raise OSError(f"{key} {record[key]!r} is not among {list(names)}")
    return names[record[key].upper()]


def _converted(record: Record, name: str, kind: Callable[[str], Any]) -> Any:
    try:
        value = kind(record[name])
    except ValueError:
        value = math.nan
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {record[name]!r}, a number is expected.")
    return value


def _matches(source: Path, image: str, label: str) -> dict[str, Record]:
    """Find the files whose names follow the pattern `image`; each is told by its path."""
    names = PLACEHOLDER.findall(image)
    if missing := set(PLACEHOLDER.findall(label)) - set(names):
        raise ValueError(f"the pattern of 'label' has {sorted(missing)}, which that of 'image' has not.")
    if taken := sorted(set(names) & {*WRITTEN, *PLACES}):
        raise ValueError(f"the pattern of 'image' has {taken}, which have another meaning. Rename them.")
    _check_names(names, keep=())
    pattern = re.compile(_expression(image))
    records = {}
    for directory, _, files in os.walk(source):
        for name in files:
            path = (Path(directory) / name).relative_to(source).as_posix()
            if match := pattern.fullmatch(path):
                told = match.groupdict()
                mask = "".join(told[part] if index % 2 else part for index, part in enumerate(PLACEHOLDER.split(label)))
                records[path] = {**told, "image": path, "label": mask}
    masks = {record["label"] for record in records.values()}
    records = {path: records[path] for path in sorted(records) if path not in masks}  # p_mask.png is no patient p_mask
    if not records:
        raise FileNotFoundError(f"no file in {source} is named like the image {image!r}.")
    return records


def _expression(pattern: str) -> str:
    expression, seen = "", set()
    for index, part in enumerate(PLACEHOLDER.split(pattern)):
        if index % 2 == 0:
            expression += re.escape(part)
        elif part in seen:
            expression += f"(?P={part})"
        else:
            # a view or phase holds no separator, so that a patient's name may
            characters = {"view": "[A-Za-z0-9]+", "phase": "[A-Za-z0-9]+", "frame": "[0-9]+"}.get(part, "[^/]+?")
            expression += f"(?P<{part}>{characters})"
        seen.add(part)
    return expression


def _rows(source: Path, told: Description) -> tuple[dict[str, Record], list[str]]:
    """Read the table; each record is told by its line. Also name the columns that are left out."""
    path = source / str(told.table)
    if not _is_within(source, path) or not path.is_file():
        raise FileNotFoundError(f"the table {path} is missing or leaves SOURCE; its path is relative to SOURCE.")
    with path.open("rb") as file:
        content = file.read(MAX_TABLE + 1)
    if len(content) > MAX_TABLE:
        raise ValueError(f"{path} has more than {MAX_TABLE} bytes; split the table.")
    try:
        text = content.decode("utf-8-sig")
        header = text.partition("\n")[0]
        delimiter = ";" if header.count(";") > header.count(",") else ","
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        names = [name.strip() for name in next(lines, [])]
        if len(set(names)) < len(names) or not {"image", "label", *told.keep} <= set(names):
            raise ValueError(
                f"columns {names}; each has a name of its own, {['image', 'label', *told.keep]} are needed."
            )
        _check_names(names, told.keep)
        copied = {*COLUMNS, *told.keep}
        records = {}
        for line in lines:
            if line and len(line) != len(names):
                raise ValueError(f"line {lines.line_num} has {len(line)} cells, the header {len(names)}.")
            cells = {name: cell.strip() for name, cell in zip(names, line, strict=False) if name in copied}
            if any(cells.values()):
                records[f"{told.table}, line {lines.line_num}"] = {name: cell for name, cell in cells.items() if cell}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error.reason}); save the table as UTF-8.") from error
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from error
    return records, [name for name in names if name not in copied]


def _check_names(names: Collection[str], keep: Collection[str]) -> None:
    for name in names:
        meant = None if name in (*COLUMNS, *keep) else nearest(name, set(COLUMNS) - set(names), cutoff=0.77)
        if meant:
            raise ValueError(
                f"{name!r} is unknown. Did you mean {meant!r}? Rename it (a column may also be listed under 'keep')."
            )
    if taken := sorted(set(keep) & set(WRITTEN)):
        raise ValueError(f"{taken} cannot be kept, for the prepared set has fields of that name. Rename them.")
