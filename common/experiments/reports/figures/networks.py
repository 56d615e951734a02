"""Figures with a panel per network: figures 4a, 5b, 6a-d and the epoch times of Islam et al., 2026."""

from __future__ import annotations

from numbers import Real
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..selection import Order, list_values
from .style import PAGE, NothingToDraw, legend_above, looks, words

__all__ = ["draw_curves", "draw_times", "draw_variability"]


def _panels(cells: pd.DataFrame, order: Order, **more: Any) -> tuple[Figure, dict[str, Axes]]:
    """Make a figure with a panel per network, side by side; return also network -> panel."""
    networks = list_values(cells, "network", order)
    figure = Figure(figsize=(max(PAGE / 2, PAGE / 3 * len(networks)), 2.7), layout="constrained")
    panels = figure.subplots(1, len(networks), squeeze=False, sharex=True, **more)[0]
    for axes, network in zip(panels, networks, strict=True):
        axes.set_title(words(network), loc="left", fontweight="bold")
    return figure, dict(zip(networks, panels, strict=True))


def draw_variability(cells: pd.DataFrame, order: Order) -> Figure:
    """Draw mean Dice against its variability over seeds, a point per cell; the best is at the lower right.

    `cells` has the columns method, network, `mean` and `sd` (NaN with one seed).

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
    figure, panels = _panels(cells, order, sharey=True)
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


def draw_curves(cells: pd.DataFrame, x: str, reference: pd.DataFrame | None, order: Order) -> Figure:
    """Draw the mean over seeds of the median Dice, with error bars of one standard deviation over seeds.

    Args:
        cells: the columns method, network, `x`, `median` (its mean over seeds) and `median_sd` (NaN with one seed).
        x: column of numbers along the axis.
        reference: cells drawn as horizontal lines.
        order: of the values of each column.

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
    if not all(isinstance(value, Real) for value in cells[x]):
        raise NothingToDraw(f"Curves need numbers along their axis; {words(x)} has names.")
    styles = looks(cells, "method", order, "color", "marker", "linestyle")
    figure, panels = _panels(cells, order, sharey=True)
    step = float(cells[x].max() - cells[x].min()) * 0.008  # apart, so that error bars do not hide each other
    for network, axes in panels.items():
        for index, (method, look) in enumerate(styles.items()):
            own = cells[(cells["network"] == network) & (cells["method"] == method)].sort_values(x)
            places = own[x] + (index - (len(styles) - 1) / 2) * step
            lines: dict[str, Any] = {"markersize": 4, "linewidth": 1.2, "capsize": 2, "elinewidth": 0.8, **look}
            axes.errorbar(places, own["median"], yerr=own["median_sd"].fillna(0), label=words(method), **lines)
        if reference is not None:
            for line in reference[reference["network"] == network].itertuples():
                dashed: dict[str, Any] = {"color": "black", "linewidth": 0.8, "linestyle": (0, (6, 2))}
                axes.axhline(line.median, label=words(line.method), **dashed)
        axes.set_xlabel(words(x))
    figure.axes[0].set_ylabel("median Dice")
    legend_above(figure)
    return figure


def draw_times(runs: pd.DataFrame, order: Order) -> Figure:
    """Draw the seconds per epoch (section 5.3.1): a point per run and a line at the median of each method.

    `runs` has the columns method, network and `seconds`.

    Raises:
        NothingToDraw: if no run measured its epochs.

    Example:
        >>> runs = pd.DataFrame({"method": ["a", "a", "b"], "network": "unet", "seconds": [1.0, 3.0, 2.5]})
        >>> [float(line.get_ydata()[0]) for line in draw_times(runs, {}).axes[0].lines]
        [2.0, 2.5]
    """
    runs = runs[runs["seconds"].notna()]
    if runs.empty:
        raise NothingToDraw("No run measured the seconds of its epochs.")
    styles = looks(runs, "method", order, "color", "marker")
    figure, panels = _panels(runs, order)
    for network, axes in panels.items():
        own = runs[runs["network"] == network]
        for place, (method, look) in enumerate(styles.items()):
            seconds = own[own["method"] == method]["seconds"]
            if len(seconds):
                spread = [place + 0.1 * (i % 5 - 2) for i in range(len(seconds))]
                axes.scatter(spread, seconds, s=12, edgecolors="black", linewidths=0.3, **look)
                axes.plot([place - 0.35, place + 0.35], [seconds.median()] * 2, color="black", linewidth=1.4)
        axes.set_xticks(range(len(styles)), [words(method) for method in styles], rotation=45, ha="right")
        axes.set_ylim(0, 1.15 * own["seconds"].max())
        axes.grid(visible=False, axis="x")
    figure.axes[0].set_ylabel("seconds per epoch")
    return figure
