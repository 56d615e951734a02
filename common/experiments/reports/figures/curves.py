"""Dice over the probability of label dropout: figure 6a-c of Islam et al., 2026."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from .style import NothingToDraw, legend_above, looks, network_panels, words

__all__ = ["draw_curves"]


def draw_curves(
    cells: pd.DataFrame, x: str, reference: pd.DataFrame | None, order: Mapping[str, Sequence[Any]]
) -> Figure:
    """Draw the mean over seeds of the median Dice, with error bars of one standard deviation over seeds.

    Each method is a line, each network a panel.

    Args:
        cells: the columns method, network, `x`, `median` (its mean over seeds) and `median_sd` (NaN with one seed).
        x: column of numbers along the axis.
        reference: cells drawn as horizontal lines.
        order: column -> its values in the wanted order.

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
    styles = looks(cells, "method", order, "color", "marker", "linestyle")
    figure, panels = network_panels(cells, order, sharey=True)
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
