"""Voxels of a file, and the affine matrix that says where each lies in the patient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..unreadable import Unreadable

__all__ = [
    "MAX_VOXELS",
    "PAIRS",
    "SPACINGS",
    "TO_RAS",
    "Affine",
    "Voxels",
    "affine_of_letters",
    "check_lengths",
    "check_size",
    "in_the_same_place",
    "spacing_of_affine",
]

MAX_VOXELS = 2**29  # of a volume: 2,048 slices of 512 x 512; as float32 2 GiB
PAIRS = ("RL", "AP", "SI")  # directions of the three axes of the patient, the positive one first
SPACINGS = (0.01, 100.0)  # mm: micro-CT to a scout
NEAR = 0.1  # of a voxel: how far corners may lie apart; programs round directions differently

Affine = NDArray[np.float64]

TO_RAS: Affine = np.diag([-1.0, -1.0, 1.0, 1.0])  # from places in LPS, as in DICOM and ITK, to RAS, as in NIfTI


class Voxels(NamedTuple):
    """Content of a file.

    Args:
        values: of any integer or floating dtype, (i, j, k) as the file orders them.
        affine: 4x4, from voxel indices (i, j, k, 1) to mm (right, anterior, superior, 1); None if the file does not
            say how its axes lie in the patient.
        lengths: mm between voxels along (i, j, k).
    """

    values: NDArray[Any]
    affine: Affine | None
    lengths: tuple[float, float, float]


def spacing_of_affine(affine: Affine) -> tuple[float, float, float]:
    """Return mm between voxels along each axis.

    Example:
        >>> spacing_of_affine(np.diag([-2.0, 3.0, 4.0, 1.0]))
        (2.0, 3.0, 4.0)
    """
    i, j, k = np.linalg.norm(affine[:3, :3], axis=0).round(6).tolist()
    return i, j, k


def in_the_same_place(one: Affine, other: Affine, shape: Sequence[int]) -> bool:
    """Return whether the corners of two volumes of a shape lie within a tenth of a voxel of each other.

    Example:
        >>> moved = np.eye(4)
        >>> moved[0, 3] = 0.2
        >>> in_the_same_place(np.eye(4), moved, (5, 5, 5))
        False
    """
    corners = np.array([[*place, 1.0] for place in np.ndindex(2, 2, 2)]) * [*(size - 1 for size in shape), 1]
    distance = np.abs((corners @ (one - other).T)[:, :3]).max()
    return bool(distance <= NEAR * min(spacing_of_affine(other)))


def affine_of_letters(letters: str, lengths: Sequence[float]) -> Affine:
    """Return the affine matrix of axes that increase towards the given directions.

    Args:
        letters: one of R and L, A and P, S and I for each axis, in any order.
        lengths: mm between voxels along each axis.

    Example:
        >>> affine_of_letters("LPS", (1.0, 1.0, 2.0)).diagonal().tolist()
        [-1.0, -1.0, 2.0, 1.0]
    """
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    for axis, (letter, length) in enumerate(zip(letters, lengths, strict=True)):
        world = next(place for place, pair in enumerate(PAIRS) if letter in pair)
        affine[world, axis] = length if letter == PAIRS[world][0] else -length
    return affine


def check_size(sizes: Sequence[int]) -> int:
    """Return the number of voxels; refuse what is not a volume, before memory is allocated."""
    if len(sizes) != 3 or min(sizes) < 1 or math.prod(sizes) > MAX_VOXELS:
        raise Unreadable(
            f"size {' x '.join(map(str, sizes))}; a volume has 3 dimensions and up to {MAX_VOXELS} voxels."
        )
    return math.prod(sizes)


def check_lengths(lengths: Sequence[float]) -> tuple[float, float, float]:
    """Return the lengths between voxels, mm, if they are plausible."""
    low, high = SPACINGS
    if not all(low <= length <= high for length in lengths):
        raise Unreadable(f"its voxels are {[*lengths]} mm apart, allowed are {low} to {high}. Correct the header.")
    i, j, k = (float(length) for length in lengths)
    return i, j, k
