"""Read tables and polygons of a dataset's layout without the project's readers."""

import csv
from pathlib import Path

import numpy as np
from matplotlib.path import Path as Polygon


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def inside(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the mask of a polygon of (x, y) in pixels."""
    row, column = np.indices(shape)
    return Polygon(polygon).contains_points(np.stack([column.ravel(), row.ravel()], axis=1)).reshape(shape)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * (first & second).sum() / (first.sum() + second.sum())
