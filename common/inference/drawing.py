"""Draw a frame with the outlines of its classes and measured axes, smooth at any size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgb
from matplotlib.path import Path as Line
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray
from PIL import Image

from ..contours import bounding_box, outlines
from ..palette import colour

__all__ = ["Axis", "Canvas", "draw_anatomy", "enlarge"]

LEAST, MOST = 400, 800  # pixels: minimum height of a still, maximum length of the longer side
FILL, UNDER = 0.22, 0.55  # opacity of a class, and of the dark line that makes its outline visible on bright tissue
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """A line that was measured, and lines across it.

    Args:
        ends: of the line, (2, 2), (row, column), pixels, integer at pixel centres.
        across: ends of the others, (lines, 2, 2), likewise.
    """

    ends: Array
    across: Array


@dataclass(frozen=True)
class Canvas:
    """Place pixels of the image in the picture: cropped to what may be seen, in true proportions, enlarged.

    Args:
        seen: where the image may be shown, (rows, columns); everything else stays black, including burnt-in names.
        spacing: mm per pixel, (row, column); None shows pixels as squares.
        least: minimum height of the picture, pixels.
        most: maximum length of its longer side, pixels.
    """

    seen: NDArray[np.bool_]
    spacing: tuple[float, float] | None
    least: int = LEAST
    most: int = MOST

    @cached_property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns that are shown."""
        return bounding_box(self.seen)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture, pixels."""
        row, column = self.spacing or (1.0, 1.0)
        fine = min(row, column)
        rows, columns = self.box
        height, width = (rows.stop - rows.start) * row / fine, (columns.stop - columns.start) * column / fine
        factor = min(max(1.0, self.least / height), self.most / max(height, width))
        return max(1, round(height * factor)), max(1, round(width * factor))

    def place(self, points: Array) -> Array:
        """Convert (row, column) of the image, integer at pixel centres, to (x, y) from the lower left, (points, 2)."""
        (height, width), (rows, columns) = self.size, self.box
        y = height - (points[:, 0] + 0.5 - rows.start) * height / (rows.stop - rows.start)
        x = (points[:, 1] + 0.5 - columns.start) * width / (columns.stop - columns.start)
        return np.stack([x, y], axis=1)


def draw_anatomy(
    canvas: Canvas, frame: NDArray[np.uint8], labels: NDArray[np.uint8], axes: Iterable[Axis] = ()
) -> NDArray[np.uint8]:
    """Draw a frame, the outlines of its classes, and axes with the lines across them, (height, width, 3).

    Args:
        canvas: where things go.
        frame: grey values 0 to 255, (rows, columns).
        labels: class of each pixel, (rows, columns).
        axes: that were measured.

    Example:
        >>> canvas = Canvas(np.ones((40, 30), bool), (2.0, 1.0))
        >>> draw_anatomy(canvas, np.zeros((40, 30), np.uint8), np.zeros((40, 30), np.uint8)).shape
        (400, 150, 3)
    """
    height, width = canvas.size
    renderer = RendererAgg(width, height, 72)  # so that a point is a pixel
    buffer = np.asarray(renderer.buffer_rgba())
    buffer[..., :3], buffer[..., 3] = enlarge(canvas, frame)[..., None], 255
    for index in range(int(labels.max()), 0, -1):  # the first class is on top
        outline, own = _outline(canvas, labels == index), to_rgb(colour(index))
        _draw(renderer, outline, (0, 0, 0, UNDER), 3.2)
        _draw(renderer, outline, (*own, 1), 1.6, (*own, FILL))
    for axis in axes:
        across = Line.make_compound_path(*(Line(canvas.place(ends)) for ends in axis.across))
        _draw(renderer, across, (1, 1, 1, 0.45), 0.8)
        along = canvas.place(axis.ends)
        _draw(renderer, Line(along), (0, 0, 0, UNDER), 3.2)
        _draw(renderer, Line(along), (1, 1, 1, 1), 1.6)
        for end in along:
            circle = Line.circle((float(end[0]), float(end[1])), 3.5)
            _draw(renderer, circle, (0, 0, 0, UNDER), 1.5, (1, 1, 1, 1))
    return buffer[..., :3]


def enlarge(canvas: Canvas, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what may be seen of a frame, in the canvas' size."""
    (height, width), box = canvas.size, canvas.box
    grey = Image.fromarray(np.where(canvas.seen[box], frame[box], 0).astype(np.uint8))
    return np.asarray(grey.resize((width, height), Image.Resampling.BICUBIC))


def _outline(canvas: Canvas, mask: NDArray[np.bool_]) -> Line:
    """Return the borders of a mask in the picture, holes included; the steps between pixels are rounded."""
    rings = []
    for ring in outlines(mask):
        points = ring[:-1]  # the last is the first
        for _ in range(2):
            points = (points + np.roll(points, 1, axis=0)) / 2
        rings.append(Line(canvas.place(np.concatenate([points, points[:1]])), closed=True))
    return Line.make_compound_path(*rings)


def _draw(
    renderer: RendererAgg,
    line: Line,
    colour: tuple[float, float, float, float],
    width: float,
    fill: tuple[float, float, float, float] | None = None,
) -> None:
    context = renderer.new_gc()
    context.set_foreground(colour, isRGBA=True)
    context.set_linewidth(width)
    context.set_joinstyle("round")
    renderer.draw_path(context, line, IdentityTransform(), fill)
