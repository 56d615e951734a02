"""Seconds per epoch of training: the comparison of costs in section 5.3.1 of Islam et al., 2026."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from .style import NothingToDraw, looks, network_panels, words

__all__ = ["draw_times"]


def draw_times(runs: pd.DataFrame, order: Mapping[str, Sequence[Any]]) -> Figure:
    """Draw a point per run and a line at the median of each method, a panel per network.

    Args:
        runs: the columns method, network and `seconds`.
        order: column -> its values in the wanted order.

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
    figure, panels = network_panels(runs, order)
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
