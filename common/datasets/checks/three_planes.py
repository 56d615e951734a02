"""Three planes of a prepared volume beside each other: axial, coronal, sagittal, as radiologists see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..volumes.layout import read_volume_pair

__all__ = ["three_planes"]

GREYS = (1, 99)  # percentiles that become black and white


def three_planes(
    item: Mapping[str, Any], values: Sequence[int], side: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return grey values and annotation values of three planes, (side, 3 side), each in its physical proportions.

    The planes pass through the voxel nearest to the middle of a structure. The patient's right is on the left of the
    axial and the coronal plane, the front on top of the axial and on the left of the sagittal plane.

    Args:
        item: of a datalist, with absolute paths.
        values: annotation values of the structure; where there is none of them, the planes pass through the middle.
        side: rows of a plane.
    """
    image, label = read_volume_pair(item)
    x, y, z = _middle(np.isin(label, values))
    low, high = np.percentile(image[:, :, z], GREYS)
    dx, dy, dz = item["spacing"]
    planes = []
    for cut, (across, down) in (
        (np.s_[::-1, ::-1, z], (dx, dy)),
        (np.s_[::-1, y, ::-1], (dx, dz)),
        (np.s_[x, ::-1, ::-1], (dy, dz)),
    ):
        shown = ((image[cut] - low) / max(1.0, high - low)).clip(0, 1)
        planes.append(
            (
                _fitted((255 * shown).astype(np.uint8).T, across, down, side, Image.Resampling.BILINEAR),
                _fitted(label[cut].T, across, down, side, Image.Resampling.NEAREST),
            )
        )
    greys, annotations = zip(*planes, strict=True)
    return np.concatenate(greys, axis=1), np.concatenate(annotations, axis=1)


def _middle(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return the voxel of a mask that is nearest to its centre of gravity; the middle of an empty one."""
    if not mask.any():
        x, y, z = (size // 2 for size in mask.shape)
        return x, y, z
    places = np.argwhere(mask)
    x, y, z = places[np.square(places - places.mean(axis=0)).sum(axis=1).argmin()].tolist()
    return x, y, z


def _fitted(
    plane: NDArray[np.uint8], across: float, down: float, side: int, resample: Image.Resampling
) -> NDArray[np.uint8]:
    """Return a plane resized to physical proportions in the middle of a black square."""
    rows, columns = plane.shape[0] * down, plane.shape[1] * across
    scale = side / max(rows, columns)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    square = np.zeros((side, side), np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    resized = np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(size, resample))
    square[top : top + size[1], left : left + size[0]] = resized
    return square
