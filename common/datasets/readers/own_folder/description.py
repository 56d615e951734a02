"""YAML file in which users describe their own folder of images and masks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....label_sets import IGNORE
from ....spelling import did_you_mean
from ....strict_yaml import read_yaml
from ...prepared.source import check_case, spacing_of
from ..tables import check_size

__all__ = ["MAX_BYTES", "Description", "dataset_and_columns", "modality_of", "read_description", "text_of", "values_of"]

MAX_BYTES = 1024 * 1024  # a description has a dozen lines
KEYS = ("dataset", "licence", "citation", "modality", "values", "files", "table", "spacing", "keep")
MODALITIES = ("US", "CT", "MR", "XR", "PT", "OT")  # ultrasound, CT, MRI, X-ray, PET, other
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")  # needs no quotes in YAML


@dataclass(frozen=True)
class Description:
    """Checked content of the YAML file.

    Args:
        dataset: its name.
        licence: its terms in one line.
        citation: what users must cite; may be empty.
        values: annotation value -> classes that it may stand for, or "ignore", in the order of the values.
        files: naming patterns of image and mask, or None if there is a table.
        table: path of a CSV, relative to the source, or None.
        spacing: mm per pixel, (row, column), for files without spacing; None if unknown.
        keep: further columns of the table to copy.
        modality: one of `MODALITIES`, or None if unknown.
    """

    dataset: str
    licence: str
    citation: str
    values: Mapping[int, list[str]]
    files: tuple[str, str] | None
    table: str | None
    spacing: tuple[float, float] | None
    keep: tuple[str, ...]
    modality: str | None


def read_description(path: Path) -> Description:
    """Read and check a description; a wrong entry raises a ValueError that names its key."""
    check_size(path, MAX_BYTES)
    content = read_yaml(path)
    try:
        return _parse(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _parse(content: Any) -> Description:
    dataset, keep = dataset_and_columns(content, KEYS)
    files = None
    if "files" in content:
        if not isinstance(content["files"], dict) or set(content["files"]) != {"image", "label"}:
            raise ValueError("'files' must have two naming patterns, 'image' and 'label'.")
        files = (text_of(content["files"], "image"), text_of(content["files"], "label"))
    return Description(
        dataset=dataset,
        licence=text_of(content, "licence"),
        citation=text_of(content, "citation") if content.get("citation") else "",
        values=values_of(content.get("values")),
        files=files,
        table=text_of(content, "table") if "table" in content else None,
        spacing=spacing_of(content["spacing"]) if content.get("spacing") is not None else None,
        keep=keep,
        modality=modality_of(content["modality"]) if "modality" in content else None,
    )


def dataset_and_columns(content: Any, keys: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Check the keys of a description; return the name of the dataset and the columns to keep."""
    if not isinstance(content, dict):
        raise ValueError(f"expected 'key: value' with keys among {list(keys)}.")
    for key in content:
        if key not in keys:
            hint = did_you_mean(key, keys, cutoff=0.77)
            raise ValueError(f"unknown key {str(key)[:50]!r}.{hint} Allowed: {list(keys)}.")
    if ("files" in content) == ("table" in content):
        raise ValueError("expected either 'files', naming patterns, or 'table', a CSV.")
    dataset = text_of(content, "dataset")
    if not NAME.fullmatch(dataset):
        raise ValueError(f"dataset is {dataset!r}, expected a name of letters, digits, '_' and '-'.")
    keep = content.get("keep", [])
    if not isinstance(keep, list) or not all(isinstance(name, str) for name in keep):
        raise ValueError("'keep' must be a list of columns.")
    return dataset, tuple(keep)


def modality_of(given: object) -> str:
    """Check a modality, one of `MODALITIES`."""
    if given not in MODALITIES:
        hint = did_you_mean(given, MODALITIES)
        raise ValueError(f"modality is {str(given)[:50]!r}, expected one of {list(MODALITIES)}.{hint}")
    return str(given)


def text_of(content: Mapping[str, Any], key: str) -> str:
    """Return a text that a description must state."""
    value = content.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key!r} is missing or not text.")
    return value


def values_of(content: Any) -> dict[int, list[str]]:
    """Return the names that each annotation value, 0 to 255, may stand for."""
    if not isinstance(content, dict) or not content:
        raise ValueError("'values' must map annotation values to classes, such as {0: background, 1: lv_cavity}.")
    values = {}
    for value, names in content.items():
        names = [names] if isinstance(names, str) else names
        if type(value) is not int or not 0 <= value <= 255:  # YAML reads `yes` as True, which is an int, too
            raise ValueError(f"'values' has {str(value)[:50]!r}, expected integers from 0 to 255.")
        if not isinstance(names, list) or not names:
            raise ValueError(f"value {value} needs a class or a list of classes that it may stand for.")
        if not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
            raise ValueError(f"value {value} is {names}, expected names of letters, digits, '_' and '-'.")
        check_case(names, f"value {value}")
        if IGNORE in names and len(names) > 1:
            raise ValueError(f"value {value} is {names}; '{IGNORE}' stands alone.")
        if value == 0 and not {"background", IGNORE} & set(names):
            raise ValueError(f"value 0 is {names}: it also fills what is beyond the border of an image; use another.")
        values[value] = names
    return dict(sorted(values.items()))
