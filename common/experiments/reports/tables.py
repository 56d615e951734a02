"""Tables in the form of tables 2, 3 and 4 of Islam et al., 2026."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from .figures.style import words
from .selection import Order, list_values

__all__ = ["MISSING", "Table", "amounts_tables", "scores_table"]

MISSING = "-"
NOT_MEASURED = "- not measured yet"
NUMBERS = ("class", "mean", "sd", "median", "median_sd", "seeds", "metric")  # columns that are not row headings


@dataclass(frozen=True)
class Table:
    """A table to print; the first `headings` columns are headings of the rows."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    headings: int


def amounts_tables(cells: pd.DataFrame, order: Order) -> list[Table]:
    """Tabulate the median Dice over the numbers of training images, a table per network, as table 2.

    Args:
        cells: of `cell_scores`, with the columns network, method, `full` and `partial` (numbers of images).
        order: of the values of each column.

    Returns:
        Tables of "mean ± standard deviation over seeds" of the median Dice; without deviation for one seed.

    Example:
        >>> cell = {"network": "unet", "method": "aCCE", "full": 100, "partial": 0, "median": 0.658, "median_sd": 0.06}
        >>> table = amounts_tables(pd.DataFrame([cell]), {})[0]
        >>> table.header, table.rows
        (['partially labelled', 'method', '100 fully labelled'], [['0', 'aCCE', '0.658 ± 0.06']])
    """
    pairs = zip(cells["median"], cells["median_sd"], strict=True)
    cells = cells.assign(text=[f"{median:.3f}" + ("" if pd.isna(sd) else f" ± {sd:.2f}") for median, sd in pairs])
    fulls, partials = sorted(cells["full"].unique()), sorted(cells["partial"].unique())
    rows = pd.MultiIndex.from_product([partials, list_values(cells, "method", order)])
    header = ["partially labelled", "method", *(f"{full:g} fully labelled" for full in fulls)]
    tables = []
    for network in list_values(cells, "network", order):
        texts = cells[cells["network"] == network].pivot(index=["partial", "method"], columns="full", values="text")
        texts = texts.reindex(rows).reindex(columns=fulls).astype(object).fillna(MISSING)
        body = [[f"{partial:g}", words(method), *own] for (partial, method), *own in texts.itertuples()]
        tables.append(Table(f"Median Dice, {words(network)}", header, body, headings=2))
    return tables


def scores_table(cells: pd.DataFrame, classes: Sequence[str], order: Order, title: str = "") -> Table:
    """Tabulate the mean Dice of each class and their mean, as tables 3 and 4.

    Args:
        cells: of `cell_scores` by class, perhaps with the column `metric`, a further test metric; other columns that
            vary are headings of the rows, after network and method.
        classes: columns.
        order: column -> its values in the wanted order.
        title: heading of the further metric; empty for none.

    Example:
        >>> cells = pd.DataFrame({"method": "aCCE", "network": "unet", "class": ["lv", "la"], "mean": [0.9, 0.7]})
        >>> table = scores_table(cells, ["lv", "la"], {}, title="EF error")
        >>> table.header
        ['network', 'method', 'LV', 'la', 'mean', 'EF error']
        >>> table.rows
        [['unet', 'aCCE', '0.900', '0.700', '0.800', '- not measured yet']]
    """
    heads = [one for one in ("network", "method") if one in cells]
    heads += [one for one in cells if one not in (*heads, *NUMBERS) and cells[one].nunique(dropna=False) > 1]
    ranks = {one: list_values(cells, one, order) for one in heads}
    found = []
    for key, own in cells.groupby(heads, dropna=False, observed=True):
        means = own.set_index("class")["mean"].reindex(list(classes))
        numbers = [MISSING if pd.isna(value) else f"{value:.3f}" for value in (*means, means.mean())]
        metric = own["metric"].iloc[0] if "metric" in own else float("nan")
        numbers += [NOT_MEASURED if pd.isna(metric) else f"{metric:.2f}"] * bool(title)
        rank = [-1 if pd.isna(value) else ranks[one].index(value) for one, value in zip(heads, key, strict=True)]
        found.append((rank, [*(MISSING if pd.isna(value) else words(value) for value in key), *numbers]))
    header = [*map(words, [*heads, *classes]), "mean", *([title] if title else [])]
    return Table("Mean Dice", header, [row for _, row in sorted(found)], headings=len(heads))
