"""Example images, their annotation, and the predictions of each method: figures 4b, 7b and 8 of Islam et al., 2026."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ....palette import colour
from ....tracking import draw_overlay
from .style import PAGE, NothingToDraw, words

__all__ = ["draw_predictions"]

ROWS = 6  # at most, but at least one per dataset
SIDE = 1.4  # inches of an image at most


def draw_predictions(predictions: Mapping[str, Mapping[str, NDArray[Any]]], datasets: Sequence[str]) -> Figure:
    """Draw a row per image: the image, its annotation, and the prediction of each method.

    Args:
        predictions: method -> the arrays of `test_predictions.npz`, of the same images.
        datasets: of the images, at least one.

    Raises:
        NothingToDraw: if the runs kept no images of these datasets, or different images.
    """
    if not predictions:
        raise NothingToDraw("The runs kept no example predictions.")
    first = next(iter(predictions.values()))
    most = max(1, min(3, ROWS // len(datasets)))
    rows = [row for name in datasets for row in np.flatnonzero(first["dataset"] == name)[:most]]
    if not rows or any(list(one["name"]) != list(first["name"]) for one in predictions.values()):
        raise NothingToDraw(f"The runs kept no common example images of {', '.join(datasets)}.")
    classes = [str(name) for name in first["classes"]]
    columns = {"image": first["truth"] * 0, "annotation": first["truth"]}
    columns |= {method: arrays["prediction"] for method, arrays in predictions.items()}
    side = min(SIDE, PAGE / len(columns))
    engine = ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    figure = Figure(figsize=(side * len(columns) + 0.2, side * len(rows) + 0.6), layout=engine)
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for panels, (title, overlays) in zip(grid.T, columns.items(), strict=True):
        panels[0].set_title(title)
        for axes, row in zip(panels, rows, strict=True):
            draw_overlay(axes, first["image"][row] / 255, overlays[row], len(classes))
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
    for axes, row in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(first["dataset"][row])
    handles = [Patch(color=colour(index), label=words(name)) for index, name in enumerate(classes) if index]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure
