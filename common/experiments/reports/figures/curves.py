"""Dice over the probability of label dropout: figure 6a-c of Islam et al., 2026."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ....palette import COLOURS
from ..run_selection import ordered
from .style import MARKERS, PAGE, NothingToDraw, legend_above, look, places, words

__all__ = ["draw_curves"]

LINES = ("-", "--", ":", "-.")


def draw_curves(
    cells: pd.DataFrame, x: str, reference: pd.DataFrame | None, order: Mapping[str, Sequence[Any]]
) -> Figure:
    """Draw the mean over seeds of the median Dice, with error bars of one standard deviation over seeds.

    A line a method, a panel a network.

    Args:
        cells: the columns method, network, `x`, `median` (its mean over seeds) and `median_sd` (NaN with one seed).
        x: column of numbers along the axis.
        reference: cells drawn as a horizontal line, one a network.
        order: column -> its values in the order wanted.

    Raises:
        NothingToDraw: if no cell has a value of `x`.

    Example:
        >>> cells = pd.DataFrame({"p": [0.0, 0.5], "method": "aCCE", "network": "unet", "median": [0.6, 0.8]})
        >>> axes = draw_curves(cells.assign(median_sd=0.01), "p", None, {}).axes[0]
        >>> axes.get_xlabel(), [container.get_label() for container in axes.containers]
        ('p', ['aCCE'])
    """
    cells = cells[cells[x].notna()] if x in cells else cells[:0]
    if cells.empty:
        raise NothingToDraw(f"The grid of this scale does not vary {words(x)}.")
    methods, networks = (ordered(cells[column], order.get(column, ())) for column in ("method", "network"))
    numbers = places(methods, order.get("method", ()))
    figure = Figure(figsize=(max(PAGE / 2, PAGE / 3 * len(networks)), 2.7), layout="constrained")
    grid = figure.subplots(1, len(networks), squeeze=False, sharex=True, sharey=True)[0]
    step = float(cells[x].max() - cells[x].min()) * 0.008  # apart, so that error bars do not hide each other
    for axes, network in zip(grid, networks, strict=True):
        for index, method in enumerate(methods):
            place = numbers[method]
            own = cells[(cells["network"] == network) & (cells["method"] == method)].sort_values(x)
            axes.errorbar(
                own[x] + (index - (len(methods) - 1) / 2) * step,
                own["median"],
                yerr=own["median_sd"].fillna(0),
                color=look(place, COLOURS),
                marker=look(place, MARKERS),
                linestyle=look(place, LINES),
                markersize=4,
                linewidth=1.2,
                capsize=2,
                elinewidth=0.8,
                label=words(method),
            )
        if reference is not None:
            for line in reference[reference["network"] == network].itertuples():
                label = words(line.method)
                axes.axhline(line.median, color="black", linewidth=0.8, linestyle=(0, (6, 2)), label=label)
        axes.set_title(words(network), loc="left", fontweight="bold")
        axes.set_xlabel(words(x))
    grid[0].set_ylabel("median Dice")
    handles = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    legend_above(figure, handles)
    return figure
