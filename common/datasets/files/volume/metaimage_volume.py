"""Volumes in MetaImage files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..metaimage import metaimage_header
from ..unreadable import Unreadable
from .voxels import TO_RAS, Affine, Voxels, check_lengths, check_size

__all__ = ["read_metaimage_volume"]

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
    matrix, origin = (_stated(header.fields, keys, count) for keys, count in ((DIRECTIONS, 9), (ORIGINS, 3)))
    lengths = check_lengths(header.lengths)
    affine: Affine | None = None
    if matrix:
        axes = np.eye(4)
        axes[:3, :3] = np.reshape(matrix, (3, 3)).T * lengths  # the file lists the direction of one axis after another
        axes[:3, 3] = origin or 0.0
        affine = TO_RAS @ axes
    return Voxels(values, affine, lengths)


def _stated(fields: Mapping[str, str], keys: Sequence[str], count: int) -> list[float]:
    """Return the numbers of the first of `keys` that the header has; empty without."""
    text = next((fields[key] for key in keys if key in fields), "")
    numbers = [float(word) for word in text.split()]
    if text and len(numbers) != count:
        raise Unreadable(f"{' or '.join(keys)} has {len(numbers)} numbers, expected {count}.")
    return numbers
