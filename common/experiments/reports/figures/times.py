"""Seconds an epoch of training takes: the comparison of costs in section 5.3.1 of Islam et al., 2026."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ....palette import COLOURS
from ..run_selection import ordered
from .style import MARKERS, PAGE, NothingToDraw, look, places, words

__all__ = ["draw_times"]


def draw_times(runs: pd.DataFrame, order: Mapping[str, Sequence[Any]]) -> Figure:
    """Draw a point a run and a line at the median of each method, in a panel for each network.

    Args:
        runs: the columns method, network and `seconds`, a row a run.
        order: column -> its values in the order wanted.

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
    methods, networks = (ordered(runs[column], order.get(column, ())) for column in ("method", "network"))
    numbers = places(methods, order.get("method", ()))
    figure = Figure(figsize=(max(PAGE / 2, PAGE / 3 * len(networks)), 2.7), layout="constrained")
    grid = figure.subplots(1, len(networks), squeeze=False, sharex=True)[0]
    for axes, network in zip(grid, networks, strict=True):
        for place, method in enumerate(methods):
            seconds = runs[(runs["network"] == network) & (runs["method"] == method)]["seconds"].to_numpy()
            if len(seconds):
                spread = [place + 0.2 * ((i % 5) - 2) / 2 for i in range(len(seconds))]
                style = {"color": look(numbers[method], COLOURS), "marker": look(numbers[method], MARKERS)}
                axes.scatter(spread, seconds, s=12, edgecolors="black", linewidths=0.3, **style)
                median = float(pd.Series(seconds).median())
                axes.plot([place - 0.35, place + 0.35], [median, median], color="black", linewidth=1.4)
        axes.set_title(words(network), loc="left", fontweight="bold")
        axes.set_xticks(range(len(methods)), [words(method) for method in methods], rotation=45, ha="right")
        axes.set_ylim(0, 1.15 * runs[runs["network"] == network]["seconds"].max())
        axes.grid(visible=False, axis="x")
    grid[0].set_ylabel("seconds an epoch")
    return figure
