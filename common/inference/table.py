"""The table of a run: rows of measurements as CSV, JSON and on the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table as Grid

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """Rows of measurements.

    Args:
        row: what a row is, in the singular: the title of the first column.
        rows: their plural.
        columns: in the order of the CSV file.
        units: column -> unit, of measurements.
        values: name of a row -> column -> value; None if it was not measured. Columns that are not in `columns` are
            written to JSON only.
        shown: column -> title, on the terminal.
    """

    row: str
    rows: str
    columns: Sequence[str]
    units: Mapping[str, str]
    values: Mapping[str, Mapping[str, Any]]
    shown: Mapping[str, str]

    def as_csv(self) -> str:
        """Return the table as CSV: units in the titles, lists and dictionaries joined by semicolons.

        Example:
            >>> rows = {"a.png": {"kidney_area": 12.5, "flags": ["in pieces", "unsure"]}}
            >>> print(Table("scan", "scans", ["kidney_area", "flags"], {"kidney_area": "mm²"}, rows, {}).as_csv())
            scan,kidney_area (mm²),flags
            a.png,12.5,in pieces; unsure
            <BLANKLINE>
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        titles = (f"{column} ({self.units[column]})" if column in self.units else column for column in self.columns)
        writer.writerow([self.row, *titles])
        for name, own in self.values.items():
            writer.writerow([name, *(_joined(own[column]) for column in self.columns)])  # None is an empty cell
        return text.getvalue()

    def as_json(self) -> dict[str, Any]:
        """Return units and rows."""
        return {"units": dict(self.units), self.rows: dict(self.values)}

    def for_terminal(self, title: str, most: int = 20) -> Grid:
        """Return the shown columns of the first rows; of flags, their number."""
        grid = Grid(title=title + (f", the first {most}" if len(self.values) > most else ""))
        grid.add_column(self.row)
        for column, words in self.shown.items():
            text = any(isinstance(own[column], str) for own in self.values.values())
            grid.add_column(words, justify="left" if text else "right")
        for name, own in list(self.values.items())[:most]:
            grid.add_row(name, *(_short(own[column]) for column in self.shown))
        return grid


def _joined(value: Any) -> Any:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {words}" for key, words in value.items())
    return "; ".join(value) if isinstance(value, list) else value


def _short(value: Any) -> str:
    if isinstance(value, list):
        return str(len(value))
    if isinstance(value, float):
        return f"{value:.0f}"
    return "-" if value is None else str(value)
