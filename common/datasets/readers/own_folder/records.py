"""Find files by naming patterns, or in a table, for readers of one's own data."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ....spelling import did_you_mean, folded, nearest
from ...prepared.source import Job
from ..tables import check_size

__all__ = [
    "Record",
    "check_names",
    "converted",
    "filled",
    "inside",
    "is_within",
    "jobs_of",
    "matches",
    "no_image",
    "placeholders",
    "rows",
    "unused_columns",
]

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
WRITTEN = ("dataset", "spacing", "size", "values", "sector", "outside_sector", "intensity")  # by preparation

Record = dict[str, str]


def placeholders(pattern: str) -> list[str]:
    """Return the names in braces.

    Example:
        >>> placeholders("images/{patient}_{view}.png")
        ['patient', 'view']
    """
    return PLACEHOLDER.findall(pattern)


def filled(pattern: str, parts: Record) -> str:
    """Return a pattern with its names replaced.

    Example:
        >>> filled("masks/{patient}.png", {"patient": "p1"})
        'masks/p1.png'
    """
    return "".join(parts[part] if index % 2 else part for index, part in enumerate(PLACEHOLDER.split(pattern)))


def matches(
    source: Path, pattern: str, columns: Sequence[str], reserved: Collection[str], with_folders: bool = False
) -> dict[str, Record]:
    """Return the parts of each path in `source` that matches a pattern.

    Args:
        source: the folder; paths are relative to it.
        pattern: with names in braces.
        columns: known names, for the suggestion when one is misspelt.
        reserved: names that a pattern must not use, beside those that preparation writes.
        with_folders: also match folders: a DICOM series is one.

    Raises:
        ValueError: if the pattern is wrong.
    """
    names = placeholders(pattern)
    if taken := sorted(set(names) & {*WRITTEN, *reserved}):
        raise ValueError(f"the pattern of 'image' has {taken}, which are reserved. Rename them.")
    check_names(names, columns, keep=())
    expression = re.compile(_expression(pattern))
    records = {}
    for directory, folders, files in os.walk(source):
        for name in [*files, *(folders if with_folders else ())]:
            path = (Path(directory) / name).relative_to(source).as_posix()
            if match := expression.fullmatch(path):
                records[path] = match.groupdict()
    return {path: records[path] for path in sorted(records)}


def no_image(source: Path, pattern: str, found: Collection[str]) -> Exception:
    """Return the error for a folder in which no image is found.

    Args:
        source: the folder.
        pattern: of the images.
        found: paths that match it, all of which are masks.

    Example:
        >>> no_image(Path("clinic"), "{patient}.png", [])
        FileNotFoundError("no file in clinic matches the pattern '{patient}.png' of 'image'.")
    """
    if found:
        return ValueError(f"'image' and 'label' have the same pattern {pattern!r}, but masks have files of their own.")
    return FileNotFoundError(f"no file in {source} matches the pattern {pattern!r} of 'image'.")


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


def rows(
    source: Path, table: str, needed: Sequence[str], columns: Sequence[str], keep: Sequence[str]
) -> tuple[dict[str, Record], list[str]]:
    """Read a table; return a record for each line, and the names of the columns that are left out.

    Args:
        source: the folder.
        table: path in it.
        needed: columns that it must have.
        columns: that are copied.
        keep: further ones, as the user wished.

    Raises:
        FileNotFoundError: if it is missing, or outside the folder.
        ValueError: if it is malformed.
    """
    path = source / table
    if not is_within(source, path) or not path.is_file():
        raise FileNotFoundError(f"the table {path} is missing or outside SOURCE; its path is relative to SOURCE.")
    check_size(path, 64 * 1024 * 1024)  # half a million rows
    try:
        text = path.read_text(encoding="utf-8-sig")
        header = text.partition("\n")[0]
        delimiter = ";" if header.count(";") > header.count(",") else ","
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        names = [name.strip() for name in next(lines, [])]
        needed = [*needed, *keep]
        if len(set(names)) < len(names) or not set(needed) <= set(names):
            raise ValueError(f"the columns are {names}, expected unique names that include {needed}.")
        check_names(names, columns, keep)
        copied = {*columns, *keep}
        records = {}
        for line in lines:
            if line and len(line) != len(names):
                raise ValueError(f"line {lines.line_num} has {len(line)} cells, the header {len(names)}.")
            cells = {name: cell.strip() for name, cell in zip(names, line, strict=False) if name in copied}
            if any(cells.values()):
                records[f"{table}, line {lines.line_num}"] = {name: cell for name, cell in cells.items() if cell}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error.reason}); save the table as UTF-8.") from error
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from error
    return records, [name for name in names if name not in copied]


def check_names(names: Collection[str], columns: Collection[str], keep: Collection[str]) -> None:
    """Refuse misspelt names, and columns to keep that preparation would overwrite."""
    for name in names:
        known = name in (*columns, *keep)
        if hint := "" if known else did_you_mean(name, set(columns) - set(names), cutoff=0.77):
            raise ValueError(f"{name!r} is unknown.{hint} Rename it (a column may also be listed under 'keep').")
    if taken := sorted(set(keep) & set(WRITTEN)):
        raise ValueError(f"{taken} cannot be kept because the prepared set has fields of these names. Rename them.")


def inside(source: Path, record: Record, key: str, with_folders: bool = False) -> Path:
    """Return the file (or the folder, `with_folders`) that a record names, which must lie in `source`.

    Raises:
        OSError: if it does not.
    """
    if key not in record:
        raise OSError(f"{key} is not given")
    path = source / record[key]
    if not is_within(source, path):
        raise OSError(f"{key} {record[key]} is outside SOURCE")
    if not path.is_file() and not (with_folders and path.is_dir()):
        raise OSError(f"{key} {record[key]} is missing")
    return path


def is_within(source: Path, path: Path) -> bool:
    """Return whether a path lies in a folder, links followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(source))


def converted(record: Record, name: str, kind: Callable[[str], Any]) -> Any:
    """Return an entry of a record as another type; refuse what is not a finite number."""
    try:
        value = kind(record[name])
    except ValueError:
        value = math.nan
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {record[name]!r}, expected a number.")
    return value


def unused_columns(names: Collection[str], columns: Collection[str]) -> str:
    """Describe columns of a table that are not used, with the names that may have been meant.

    Example:
        >>> unused_columns(["mm_row", "born"], ["spacing_row"])
        "mm_row (did you mean 'spacing_row'?), born"
    """
    close = {name: nearest(name, columns, cutoff=0.45) for name in names}
    return ", ".join(name + (f" (did you mean {known!r}?)" if known else "") for name, known in close.items())


def jobs_of(
    records: Mapping[str, Record], make: Callable[[Record], Job], remedy: str
) -> tuple[list[Job], dict[str, str]]:
    """Turn records into jobs with different ids, whose patients are in one fold each and spelt in one way.

    Args:
        records: place in the source, for messages -> record.
        make: turns a record into a job; raises OSError to leave it out, ValueError to stop.
        remedy: for two of one id.

    Returns:
        The jobs, and what is left out: place -> reason.

    Raises:
        ValueError: names the place.
    """
    jobs: dict[str, Job] = {}
    skipped: dict[str, str] = {}
    folds: dict[str, str] = {}
    spelt: dict[str, str] = {}
    for place, record in records.items():
        try:
            job = make(record)
        except OSError as error:
            skipped[place] = str(error)
            continue
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
        if job.id.lower() in jobs:
            raise ValueError(f"{place}: {job.id} exists already. {remedy}")
        patient, fold = job.item["patient"], job.item["fold"]
        if (other := spelt.setdefault(folded(patient), patient)) != patient:
            raise ValueError(
                f"{place}: patient {patient!r} is spelt {_spelling(other, patient)} before; spell one patient the same "
                "everywhere, and give two patients names that differ in more than their case."
            )
        if fold and folds.setdefault(patient, fold) != fold:
            raise ValueError(f"{place}: patient {patient!r} is in the fold {folds[patient]!r} already, not {fold!r}.")
        jobs[job.id.lower()] = job
    return list(jobs.values()), skipped


def _spelling(other: str, patient: str) -> str:
    r"""Describe how another spelling differs from that of a patient: in its case, or where nobody sees it.

    Example:
        >>> _spelling("P1", "p1")
        "'P1'"
        >>> print(_spelling("u\u0308", "\u00fc"))
        in another Unicode form ('u\u0308', here '\xfc'; macOS decomposes letters in file names)
    """
    if unicodedata.normalize("NFC", other) != unicodedata.normalize("NFC", patient):
        return repr(other)
    return f"in another Unicode form ({other!a}, here {patient!a}; macOS decomposes letters in file names)"
