"""How the figures of a report look: column widths of a journal, letters of 8 points, no meaning in colour alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ....atomic import whole_file

__all__ = [
    "HATCHES",
    "MARKERS",
    "PAGE",
    "NothingToDraw",
    "legend_above",
    "look",
    "places",
    "print_style",
    "save_figure",
    "words",
]

PAGE = 7.2  # inches, two columns of a journal
DPI = 300
HATCHES = ("", "////", "....", "xxxx", "----", "\\\\\\\\", "++++", "oooo")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "figure.titlesize": 8,
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
    """The results cannot fill this figure; the message says what is missing, and the page shows it."""


@contextmanager
def print_style() -> Iterator[None]:
    """Give the figures made inside the letters and lines of print.

    Example:
        >>> with print_style():
        ...     mpl.rcParams["font.size"]
        8.0
    """
    with mpl.rc_context(STYLE):
        yield


def legend_above(figure: Figure, handles: Mapping[str, Any], **more: Any) -> None:
    """Put a legend above a figure, in as many columns as its width has room for.

    Args:
        figure: with a constrained layout.
        handles: name -> what it stands for in the figure.
        more: for Matplotlib's legend.
    """
    longest = 0.55 + 0.075 * max(map(len, handles))  # inches: sign and spaces, and letters of 8 points
    columns = max(1, min(len(handles), int(figure.get_figwidth() / longest)))
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=columns, **more)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG at 300 dpi, at its own size; what was there stays until the new one is complete."""
    FigureCanvasAgg(figure)  # no display, and no pyplot state shared between threads
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=DPI)


def words(name: Any) -> str:
    """Return a name as it is printed.

    Example:
        >>> words("lv_cavity"), words(0.4), words(100.0)
        ('LV cavity', '0.4', '100')
    """
    return f"{name:g}" if isinstance(name, float) else re.sub(r"\blv\b", "LV", str(name).replace("_", " "))


def places(present: Sequence[Any], order: Sequence[Any]) -> dict[Any, int]:
    """Number the values of a column, so that a value looks the same in all figures of a page.

    Args:
        present: values in a figure.
        order: values of the page; others come behind.

    Example:
        >>> places(["aBCE", "new"], order=["aCCE", "aBCE"])
        {'aBCE': 1, 'new': 2}
    """
    numbered = [*order, *(one for one in present if one not in order)]
    return {one: numbered.index(one) for one in present}


def look(index: int, kinds: Sequence[str]) -> str:
    """Return the index-th colour, hatching or marker; beyond the last it starts again."""
    return kinds[index % len(kinds)]
