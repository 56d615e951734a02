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

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ....label_sets import IGNORE
from ...prepared.layout import FOLDS
from ...prepared.source import Job, Source, spacing_of
from ...views import PHASE_WORDS, VIEW_WORDS
from ..image_and_mask import read_image_and_mask
from .description import Description, read_description
from .records import Record, converted, filled, inside, jobs_of, matches, no_image, placeholders, rows

__all__ = ["COLUMNS", "folder"]

SUFFIX = re.compile(r"\.(nii\.gz|nii|mhd|mha|png|jpe?g|bmp|tiff?|dcm)$", re.IGNORECASE)
# column or placeholder -> type of the item's field
FIELDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("ef", "edv", "esv", "frame_rate", "age"), float),
    **dict.fromkeys(("quality", "sex"), str),
    "frame": int,
    "unlabelled": str.split,
}
PLACES = ("image", "label", "label_frame", "spacing_row", "spacing_column")  # where and how to read
COLUMNS = (*PLACES, "patient", "view", "phase", "fold", *FIELDS)


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
            needed = ("image", "label")
            records, facts["columns_left_out"] = rows(source, str(about.table), needed, COLUMNS, about.keep)
    except ValueError as error:
        raise ValueError(f"{description}: {error}") from error
    jobs, skipped = jobs_of(records, partial(_job, source, about), "Give images different names, frames numbers.")
    if any("patient" not in record for record in records.values()):
        facts["patients"] = "images without patient count as patients of their own; one person may be in several folds"
    sets = {about.dataset: about.values}
    return Source(about.dataset, jobs, about.licence, about.citation, sets, skipped, facts)


def _check_volumes(item: Mapping[str, Any]) -> None:
    """Refuse an ejection fraction that is not a percentage, and volumes below 0."""
    for name in ("edv", "esv"):
        if item.get(name, 0) < 0:
            raise ValueError(f"{name} is {item[name]:g}, expected a volume in ml.")
    if not 1 < item.get("ef", 50) < 100:
        raise ValueError(f"ef is {item['ef']:g}, expected a percentage between 1 and 100.")


def _job(source: Path, about: Description, record: Record) -> Job:
    """Turn a record into a job; raise OSError to leave out this image, ValueError to stop."""
    image, label = (inside(source, record, key) for key in ("image", "label"))
    item = {name: converted(record, name, kind) for name, kind in FIELDS.items() if name in record}
    _check_volumes(item)
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
    label_frame = converted(record, "label_frame", int) if "label_frame" in record else None
    lengths = [record[name] for name in ("spacing_row", "spacing_column") if name in record]
    spacing = spacing_of(lengths) if lengths else about.spacing
    item |= {"dataset": about.dataset, "patient": patient, "fold": fold}
    item |= {"view": _recognise(record, "view", VIEW_WORDS), "phase": _recognise(record, "phase", PHASE_WORDS)}
    values = tuple(about.values)
    return Job(identity, item, partial(read_image_and_mask, image, label, values, frame, label_frame, spacing))


def _recognise(record: Record, key: str, names: Mapping[str, str]) -> str | None:
    if key not in record:
        return None
    if record[key].upper() not in names:
        raise OSError(f"{key} {record[key]!r} is not among {list(names)}")
    return names[record[key].upper()]


def _matches(source: Path, image: str, label: str) -> dict[str, Record]:
    """Return a record for each file whose path matches the pattern `image`."""
    if missing := set(placeholders(label)) - set(placeholders(image)):
        raise ValueError(f"the pattern of 'label' has {sorted(missing)}, which the pattern of 'image' lacks.")
    found = matches(source, image, COLUMNS, PLACES)
    records = {path: {**parts, "image": path, "label": filled(label, parts)} for path, parts in found.items()}
    masks = {record["label"] for record in records.values()}
    # p_mask.png is a mask, not the image of a patient p_mask
    records = {path: record for path, record in records.items() if path not in masks}
    if not records:
        raise no_image(source, image, found)
    return records
