"""The YAML file in which a user describes a folder of images and masks of their own."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ....spelling import did_you_mean

__all__ = ["Description", "read_description", "spacing_of"]

MAX_BYTES = 1024 * 1024  # a description has a dozen lines
KEYS = ("dataset", "licence", "citation", "values", "files", "table", "spacing", "keep")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")  # needs no quotes in YAML


@dataclass(frozen=True)
class Description:
    """What the YAML file says, checked.

    Args:
        dataset: its name.
        licence: its terms in a line.
        citation: what a user must cite; may be empty.
        values: annotation value -> names of the classes that it may stand for, in the order of the values.
        files: naming patterns of image and mask, or None where there is a table.
        table: path of a CSV, relative to the source, or None.
        spacing: mm per pixel, (row, column), of files that do not tell; None if unknown.
        keep: further columns of the table to copy.
    """

    dataset: str
    licence: str
    citation: str
    values: Mapping[int, list[str]]
    files: tuple[str, str] | None
    table: str | None
    spacing: tuple[float, float] | None
    keep: tuple[str, ...]


def read_description(path: Path) -> Description:
    """Read and check a description.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is no YAML or says something wrong; the message names the key.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the YAML file that describes the folder, see docs/own_data.md.")
    with path.open("rb") as file:
        text = file.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise ValueError(f"{path} has more than {MAX_BYTES} bytes; is it the description?")
    try:
        return _described(yaml.safe_load(text))
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path} is not readable YAML: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def spacing_of(lengths: Sequence[Any]) -> tuple[float, float]:
    """Check a spacing as users write it.

    Raises:
        ValueError: if it is not two positive numbers.

    Example:
        >>> spacing_of(["0.3", 0.15])
        (0.3, 0.15)
    """
    try:
        row, column = (float(length) for length in lengths)
    except (TypeError, ValueError):
        row = column = 0.0
    if not (0 < row < math.inf and 0 < column < math.inf):
        raise ValueError("the spacing is two positive numbers, mm per pixel of a row and of a column.")
    return row, column


def _described(content: Any) -> Description:
    if not isinstance(content, dict):
        raise ValueError(f"'key: value' is expected, with the keys {list(KEYS)}.")
    for key in content:
        if key not in KEYS:
            hint = did_you_mean(key, KEYS, cutoff=0.77)
            raise ValueError(f"unknown key {str(key)[:50]!r}.{hint} Known are {list(KEYS)}.")
    if ("files" in content) == ("table" in content):
        raise ValueError("it needs either 'files', a naming pattern, or 'table', a CSV.")
    dataset = _text(content, "dataset")
    if not NAME.fullmatch(dataset):
        raise ValueError(f"dataset is {dataset!r}; a name has letters, digits, '_' and '-'.")
    files = None
    if "files" in content:
        if not isinstance(content["files"], dict) or set(content["files"]) != {"image", "label"}:
            raise ValueError("'files' holds two naming patterns, 'image' and 'label'.")
        files = (_text(content["files"], "image"), _text(content["files"], "label"))
    keep = content.get("keep", [])
    if not isinstance(keep, list) or not all(isinstance(name, str) for name in keep):
        raise ValueError("'keep' is a list of columns.")
    return Description(
        dataset=dataset,
        licence=_text(content, "licence"),
        citation=_text(content, "citation") if content.get("citation") else "",
        values=_values(content.get("values")),
        files=files,
        table=_text(content, "table") if "table" in content else None,
        spacing=spacing_of(content["spacing"]) if content.get("spacing") is not None else None,
        keep=tuple(keep),
    )


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key!r} is missing or no text.")
    return value


def _values(content: Any) -> dict[int, list[str]]:
    if not isinstance(content, dict) or not content:
        raise ValueError("'values' maps each annotation value to a class or a list, {0: background, 1: lv_cavity}.")
    values = {}
    for value, names in content.items():
        names = [names] if isinstance(names, str) else names
        if type(value) is not int or not 0 <= value <= 255:  # YAML reads `yes` as True, which is an int, too
            raise ValueError(f"'values' holds {str(value)[:50]!r}; annotation values are the integers 0 to 255.")
        if not isinstance(names, list) or not names:
            raise ValueError(f"value {value} stands for a class or a list of classes that it may be.")
        if not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
            raise ValueError(f"value {value} has a class that is no name of letters, digits, '_' and '-'.")
        values[value] = names
    return dict(sorted(values.items()))
