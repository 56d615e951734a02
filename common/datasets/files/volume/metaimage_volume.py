"""Volumes in MetaImage files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..metaimage import MetaImage, metaimage_header
from ..unreadable import Unreadable
from .voxels import TO_RAS, Affine, Voxels, check_lengths, check_size

__all__ = ["metaimage_affine", "read_metaimage_volume"]

DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")  # synonyms, as are the following
ORIGINS = ("Offset", "Position", "Origin")


def read_metaimage_volume(path: Path) -> Voxels:
    """Read a MetaImage volume; without a matrix of directions its orientation is unknown.

    Raises:
        Unreadable: if it is not one.
    """
    header = metaimage_header(path)
    check_size(header.sizes)
    values = header.read(0, math.prod(header.sizes)).reshape(header.sizes[::-1]).T
    return Voxels(values, metaimage_affine(header), check_lengths(header.lengths))


def metaimage_affine(header: MetaImage) -> Affine | None:
    """Return where voxels lie, 4x4, in mm (right, anterior, superior); None without a matrix of directions.

    As for ITK, an image of two dimensions lies in the plane of the axes left and posterior.

    Raises:
        Unreadable: if directions or origin have another number of dimensions than the image.
    """
    count = len(header.sizes)
    matrix, origin = _stated(header.fields, DIRECTIONS, count**2), _stated(header.fields, ORIGINS, count)
    if not matrix:
        return None
    space = min(count, 3)  # a fourth axis is time
    axes = np.eye(4)
    directions = np.reshape(matrix, (count, count)).T * header.lengths  # one axis after another in the file
    axes[:space, :space] = directions[:space, :space]
    axes[:space, 3] = origin[:space] or 0.0
    return TO_RAS @ axes


def _stated(fields: Mapping[str, str], keys: Sequence[str], count: int) -> list[float]:
    """Return the numbers of the first of `keys` that the header has; empty without."""
    text = next((fields[key] for key in keys if key in fields), "")
    numbers = [float(word) for word in text.split()]
    if text and len(numbers) != count:
        raise Unreadable(f"{' or '.join(keys)} has {len(numbers)} numbers, expected {count}.")
    return numbers
