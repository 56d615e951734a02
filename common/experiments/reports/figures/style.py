"""The look of the figures of a report: column width of a journal, letters of 8 points, no meaning in colour alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ....atomic import whole_file
from ....palette import COLOURS
from ..selection import Order, list_values

__all__ = ["PAGE", "STYLE", "NothingToDraw", "legend_above", "looks", "save_figure", "words"]

PAGE = 7.2  # inches, two columns of a journal
HATCHES = ("", "////", "....", "xxxx", "----", "\\\\\\\\", "++++", "oooo")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", ":", "-.")
LOOKS = {"color": COLOURS, "hatch": HATCHES, "marker": MARKERS, "linestyle": LINES}
STYLE: dict[Any, Any] = {  # letters and lines of print, for `matplotlib.rc_context`
    "font.size": 8,
    "axes.titlesize": 8,
    "hatch.linewidth": 0.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
}


class NothingToDraw(ValueError):
    """The results cannot fill this figure; the message, which the page shows, names what is missing."""


def legend_above(figure: Figure, handles: Mapping[str, Any] | None = None, **more: Any) -> None:
    """Put a legend above a figure, with as many columns as its width allows.

    `handles` maps labels to artists; None takes everything that has a label.
    """
    if handles is None:
        found = (axes.get_legend_handles_labels() for axes in figure.axes)
        handles = {label: artist for artists in found for artist, label in zip(*artists, strict=True)}
    longest = 0.55 + 0.075 * max(map(len, handles))  # inches: sign and spaces, and letters of 8 points
    columns = max(1, min(len(handles), int(figure.get_figwidth() / longest)))
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=columns, **more)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG at 300 dpi; an earlier file stays until the new one is complete."""
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=300)


def words(name: Any) -> str:
    """Return a name as figures and tables print it.

    Example:
        >>> words("lv_cavity"), words(0.4), words(100.0)
        ('LV cavity', '0.4', '100')
    """
    return f"{name:g}" if isinstance(name, float) else re.sub(r"\blv\b", "LV", str(name).replace("_", " "))


def looks(rows: pd.DataFrame, column: str, order: Order, *kinds: str) -> dict[Any, dict[str, Any]]:
    """Return the look of each value of a column, the same in all figures of a page.

    Args:
        rows: shown in a figure.
        column: whose values look different.
        order: column -> its values on the page; others follow.
        kinds: of `LOOKS`; after the last colour, marker, ... the first is used again.

    Example:
        >>> rows = pd.DataFrame({"method": ["new", "aBCE"]})
        >>> looks(rows, "method", {"method": ["aCCE", "aBCE"]}, "marker")
        {'aBCE': {'marker': 's'}, 'new': {'marker': '^'}}
    """
    present = list_values(rows, column, order)
    numbered = list(dict.fromkeys([*order.get(column, ()), *present]))
    return {one: {kind: LOOKS[kind][numbered.index(one) % len(LOOKS[kind])] for kind in kinds} for one in present}
