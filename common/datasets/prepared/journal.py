"""The journal of a preparation: what each image was made from, so that only what changed is prepared again.

`journal.jsonl` begins with the settings of the preparation; each further line is the record of one image. It is
written while the work goes on, and stays in the prepared folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .made_from import FileState

__all__ = ["JOURNAL", "Asked", "Journal", "Record", "read_journal"]

JOURNAL = "journal.jsonl"


class Asked(NamedTuple):
    """What decides the content of a prepared image, beside its files and the settings of the preparation.

    Args:
        arguments: digest of the function that reads it and of its arguments.
        reader: digest of the code of the function.
    """

    arguments: str
    reader: str


@dataclass(frozen=True)
class Record:
    """How one image was prepared, or why it was left out.

    Args:
        id: of the job.
        asked: what decided its content.
        files: states of the files that it was read from, before they were read.
        item: of the datalist; its fold is None if the source states none. None if the image was left out.
        content: fold -> digest of image, annotation and item in this fold.
        image: digest of the image; empty if it has one grey value.
        pixels: digest of image and annotation.
        reason: why the image was left out.
        image_files: how many of the files, the first ones, hold the image; 0 if that is not known.
    """

    id: str
    asked: Asked
    files: Sequence[FileState]
    item: dict[str, Any] | None = None
    content: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    pixels: str = ""
    reason: str = ""
    image_files: int = 0

    def line(self) -> str:
        """Return the record as a line of the journal."""
        return json.dumps(vars(self)) + "\n"


@dataclass(frozen=True)
class Journal:
    """Content of a journal.

    Args:
        settings: of the preparation; empty without a journal.
        records: by id; the last one counts.
    """

    settings: Mapping[str, Any]
    records: Mapping[str, Record]


def read_journal(folder: Path) -> Journal:
    """Read the journal of a folder; a line that was cut off is not there."""
    path = folder / JOURNAL
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    settings, *records = map(_parse, lines or [""])
    names = Record.__annotations__.keys()
    whole = [one for one in records if names - {"image_files"} <= one.keys() <= names]  # which came later
    return Journal(settings, {one["id"]: Record(**{**one, "asked": Asked(*one["asked"])}) for one in whole})


def _parse(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
