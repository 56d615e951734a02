"""Your own volumes: a folder of images and masks, described in one YAML file.

    dataset: clinic                 # its name in every result
    licence: private, not to be shared
    modality: CT                    # optional
    values: {0: background, 1: bladder, 2: rectum, 254: unannotated, 255: ignore}
    files:                          # either naming patterns; {name} is one component of a path, or a part of it ...
      image: "ct/{patient}.nii.gz"
      label: "masks/{patient}.nii.gz"                # one mask file, or ...
      label: "masks/{patient}/{structure}.nii.gz"    # ... one for each structure, or ...
      label: {bladder: "masks/{patient}_bl.nii.gz", rectum: "masks/{patient}_re.nii.gz"}
    table: cases.csv                # ... or a CSV with one row per volume
    orientation: LPS                # optional: where the axes of files run to that do not state it
    empty_slices: 254               # optional: slices whose mask is 0 everywhere are unannotated
    spacing: [2, 2, 2]              # mm along (x, y, z) that all are resampled to; leave out to keep their own
    window: [-200, 200]             # values beyond are clipped; leave out to keep all

A structure without a mask file, or in the column `unlabelled` of the table, is not annotated in this patient: it may
be anywhere. An empty mask says that it is absent. `unannotated` stands for every class. Columns of the table: image,
label (or one for each structure, with the path of its mask), patient, fold, unlabelled, sex, age, and those of `keep`.

Files are NIfTI, MetaImage (.mhd, .mha) or NRRD; an image may also be the folder of one DICOM series ("{patient}/ct"), a
mask a DICOM segmentation (.dcm), whose values are the numbers of its segments.

docs/own_data.md explains all. Paths are relative to the source folder; nothing outside it is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ...files.volume.volume_file import SUFFIXES
from ...prepared.layout import FOLDS
from ...prepared.source import Job, Source
from ..own_folder.records import Record, converted, filled, inside, jobs_of, matches, no_image, placeholders, rows
from ..volume_and_masks import read_volume_and_masks
from .description import VolumesDescription

__all__ = ["VOLUME_COLUMNS", "volumes"]

FIELDS: dict[str, Callable[[str], Any]] = {"age": float, "sex": str, "unlabelled": str.split}
PLACES = ("image", "label", "structure")
VOLUME_COLUMNS = ("image", "label", "patient", "fold", *FIELDS)
SUFFIX = re.compile(rf"({'|'.join(map(re.escape, sorted(SUFFIXES, key=len, reverse=True)))})$", re.IGNORECASE)


def volumes(source: Path, about: VolumesDescription) -> Source:
    """Find the volumes of a folder from its description, a YAML file as above.

    Columns of the table that are not used are in `facts["columns_left_out"]`.

    Raises:
        FileNotFoundError: if the folder or the table is missing, no file matches the pattern, or a structure has no
            mask at all.
        ValueError: if the table is malformed, or a patient is in two folds.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"{source} is not a directory; SOURCE is the folder that {about.path} describes.")
    facts: dict[str, Any] = {"modality": about.modality} if about.modality else {}
    try:
        if about.image is not None:
            records = _matches(source, about)
        else:
            columns = [*VOLUME_COLUMNS, *about.structures]
            records, facts["columns_left_out"] = rows(source, str(about.table), ["image"], columns, about.keep)
    except ValueError as error:
        raise ValueError(f"{about.path}: {error}") from error
    jobs, skipped = jobs_of(records, partial(_job, source, about), "Give volumes different names.")
    if any("patient" not in record for record in records.values()):
        facts["patients"] = "volumes without patient count as patients of their own; one person may be in several folds"
    sets = {about.dataset: about.values}
    return Source(about.dataset, jobs, about.licence, about.citation, sets, skipped, facts)


def _job(source: Path, about: VolumesDescription, record: Record) -> Job:
    """Turn a record into a job; raise OSError to leave out this volume, ValueError to stop."""
    image = inside(source, record, "image", with_folders=True)
    item = {name: converted(record, name, kind) for name, kind in FIELDS.items() if name in record}
    taken = {*VOLUME_COLUMNS, *about.structures}
    item |= {name: value for name, value in record.items() if name not in taken}
    mentioned = {name for names in about.values.values() for name in names} - {"background", "ignore"}
    if unknown := set(item.get("unlabelled", ())) - mentioned:
        raise ValueError(f"unlabelled names {sorted(unknown)}, which are not among the classes of 'values'.")
    identity = re.sub(r"[^A-Za-z0-9_.-]+", "_", SUFFIX.sub("", record["image"])).lstrip(".-")
    fold = record.get("fold")  # None: preparation assigns one
    if fold not in (None, *FOLDS):
        raise ValueError(f"fold is {fold!r}, expected one of {list(FOLDS)}.")
    item |= {"dataset": about.dataset, "patient": record.get("patient", identity), "fold": fold}
    read = partial(
        read_volume_and_masks,
        values=tuple(about.values),
        orientation=about.orientation,
        empty_slices=about.empty_slices,
    )
    if "label" in record:
        return Job(identity, item, partial(read, image, inside(source, record, "label")))
    masks = {name: inside(source, record, name) for name in about.structures if name in record}
    missing = [name for name in about.structures if name not in masks]
    if unlabelled := list(dict.fromkeys([*item.get("unlabelled", ()), *missing])):
        item["unlabelled"] = unlabelled
    drawn = tuple(about.structures[name] for name in masks)
    return Job(identity, item, partial(read, image, *masks.values(), structures=drawn))


def _matches(source: Path, about: VolumesDescription) -> dict[str, Record]:
    """Return a record for each file whose path matches the pattern `image`, with the masks that it has."""
    image, label = str(about.image), about.label or ""
    patterns: Mapping[str, str] = {"label": label} if isinstance(label, str) else label
    for name, pattern in patterns.items():
        if missing := set(placeholders(pattern)) - set(placeholders(image)):
            raise ValueError(f"the pattern of '{name}' has {sorted(missing)}, which the pattern of 'image' lacks.")
    found = matches(source, image, VOLUME_COLUMNS, (*PLACES, *about.structures), with_folders=True)
    masks = {path: {name: filled(one, parts) for name, one in patterns.items()} for path, parts in found.items()}
    taken = {mask for own in masks.values() for mask in own.values()}
    records: dict[str, Record] = {}
    for path, parts in found.items():
        if path not in taken:  # p_mask.nii is a mask, not the image of a patient p_mask
            own = masks[path] if isinstance(label, str) else _there(source, masks[path])
            records[path] = {**parts, "image": path, **own}
    if not records:
        raise no_image(source, image, found)
    for name in patterns:
        if not any(name in record for record in records.values()):
            raise FileNotFoundError(
                f"{about.path}: no image in {source} has a mask of {name!r}, whose pattern is {patterns[name]!r}."
            )
    return records


def _there(source: Path, masks: Mapping[str, str]) -> Record:
    """Return the masks that exist: a structure without one is not annotated."""
    return {name: path for name, path in masks.items() if (source / path).exists()}
