"""Your own data: a folder of images and masks, described in one YAML file.

    dataset: clinic                 # its name in every result
    licence: private, not to be shared
    values: {0: background, 1: lv_cavity, 255: ignore}  # class, or list of classes, that each mask value may stand for
    files:                          # either naming patterns; {name} is one component of a path, or a part of it ...
      image: "images/{patient}_{view}_{phase}.nii.gz"
      label: "masks/{patient}_{view}_{phase}_mask.png"
    table: cases.csv                # ... or a CSV with one row per image
    spacing: [0.3, 0.3]             # optional: mm per pixel, (row, column), for files without spacing
    modality: US                    # optional: the ultrasound sector is sought unless it is CT, MR, XR, PT or OT

docs/own_data.md explains both ways. Paths are relative to the source folder; nothing outside it is read.
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

from ....label_sets import IGNORE
from ....spelling import did_you_mean, nearest
from ...prepared.layout import FOLDS
from ...prepared.source import Job, Source, spacing_of
from ...views import PHASE_WORDS, VIEW_WORDS
from ..image_and_mask import read_image_and_mask
from ..tables import check_size
from .description import Description, read_description

__all__ = ["folder", "unused_columns"]

SUFFIX = re.compile(r"\.(nii\.gz|nii|mhd|mha|png|jpe?g|bmp|tiff?|dcm)$", re.IGNORECASE)
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# column or placeholder -> type of the item's field
FIELDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("ef", "edv", "esv", "frame_rate", "age"), float),
    **dict.fromkeys(("quality", "sex"), str),
    "frame": int,
    "unlabelled": str.split,
}
PLACES = ("image", "label", "label_frame", "spacing_row", "spacing_column")  # where and how to read
COLUMNS = (*PLACES, "patient", "view", "phase", "fold", *FIELDS)
WRITTEN = ("dataset", "spacing", "values", "sector", "outside_sector")  # fields that preparation writes

Record = dict[str, str]


def folder(source: Path, description: Path) -> Source:
    """Find the images of a folder from its description, a YAML file as above.

    Masks keep their values. An image without patient counts as a patient of its own. Columns of the table that are
    not used are in `facts["columns_left_out"]`.

    Raises:
        FileNotFoundError: if folder, description or table is missing, or no file matches the pattern.
        ValueError: if description or table is malformed, or a patient is in two folds.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"{source} is not a directory; SOURCE is the folder that {description} describes.")
    about = read_description(description)
    facts: dict[str, Any] = {"modality": about.modality} if about.modality else {}
    facts |= {"spacing": list(about.spacing)} if about.spacing else {}
    try:
        if about.files:
            records = _matches(source, *about.files)
        else:
            records, facts["columns_left_out"] = _rows(source, about)
    except ValueError as error:
        raise ValueError(f"{description}: {error}") from error
    jobs: dict[str, Job] = {}
    skipped: dict[str, str] = {}
    folds: dict[str, str] = {}
    for place, record in records.items():
        try:
            job = _job(source, about, record)
        except OSError as error:
            skipped[place] = str(error)
            continue
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
        if job.id.lower() in jobs:
            raise ValueError(f"{place}: {job.id} exists already. Give images different names, frames numbers.")
        patient, fold = job.item["patient"], job.item["fold"]
        if fold and folds.setdefault(patient, fold) != fold:
            raise ValueError(f"{place}: patient {patient!r} is in the fold {folds[patient]!r} already, not {fold!r}.")
        jobs[job.id.lower()] = job
    if any("patient" not in record for record in records.values()):
        facts["patients"] = "images without patient count as patients of their own; one person may be in several folds"
    sets = {about.dataset: about.values}
    return Source(about.dataset, list(jobs.values()), about.licence, about.citation, sets, skipped, facts)


def unused_columns(names: Collection[str]) -> str:
    """Describe columns of a table that are not used, with the names that may have been meant.

    Example:
        >>> unused_columns(["mm_row", "born"])
        "mm_row (did you mean 'spacing_row'?), born"
    """
    close = {name: nearest(name, COLUMNS, cutoff=0.45) for name in names}
    return ", ".join(name + (f" (did you mean {known!r}?)" if known else "") for name, known in close.items())


def _job(source: Path, about: Description, record: Record) -> Job:
    """Turn a record into a job; raise OSError to leave out this image, ValueError to stop."""
    image, label = (_inside(source, record, key) for key in ("image", "label"))
    item = {name: _convert(record, name, kind) for name, kind in FIELDS.items() if name in record}
    item |= {name: value for name, value in record.items() if name not in COLUMNS}
    mentioned = {name for names in about.values.values() for name in names} - {"background", IGNORE}
    if unknown := set(item.get("unlabelled", ())) - mentioned:
        raise ValueError(f"unlabelled names {sorted(unknown)}, which are not among the classes of 'values'.")
    # in a table, `frame` is a position in the clip to read; in a file name, the position that a still was taken from
    frame = item.get("frame") if about.table else None
    name = SUFFIX.sub("", record["image"]) + ("" if frame is None else f"_{frame}")
    identity = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".-")
    patient = record.get("patient", identity)
    fold = record.get("fold")  # None: preparation assigns one
    if fold not in (None, *FOLDS):
        raise ValueError(f"fold is {fold!r}, expected one of {list(FOLDS)}.")
    label_frame = _convert(record, "label_frame", int) if "label_frame" in record else None
    lengths = [record[name] for name in ("spacing_row", "spacing_column") if name in record]
    spacing = spacing_of(lengths) if lengths else about.spacing
    item |= {"dataset": about.dataset, "patient": patient, "fold": fold}
    item |= {"view": _recognise(record, "view", VIEW_WORDS), "phase": _recognise(record, "phase", PHASE_WORDS)}
    values = tuple(about.values)
    return Job(identity, item, partial(read_image_and_mask, image, label, values, frame, label_frame, spacing))


def _inside(source: Path, record: Record, key: str) -> Path:
    if key not in record:
        raise OSError(f"{key} is not given")
    path = source / record[key]
    if not _is_within(source, path):
        raise OSError(f"{key} {record[key]} is outside SOURCE")
    if not path.is_file():
        raise OSError(f"{key} {record[key]} is missing")
    return path


def _is_within(source: Path, path: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(source))


def _recognise(record: Record, key: str, names: Mapping[str, str]) -> str | None:
    if key not in record:
        return None
    if record[key].upper() not in names:
        raise OSError(f"{key} {record[key]!r} is not among {list(names)}")
    return names[record[key].upper()]


def _convert(record: Record, name: str, kind: Callable[[str], Any]) -> Any:
    try:
        value = kind(record[name])
    except ValueError:
        value = math.nan
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {record[name]!r}, expected a number.")
    return value


def _matches(source: Path, image: str, label: str) -> dict[str, Record]:
    """Return a record for each file whose path matches the pattern `image`."""
    names = PLACEHOLDER.findall(image)
    if missing := set(PLACEHOLDER.findall(label)) - set(names):
        raise ValueError(f"the pattern of 'label' has {sorted(missing)}, which the pattern of 'image' lacks.")
    if taken := sorted(set(names) & {*WRITTEN, *PLACES}):
        raise ValueError(f"the pattern of 'image' has {taken}, which are reserved. Rename them.")
    _check_names(names, keep=())
    pattern, label_parts = re.compile(_expression(image)), PLACEHOLDER.split(label)
    records = {}
    for directory, _, files in os.walk(source):
        for name in files:
            path = (Path(directory) / name).relative_to(source).as_posix()
            if match := pattern.fullmatch(path):
                parts = match.groupdict()
                mask = "".join(parts[part] if index % 2 else part for index, part in enumerate(label_parts))
                records[path] = {**parts, "image": path, "label": mask}
    masks = {record["label"] for record in records.values()}
    # p_mask.png is a mask, not the image of a patient p_mask
    records = {path: records[path] for path in sorted(records) if path not in masks}
    if not records:
        raise FileNotFoundError(f"no file in {source} matches the pattern {image!r} of 'image'.")
    return records


def _expression(pattern: str) -> str:
    expression, seen = "", set()
    for index, part in enumerate(PLACEHOLDER.split(pattern)):
        if index % 2 == 0:
            expression += re.escape(part)
        elif part in seen:
            expression += f"(?P={part})"
        else:
            # views and phases have no separators, so that names of patients may
            characters = {"view": "[A-Za-z0-9]+", "phase": "[A-Za-z0-9]+", "frame": "[0-9]+"}.get(part, "[^/]+?")
            expression += f"(?P<{part}>{characters})"
        seen.add(part)
    return expression


def _rows(source: Path, about: Description) -> tuple[dict[str, Record], list[str]]:
    """Read the table; return a record for each line, and the names of the columns that are left out."""
    path = source / str(about.table)
    if not _is_within(source, path) or not path.is_file():
        raise FileNotFoundError(f"the table {path} is missing or outside SOURCE; its path is relative to SOURCE.")
    check_size(path, 64 * 1024 * 1024)  # half a million rows
    try:
        text = path.read_text(encoding="utf-8-sig")
        header = text.partition("\n")[0]
        delimiter = ";" if header.count(";") > header.count(",") else ","
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        names = [name.strip() for name in next(lines, [])]
        needed = ["image", "label", *about.keep]
        if len(set(names)) < len(names) or not set(needed) <= set(names):
            raise ValueError(f"the columns are {names}, expected unique names that include {needed}.")
        _check_names(names, about.keep)
        copied = {*COLUMNS, *about.keep}
        records = {}
        for line in lines:
            if line and len(line) != len(names):
                raise ValueError(f"line {lines.line_num} has {len(line)} cells, the header {len(names)}.")
            cells = {name: cell.strip() for name, cell in zip(names, line, strict=False) if name in copied}
            if any(cells.values()):
                records[f"{about.table}, line {lines.line_num}"] = {name: cell for name, cell in cells.items() if cell}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error.reason}); save the table as UTF-8.") from error
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from error
    return records, [name for name in names if name not in copied]


def _check_names(names: Collection[str], keep: Collection[str]) -> None:
    for name in names:
        known = name in (*COLUMNS, *keep)
        if hint := "" if known else did_you_mean(name, set(COLUMNS) - set(names), cutoff=0.77):
            raise ValueError(f"{name!r} is unknown.{hint} Rename it (a column may also be listed under 'keep').")
    if taken := sorted(set(keep) & set(WRITTEN)):
        raise ValueError(f"{taken} cannot be kept because the prepared set has fields of these names. Rename them.")
