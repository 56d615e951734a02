"""Print tables of many columns on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group
from rich.measure import Measurement
from rich.table import Column, Table

__all__ = ["fit"]


def fit(table: Table, console: Console) -> Group:
    """Split a table into tables that fit the terminal, each with the first column; rich would cut every cell short.

    Args:
        table: its cells are text.
        console: that prints it.

    Example:
        >>> table = Table("dataset", *(f"class_{number}" for number in range(6)))
        >>> table.add_row("camus", *("0.900" for _ in range(6)))
        >>> console = Console(width=44)
        >>> [len(part.columns) - 1 for part in fit(table, console).renderables]
        [3, 3]
    """
    first, *others = table.columns
    groups: list[list[Column]] = []
    for column in others:
        if groups and _width(_table([first, *groups[-1], column]), console) <= console.width:
            groups[-1].append(column)
        else:
            groups.append([column])
    parts = [_table([first, *group]) for group in groups] or [table]
    parts[0].title = table.title
    return Group(*parts)


def _table(columns: Sequence[Column]) -> Table:
    part = Table()
    for column in columns:
        part.add_column(column.header, justify=column.justify)
    for cells in zip(*(column.cells for column in columns), strict=True):
        part.add_row(*cells)
    return part


def _width(table: Table, console: Console) -> int:
    """Return the width at which no cell is broken."""
    return Measurement.get(console, console.options.update(max_width=10**6), table).maximum
