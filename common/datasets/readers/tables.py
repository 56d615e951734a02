"""Read tables of a dataset, with limits on their size."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

__all__ = ["check_size", "read_columns"]

# EchoNet-Dynamic has 425,010 rows in 38 MB
MAX_BYTES = 2**28
MAX_ROWS = 2_000_000


def check_size(path: Path, most: int | None = None) -> None:
    """Check that a file exists and has at most `most` bytes, by default `MAX_BYTES`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing or not a file.")
    if (size := path.stat().st_size) > (most or MAX_BYTES):
        raise ValueError(f"{path} has {size} bytes, expected at most {most or MAX_BYTES}. Is it the right file?")


def read_columns(path: Path, *columns: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield row number and fields of a CSV file, in the order of at least two `columns`; "" where a row is short."""
    check_size(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = [column.strip() for column in next(rows, [])]
            if missing := [column for column in columns if column not in header]:
                raise ValueError(f"{path} has no column {missing[0]!r}; it has {header[:20]}. Is it the right file?")
            places = [header.index(column) for column in columns]
            fields, width = itemgetter(*places), max(places) + 1
            for number, row in enumerate(rows, start=2):
                if number > MAX_ROWS:
                    raise ValueError(f"{path} has more than {MAX_ROWS} rows. Is it the right file?")
                if row:
                    yield number, fields(row if len(row) >= width else row + [""] * width)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as a table ({error}). Download it again.") from error
