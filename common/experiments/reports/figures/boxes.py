"""Box-and-whisker plots of Dice: figures 2, 3, 5a and 7a of Islam et al., 2026."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..selection import Order, list_values
from .style import PAGE, legend_above, looks, words

__all__ = ["draw_boxes"]

BOXES: dict[str, Any] = {
    "manage_ticks": False,
    "patch_artist": True,
    "showmeans": True,
    "medianprops": {"color": "black", "linewidth": 1.4},
    "meanprops": {"marker": "*", "markerfacecolor": "white", "markeredgecolor": "black", "markersize": 6},
    "flierprops": {"marker": ".", "markersize": 2},
    "whiskerprops": {"linewidth": 0.6},
    "capprops": {"linewidth": 0.6},
}


def draw_boxes(scores: pd.DataFrame, x: str, hue: str, order: Order) -> Figure:
    """Draw a box for each value of `x` and `hue`, in a panel for each class.

    The box spans the quartiles, the line is the median, the star the mean; whiskers reach 1.5 times the length of the
    box. Each panel has its own range of Dice, up to 1. `scores` has the columns `x` (along the axis), `hue` (shown by
    colour and hatching), class and dice, a row per patient.

    Example:
        >>> scores = pd.DataFrame({"method": ["a", "a", "b"], "network": "unet", "dice": [0.8, 0.9, 0.7]})
        >>> len(draw_boxes(scores.assign(**{"class": "lv"}), "method", "network", {}).axes[0].patches)
        2
    """
    ticks, classes = (list_values(scores, column, order) for column in (x, "class"))
    patches: dict[Any, dict[str, Any]] = {
        one: {"facecolor": look["color"], "hatch": look["hatch"], "edgecolor": "black"}
        for one, look in looks(scores, hue, order, "color", "hatch").items()
    }
    figure = Figure(figsize=(PAGE, 0.6 + 1.5 * len(classes)), layout="constrained")
    panels = figure.subplots(len(classes), 1, squeeze=False, sharex=True)[:, 0]
    width = 0.8 / len(patches)  # boxes fill this fraction of the distance between two ticks
    for axes, name in zip(panels, classes, strict=True):
        shown = scores[scores["class"] == name]
        for index, (kind, patch) in enumerate(patches.items()):
            own = shown[shown[hue] == kind].dropna(subset=["dice"]).groupby(x, observed=True)["dice"]
            values = {ticks.index(tick): dice.to_numpy() for tick, dice in own}
            places = [tick + (index - (len(patches) - 1) / 2) * width for tick in values]
            box = {**patch, "linewidth": 0.6}
            if values:
                axes.boxplot(list(values.values()), positions=places, widths=0.85 * width, boxprops=box, **BOXES)
        axes.set_title(words(name), loc="left", fontweight="bold")
        axes.set(ylabel="Dice", xticks=range(len(ticks)), xlim=(-0.5, len(ticks) - 0.5))
        axes.set_ylim(max(0.0, min(0.9, shown["dice"].min() - 0.03)), 1.0)
        axes.grid(visible=False, axis="x")
    labels = ticks if x == "dataset" else [words(tick) for tick in ticks]
    panels[-1].set(xticklabels=labels, xlabel="" if x == "method" else words(x))
    if len(patches) > 1:
        legend_above(figure, {words(kind): Patch(**patch) for kind, patch in patches.items()}, title=words(hue))
    return figure
