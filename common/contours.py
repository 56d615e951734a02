"""Convert contours to masks (polygons, natural splines through control points) and masks to contours."""

from __future__ import annotations

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

__all__ = ["bounding_box", "fill", "outlines", "spline"]

STEPS = 16  # points a segment of a spline


def fill(polygon: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mark the pixels whose centre is inside a polygon (even-odd rule), so areas are unbiased.

    Args:
        polygon: (points, 2), (row, column), in pixels; pixel centres have whole numbers.
        shape: of the result.

    Returns:
        bool, `shape`.

    Example:
        >>> int(fill(np.array([[0.5, 0.5], [0.5, 2.5], [2.5, 2.5], [2.5, 0.5]]), (4, 4)).sum())
        4
    """
    (row0, column0), (row1, column1) = polygon.T, np.roll(polygon, -1, axis=0).T
    rows = np.arange(shape[0])[:, None]
    row, edge = np.nonzero((row0 <= rows) != (row1 <= rows))
    fraction = (row - row0[edge]) / (row1[edge] - row0[edge])
    column = np.ceil(column0[edge] + fraction * (column1[edge] - column0[edge])).clip(0, shape[1]).astype(np.intp)
    toggles = np.bincount(row * (shape[1] + 1) + column, minlength=shape[0] * (shape[1] + 1))
    return np.asarray(toggles.reshape(shape[0], -1).cumsum(axis=1)[:, :-1] % 2 == 1)


def spline(nodes: NDArray[np.float64], straight: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Draw an open natural cubic spline through control points, parametrised by chord length, (more points, 2).

    Args:
        nodes: at least three different ones, (points, 2), in drawing order; repeated neighbours are dropped.
        straight: marks the segments that are straight lines, (points - 1,); None draws curves only.

    Example:
        >>> arc = spline(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]))
        >>> arc[:: STEPS // 2].round(2).tolist()  # rises steeper than a straight line
        [[0.0, 0.0], [0.5, 0.69], [1.0, 1.0], [1.5, 0.69], [2.0, 0.0]]
    """
    steps = np.diff(nodes, axis=0)
    moved = np.linalg.norm(steps, axis=1) > 0
    nodes, steps = nodes[np.concatenate([[True], moved])], steps[moved]
    along = np.concatenate([[0.0], np.linalg.norm(steps, axis=1).cumsum()])
    fraction = np.arange(STEPS) / STEPS
    drawn = CubicSpline(along, nodes, bc_type="natural")(along[:-1, None] + fraction * np.diff(along)[:, None])
    if straight is not None:
        drawn[straight[moved]] = (nodes[:-1, None] + fraction[:, None] * steps[:, None])[straight[moved]]
    return np.concatenate([drawn.reshape(-1, 2), nodes[-1:]])


def bounding_box(mask: NDArray[np.bool_], margin: int = 0) -> tuple[slice, slice]:
    """Return the rows and columns of the smallest box around a mask; the whole image if the mask is empty.

    Args:
        mask: (rows, columns).
        margin: pixels added on each side, as far as the image goes.

    Example:
        >>> mask = np.zeros((5, 6), bool)
        >>> mask[1:3, 2] = True
        >>> bounding_box(mask), bounding_box(mask, margin=2)
        ((slice(1, 3, None), slice(2, 3, None)), (slice(0, 5, None), slice(0, 5, None)))
    """
    if not mask.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    marked = (np.flatnonzero(np.any(mask, axis=axis)) for axis in (1, 0))
    rows, columns = (
        slice(max(int(own[0]) - margin, 0), min(int(own[-1]) + 1 + margin, size))
        for own, size in zip(marked, mask.shape, strict=True)
    )
    return rows, columns


def outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Return the closed outlines of a mask (rows, columns), on pixel borders; those of holes run the other way round.

    Returns:
        (points, 2) each, (row, column), in pixels; pixel centres have whole numbers; the last point equals the first.

    Example:
        >>> outlines(np.array([[True]]))[0].tolist()
        [[0.0, -0.5], [-0.5, 0.0], [0.0, 0.5], [0.5, 0.0], [0.0, -0.5]]
    """
    box = bounding_box(mask)
    lines = contour_generator(z=np.pad(mask[box], 1).astype(np.float64)).lines(0.5)
    return [np.asarray(line)[:, ::-1] + [side.start - 1 for side in box] for line in lines]
