"""Box-and-whisker plots of Dice: figures 2, 3, 5a and 7a of Islam et al., 2026."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ....palette import COLOURS
from ..run_selection import ordered
from .style import HATCHES, PAGE, legend_above, look, places, words

__all__ = ["draw_boxes"]

GROUP = 0.8  # of the distance between two places on the axis that their boxes fill


def draw_boxes(scores: pd.DataFrame, x: str, hue: str, panel: str, order: Mapping[str, Sequence[Any]]) -> Figure:
    """Draw a box for each value of `x` and `hue`, in a panel for each value of `panel`.

    The box spans the quartiles, the line is the median, the star the mean, whiskers reach to 1.5 times the box. Each
    panel has its own range of Dice, up to 1.

    Args:
        scores: the columns `x`, `hue`, `panel` and `dice`, a row a patient.
        x: column along the axis.
        hue: column told apart by colour and hatching.
        panel: column with a panel each, one above the other.
        order: column -> its values in the order wanted.

    Example:
        >>> scores = pd.DataFrame({"method": ["a", "a", "b"], "network": "unet", "dice": [0.8, 0.9, 0.7]})
        >>> len(draw_boxes(scores.assign(label="lv"), "method", "network", "label", {}).axes[0].patches)
        2
    """
    ticks, hues, panels = (ordered(scores[column], order.get(column, ())) for column in (x, hue, panel))
    looks = places(hues, order.get(hue, ()))
    figure = Figure(figsize=(PAGE, 0.6 + 1.5 * len(panels)), layout="constrained")
    grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    width = GROUP / len(hues)
    for axes, name in zip(grid, panels, strict=True):
        for index, kind in enumerate(hues):
            own = scores[(scores[panel] == name) & (scores[hue] == kind)]
            values = {place: own[own[x] == place]["dice"].dropna().to_numpy() for place in ticks}
            drawn = {ticks.index(place): numbers for place, numbers in values.items() if len(numbers)}
            if drawn:
                axes.boxplot(
                    list(drawn.values()),
                    positions=[place + (index - (len(hues) - 1) / 2) * width for place in drawn],
                    widths=0.85 * width,
                    manage_ticks=False,
                    patch_artist=True,
                    showmeans=True,
                    boxprops={
                        "facecolor": look(looks[kind], COLOURS),
                        "hatch": look(looks[kind], HATCHES),
                        "linewidth": 0.6,
                    },
                    medianprops={"color": "black", "linewidth": 1.4},
                    meanprops={"marker": "*", "markerfacecolor": "white", "markeredgecolor": "black", "markersize": 6},
                    flierprops={"marker": ".", "markersize": 2},
                    whiskerprops={"linewidth": 0.6},
                    capprops={"linewidth": 0.6},
                )
        axes.set_title(words(name), loc="left", fontweight="bold")
        axes.set(ylabel="Dice", xticks=range(len(ticks)), xlim=(-0.5, len(ticks) - 0.5))
        lowest = float(scores[scores[panel] == name]["dice"].min())
        axes.set_ylim(max(0.0, min(0.9, lowest - 0.03)), 1.0)
        axes.grid(visible=False, axis="x")
    labels = ticks if x == "dataset" else [words(place) for place in ticks]
    grid[-1].set(xticklabels=labels, xlabel="" if x == "method" else words(x))
    if len(hues) > 1:
        handles = {
            words(kind): Patch(facecolor=look(place, COLOURS), hatch=look(place, HATCHES), edgecolor="black")
            for kind, place in looks.items()
        }
        legend_above(figure, handles, title=words(hue))
    return figure
