"""Carry an image or its annotation along a map of coordinates, and find where the map folds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

__all__ = ["carry_image", "carry_label", "jacobian"]


def carry_image(image: NDArray[Any], coordinates: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Resample a source image on the target's grid, bilinearly; 0 outside the source.

    Args:
        image: grey values of the source, (rows, columns).
        coordinates: position of each target pixel in the source, pixels, (2, target rows, target columns).

    Returns:
        (target rows, target columns).

    Example:
        >>> carry_image(np.array([[0, 10], [20, 30]]), np.array([[[0.5]], [[0.0]]])).tolist()
        [[10.0]]
    """
    result: NDArray[np.float32] = map_coordinates(image.astype(np.float32), coordinates, order=1)
    return result


def carry_label(label: NDArray[np.integer[Any]], coordinates: NDArray[np.floating[Any]]) -> NDArray[np.integer[Any]]:
    """Carry an annotation to the target's grid by nearest neighbour, so no new values arise.

    Args:
        label: annotation values of the source, 0 its background, (rows, columns).
        coordinates: as for `carry_image`.

    Returns:
        (target rows, target columns), of the same dtype; 0 outside the source.

    Example:
        >>> carry_label(np.array([[0, 3]]), np.array([[[0.0, 0.0]], [[0.6, 7.0]]])).tolist()
        [[3, 0]]
    """
    result: NDArray[np.integer[Any]] = map_coordinates(label, coordinates, order=0)
    return result


def jacobian(coordinates: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return by how much a map (as for `carry_image`) enlarges the area around each pixel; it folds where this is <= 0.

    Returns:
        Determinant of the Jacobian, source pixels per target pixel, (target rows, target columns).

    Example:
        >>> float(jacobian(2.0 * np.indices((3, 3))).max())
        4.0
        >>> float(jacobian(np.indices((3, 3))[:, ::-1].astype(float)).max())  # mirrored
        -1.0
    """
    (a, b), (c, d) = (np.gradient(axis) for axis in coordinates.astype(np.float64))
    determinant: NDArray[np.float64] = a * d - b * c
    return determinant
