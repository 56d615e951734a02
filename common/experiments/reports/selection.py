"""Choose the runs of a figure or a claim by a mapping from columns of the grid to values.

A value is one value, a list of values (null for runs of which the grid does not vary this column), or a word:
`lowest`, `highest` or `level 2` (the second lowest) among the numbers of the grid, or `best`.

`best` chooses the setting with the best test results, as the literature does for label dropout. The largest of ten
noisy means is an optimistic estimate, so each patient and seed is given the setting that is best on average for all
*other* patients and all *other* seeds (with one seed: all other patients).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Order", "Where", "choose", "list_values", "replace_levels"]

Order = Mapping[str, Sequence[Any]]  # column -> its values in the wanted order
Where = Mapping[str, Any]  # column -> value, list of values or word
NOT_SETTINGS = ("run_id", "seed", "image", "patient", "view", "phase", "dice", "seconds")


def choose(rows: pd.DataFrame, where: Where | Sequence[Where], grid: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the chosen runs.

    Args:
        rows: runs or images, with the columns of the cell; for `best` also `dataset`, `patient` and `dice`.
        where: column -> value; several mappings choose the rows of each.
        grid: all runs, whose numbers `lowest`, `highest` and `level 2` refer to.

    Raises:
        ValueError: for an unknown word.

    Example:
        >>> runs = pd.DataFrame({"method": ["aCCE"] * 3, "label_dropout": [0.0, 0.5, 1.0]})
        >>> choose(runs, {"method": "aCCE", "label_dropout": ["highest", 0.0]}, runs)["label_dropout"].tolist()
        [0.0, 1.0]
    """
    if not isinstance(where, Mapping):
        together = pd.concat([choose(rows, one, grid) for one in where])
        return together[~together.index.duplicated()]
    for column, value in sorted(replace_levels(where, grid).items(), key=lambda item: bool(item[1] == "best")):
        if value == "best":  # among the rows that everything else chose
            rows = _best(rows, column) if column in rows else rows[:0]
        else:
            values = value if isinstance(value, list) else [value]
            own = rows.get(column, pd.Series(None, rows.index, dtype=object))
            rows = rows[np.logical_or.reduce([_equals(own, one) for one in values])]
    return rows


def replace_levels(where: Where, grid: pd.DataFrame) -> dict[str, Any]:
    """Replace `lowest`, `highest` and `level 2` by their numbers (NaN if the grid has too few).

    Example:
        >>> replace_levels({"full": "level 2", "method": "aCCE"}, pd.DataFrame({"full": [100, 400, 200]}))
        {'full': 200, 'method': 'aCCE'}
    """
    return {
        column: [_level(one, column, grid) for one in value] if isinstance(value, list) else _level(value, column, grid)
        for column, value in where.items()
    }


def list_values(rows: pd.DataFrame, column: str, order: Order) -> list[Any]:
    """Return the values of a column: those that `order` lists for it first, in that order, then the others, sorted.

    Example:
        >>> list_values(pd.DataFrame({"method": ["c", "b", "a", "b", None]}), "method", {"method": ["x", "b"]})
        ['b', 'a', 'c']
    """
    present, first = rows[column].dropna().unique(), order.get(column, ())
    return [one for one in first if one in present] + sorted(one for one in present if one not in first)


def _equals(column: pd.Series, value: Any) -> pd.Series:
    if value is None:
        return column.isna()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return pd.Series(np.isclose(pd.to_numeric(column, errors="coerce"), value), column.index)  # 0.1 + 0.2 is 0.3
    return column == value


def _level(value: Any, column: str, grid: pd.DataFrame) -> Any:
    numeric = column in grid and pd.api.types.is_numeric_dtype(grid[column])
    if not numeric or not isinstance(value, str) or value == "best":
        return value
    levels = np.unique(grid[column].dropna()).tolist()
    indices = {"lowest": 0, "highest": len(levels) - 1}
    if match := re.fullmatch(r"level (\d+)", value):
        indices[value] = int(match[1]) - 1
    if value not in indices:
        raise ValueError(f"{column}: expected a number, lowest, highest, best or level 2 (3, ...), got '{value}'.")
    return levels[indices[value]] if 0 <= indices[value] < len(levels) else math.nan


def _best(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Keep for each patient and seed the rows at the level of `column` that is best for the others of both."""
    settings = [name for name in rows.columns if name not in (*NOT_SETTINGS, column)]
    kept = []
    for _, group in rows[rows[column].notna()].groupby(settings, dropna=False, observed=True):
        table = group.pivot_table(index="patient", columns=["seed", column], values="dice", aggfunc="mean")
        seeds = table.columns.get_level_values("seed").unique()
        for seed in seeds:
            others = table.drop(columns=seed) if len(seeds) > 1 else table
            means = others.T.groupby(level=column).mean().T
            rest = (means.sum() - means.fillna(0)) / (means.count() - means.notna())
            own = group[group["seed"] == seed]
            picked = rest[rest.columns.intersection(own[column])].dropna(how="all").idxmax(axis="columns")
            kept.append(own[own[column] == own["patient"].map(picked)])
    return pd.concat(kept) if kept else rows[:0]
