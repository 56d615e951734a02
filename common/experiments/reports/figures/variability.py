"""Mean Dice against its variability over seeds: figures 4a, 5b and 6d of Islam et al., 2026."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ....palette import COLOURS
from ..run_selection import ordered
from .style import MARKERS, PAGE, NothingToDraw, legend_above, look, places, words

__all__ = ["draw_variability"]


def draw_variability(cells: pd.DataFrame, order: Mapping[str, Sequence[Any]]) -> Figure:
    """Draw a point a cell of the grid in a panel for each network; best is at the lower right.

    Args:
        cells: the columns method, network, `mean` and `sd` (NaN with one seed), a row a cell.
        order: column -> its values in the order wanted.

    Raises:
        NothingToDraw: if no cell has two seeds.

    Example:
        >>> cells = pd.DataFrame({"method": ["a", "b"], "network": "unet", "mean": [0.8, 0.9], "sd": [0.02, 0.01]})
        >>> len(draw_variability(cells, {}).axes[0].collections)
        2
    """
    cells = cells[cells["sd"].notna()]
    if cells.empty:
        raise NothingToDraw("The variability over seeds needs at least two seeds.")
    methods, networks = (ordered(cells[column], order.get(column, ())) for column in ("method", "network"))
    figure = Figure(figsize=(max(PAGE / 2, PAGE / 3 * len(networks)), 2.7), layout="constrained")
    grid = figure.subplots(1, len(networks), squeeze=False, sharex=True, sharey=True)[0]
    for axes, network in zip(grid, networks, strict=True):
        for method, place in places(methods, order.get("method", ())).items():
            own = cells[(cells["method"] == method) & (cells["network"] == network)]
            style = {"color": look(place, COLOURS), "marker": look(place, MARKERS), "label": words(method)}
            if len(own):
                axes.scatter(own["mean"], own["sd"], s=26, edgecolors="black", linewidths=0.4, **style)
        axes.set_title(words(network), loc="left", fontweight="bold")
        axes.set_xlabel("mean Dice over seeds")
        axes.xaxis.set_major_locator(MaxNLocator(4))
    grid[0].set_ylabel("standard deviation over seeds")
    grid[0].set_ylim(bottom=0)
    handles = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    legend_above(figure, {words(method): handles[words(method)] for method in methods})
    return figure
