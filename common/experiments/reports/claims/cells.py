"""Pair the cells of a grid that a contrast compares, level by level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from ..figures.style import words
from ..results import Results
from ..selection import Where, choose, replace_levels

__all__ = ["Pair", "describe", "pair_cells", "split_cells", "untrained"]

Cell = Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """Two cells to compare.

    Args:
        of: rows of one.
        against: rows of the other.
        network: of the first; empty if the grid has none.
        contrast: description of what is compared.
        identical: that both are the same trainings, or gave the same weights since what differs has no effect on the
            data; empty otherwise, and where one is chosen per patient (`best`).
    """

    of: pd.DataFrame
    against: pd.DataFrame
    network: str
    contrast: str
    identical: str


def pair_cells(rows: pd.DataFrame, of: Where, against: Where, results: Results) -> list[Pair]:
    """Split the rows of both sides into cells, and pair those that agree in all that the contrast does not compare.

    Args:
        rows: runs or images, with the columns of the cell.
        of: runs of the claim.
        against: runs to compare them with.
        results: of the grid.
    """
    wheres = [_numbers(where, results) for where in (of, against)]
    compared = {column for column in {**of, **against} if of.get(column) != against.get(column)}
    shared = [column for column in results.cell if column not in (*compared, "seed")]
    chosen = "best" in (*of.values(), *against.values())
    sides = [split_cells(choose(rows, where, results.runs), where, results) for where in wheres]
    weights = dict(zip(results.runs["run_id"], results.runs["weights_digest"], strict=True))
    pairs = []
    for (one, own), (other, others) in product(*sides):
        if all(pd.isna(one.get(c)) or pd.isna(other.get(c)) or one[c] == other[c] for c in shared):
            named = [_named(where, cell, side) for where, cell, side in zip(wheres, (one, other), sides, strict=True)]
            same = "" if chosen else _identical(own, others, weights)
            pairs.append(Pair(own, others, str(one.get("network", "")), describe(*named), same))
    return pairs


def _identical(own: pd.DataFrame, others: pd.DataFrame, weights: Mapping[str, str]) -> str:
    """Return `identical` of a pair: the weights are compared for the seeds that both sides have."""
    if not set(own["run_id"]).isdisjoint(others["run_id"]):
        return "both sides are the same trainings"
    one, other = (
        rows.assign(seed=rows.get("seed", 0)).set_index("seed")["run_id"].map(weights).to_dict()
        for rows in (own, others)
    )
    same = not one.keys().isdisjoint(other) and all(one[seed] == other[seed] for seed in one.keys() & other.keys())
    return "both sides gave the same weights, so what differs had no effect on the training" * same


def split_cells(rows: pd.DataFrame, where: Where, results: Results) -> list[tuple[Cell, pd.DataFrame]]:
    """Split rows into the cells of the grid; what is chosen per patient (`best`) is one cell."""
    by = [column for column in results.cell if column != "seed" and where.get(column) != "best" and column in rows]
    if not by or rows.empty:
        return [({}, rows)] * (not rows.empty)
    groups = rows.groupby(by, dropna=False, observed=True)
    return [(dict(zip(by, key, strict=True)), own) for key, own in groups]


def untrained(of: Where, against: Where, results: Results) -> Iterator[tuple[str, str]]:
    """Yield each level of a contrast that the grid did not train: the contrast, and the level."""
    sides = [_numbers(where, results) for where in (of, against)]
    for number, side in enumerate(sides):
        for level in _levels(side):
            fixed = {column: value for column, value in level.items() if value != "best"}
            if choose(results.runs, fixed, results.runs).empty:
                both = [level, sides[1]] if number == 0 else [sides[0], level]
                yield describe(*both), f"{_side(level)}: not trained"


def describe(of: Where, against: Where) -> str:
    """Describe both sides of a comparison, followed by what they have in common.

    Example:
        >>> describe({"method": "aCCE", "label_dropout": 0.2}, {"method": "aCCE", "label_dropout": 0.0})
        'label dropout 0.2 against label dropout 0 (aCCE)'
    """
    same = {column: value for column, value in of.items() if column in against and against[column] == value}
    sides = [{column: value for column, value in side.items() if column not in same} for side in (of, against)]
    if not all(sides):
        return " against ".join(map(_side, (of, against)))
    return " against ".join(map(_side, sides)) + f" ({_side(same)})" * bool(same)


def _numbers(where: Where, results: Results) -> dict[str, Any]:
    """Replace words by the numbers of the grid; keep those of levels that it does not have."""
    replaced = replace_levels(where, results.runs)

    def kept(value: Any, given: Any) -> Any:
        if isinstance(value, list):
            return [kept(*both) for both in zip(value, given, strict=True)]
        return given if value != value else value  # NaN

    return {column: kept(value, where[column]) for column, value in replaced.items()}


def _levels(where: Where) -> Iterator[dict[str, Any]]:
    """Yield a mapping per level; a value with null (the grid may not vary it) is one level."""
    choices = {}
    for column, value in where.items():
        stated = [one for one in value if one is not None] if isinstance(value, list) else []
        choices[column] = stated if len(stated) > 1 else [value]
    for values in product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def _named(where: Where, cell: Cell, side: Sequence[tuple[Cell, pd.DataFrame]]) -> dict[str, Any]:
    """Return what describes a cell: all that the contrast names, and what varies within its side."""
    named = {column: value if pd.isna(cell.get(column)) else cell[column] for column, value in where.items()}
    for column, value in cell.items():
        several = len({own[column] for own, _ in side if not pd.isna(own[column])}) > 1
        if column not in (*named, "network") and several and not pd.isna(value):
            named[column] = value
    return named


def _side(where: Where) -> str:
    columns = sorted(where, key=lambda column: column != "method")  # the method first
    return ", ".join(f"{words(one)} " * (one != "method") + _value(where[one]) for one in columns)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "/".join(_value(one) for one in value if one is not None)
    return str(value).lower() if isinstance(value, bool | np.bool_) else words(value)
