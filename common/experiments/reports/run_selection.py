"""Which runs a figure or a claim is about: a mapping from columns of the grid to values.

A value is one value, a list of values (null among them: the grid does not vary this column there), or a word:
`lowest`, `highest` or `level 2` (second lowest) of the numbers that the grid has, and `best`.

`best` picks a setting that can only be told by the test itself, as the literature does for label dropout. To pick the
largest of ten noisy means and then report that mean is optimistic, so every patient is given the setting that is best
on average for all *other* patients.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["chosen", "ordered", "settled"]

Where = Mapping[str, Any]
NOT_SETTINGS = ("run_id", "seed", "image", "patient", "view", "phase", "dice", "seconds")


def chosen(rows: pd.DataFrame, where: Where | Sequence[Where], grid: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the runs asked for.

    Args:
        rows: of runs or of images, with the columns of the cell; for `best` also `dataset`, `patient` and `dice`.
        where: column -> value; of several mappings the rows of all.
        grid: all runs, whose levels `lowest`, `highest` and `level 2` speak of.

    Raises:
        ValueError: for a word that is not known.

    Example:
        >>> runs = pd.DataFrame({"method": ["aCCE"] * 3, "label_dropout": [0.0, 0.5, 1.0]})
        >>> chosen(runs, {"method": "aCCE", "label_dropout": ["highest", 0.0]}, runs)["label_dropout"].tolist()
        [0.0, 1.0]
    """
    if not isinstance(where, Mapping):
        parts = [chosen(rows, one, grid) for one in where]
        together = pd.concat(parts)
        return together[~together.index.duplicated()]
    where = settled(where, grid)
    best = [column for column, value in where.items() if value == "best"]
    for column, value in where.items():
        if column not in best:
            values = value if isinstance(value, list | tuple) else [value]
            told = rows.get(column, pd.Series(None, rows.index, dtype=object))
            rows = rows[np.logical_or.reduce([_equals(told, one) for one in values])]
    for column in best:
        rows = _best(rows, column) if column in rows else rows[:0]
    return rows


def settled(where: Where, grid: pd.DataFrame) -> dict[str, Any]:
    """Replace `lowest`, `highest` and `level 2` by the numbers they stand for (NaN if the grid has too few).

    Example:
        >>> settled({"full": "level 2", "method": "aCCE"}, pd.DataFrame({"full": [100, 400, 200]}))
        {'full': 200, 'method': 'aCCE'}
    """
    numbers = {one: value if isinstance(value, list) else [value] for one, value in where.items()}
    found = {one: [_level(value, one, grid) for value in values] for one, values in numbers.items()}
    return {one: found[one] if isinstance(value, list) else found[one][0] for one, value in where.items()}


def ordered(column: pd.Series, order: Sequence[Any]) -> list[Any]:
    """Return the values that a column has: those that `order` names first, in its order.

    Example:
        >>> ordered(pd.Series(["c", "b", "a", "b", None]), order=["x", "b"])
        ['b', 'a', 'c']
    """
    present = list(column.dropna().unique())
    return [one for one in order if one in present] + sorted(one for one in present if one not in order)


def _equals(column: pd.Series, value: Any) -> pd.Series:
    if value is None:
        return column.isna()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return pd.Series(np.isclose(pd.to_numeric(column, errors="coerce"), value), column.index)  # 0.1 + 0.2 is 0.3
    return column == value


def _level(value: Any, column: str, grid: pd.DataFrame) -> Any:
    if (
        not isinstance(value, str)
        or value == "best"
        or column not in grid
        or not pd.api.types.is_numeric_dtype(grid[column])
    ):
        return value
    levels = sorted(grid[column].dropna().unique())
    positions = {"lowest": 0, "highest": len(levels) - 1}
    if match := re.fullmatch(r"level (\d+)", value):
        positions[value] = int(match[1]) - 1
    if value not in positions:
        raise ValueError(
            f"{column} is to be '{value}', must be a number, lowest, highest, best, or level 2 (or 3, ...)."
        )
    return levels[positions[value]].item() if 0 <= positions[value] < len(levels) else math.nan


def _best(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Keep for each patient the rows at the level of `column` that is best for the other patients."""
    settings = [name for name in rows.columns if name not in (*NOT_SETTINGS, column)]
    kept = []
    for _, group in rows[rows[column].notna()].groupby(settings, dropna=False, observed=True):
        means = group.pivot_table(index="patient", columns=column, values="dice", aggfunc="mean")
        others = (means.sum() - means.fillna(0)) / (means.count() - means.notna())
        picked = others.dropna(how="all").idxmax(axis="columns")
        kept.append(group[group[column] == group["patient"].map(picked)])
    return pd.concat(kept) if kept else rows[:0]
