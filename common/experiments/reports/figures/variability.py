"""Mean Dice against its variability over seeds: figures 4a, 5b and 6d of Islam et al., 2026."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import NothingToDraw, legend_above, looks, network_panels, words

__all__ = ["draw_variability"]


def draw_variability(cells: pd.DataFrame, order: Mapping[str, Sequence[Any]]) -> Figure:
    """Draw a point per cell of the grid, a panel per network; the best is at the lower right.

    Args:
        cells: the columns method, network, `mean` and `sd` (NaN with one seed).
        order: column -> its values in the wanted order.

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
    styles = looks(cells, "method", order, "color", "marker")
    figure, panels = network_panels(cells, order, sharey=True)
    for network, axes in panels.items():
        for method, look in styles.items():
            own = cells[(cells["method"] == method) & (cells["network"] == network)]
            axes.scatter(own["mean"], own["sd"], s=26, edgecolors="black", linewidths=0.4, label=words(method), **look)
        axes.set_xlabel("mean Dice over seeds")
        axes.xaxis.set_major_locator(MaxNLocator(4))
    figure.axes[0].set_ylabel("standard deviation over seeds")
    figure.axes[0].set_ylim(bottom=0)
    legend_above(figure)
    return figure
