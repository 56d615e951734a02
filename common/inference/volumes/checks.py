"""Refuse volumes that are not of the kind that a network was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...datasets.volumes.volume import standardised

__all__ = ["check_place", "checked_values"]

COARSEST = 20.0  # mm between voxels; slices of the body are at most 10 mm apart
LEAST = 0.1  # of a window that values must span
DEVIATIONS = 4.0  # standard deviations that stand for a window where there is none


def check_place(sizes: Sequence[int], lengths: Sequence[float]) -> None:
    """Refuse what is not a volume, or whose voxels have sizes that no scanner writes.

    Args:
        sizes: numbers of voxels.
        lengths: mm between voxels.

    Raises:
        ValueError: for other than three axes, an axis of one voxel, or voxels that touch or are more than 20 mm apart.

    Example:
        >>> check_place((64, 64, 1), (1.0, 1.0, 2.5))
        Traceback (most recent call last):
        ...
        ValueError: it has 64 x 64 x 1 voxels; expected a volume of at least 2 slices in each direction.
    """
    if len(sizes) != 3 or min(sizes) < 2:
        raise ValueError(
            f"it has {' x '.join(map(str, sizes))} voxels; expected a volume of at least 2 slices in each direction."
        )
    if not all(0 < length <= COARSEST for length in lengths):
        said = " x ".join(f"{length:g}" for length in lengths)
        raise ValueError(f"its voxels are {said} mm apart, expected up to {COARSEST:g}; is the header's unit right?")


def checked_values(values: NDArray[Any], normalisation: Mapping[str, Any]) -> NDArray[Any]:
    """Return values in the units of the training; refuse those of others.

    Args:
        values: of any integer or floating dtype and shape.
        normalisation: of the training: `window` (lowest and highest value, or None), `mean` and `sd`, and whether its
            volumes were `standardised` one by one, as is done here.

    Raises:
        ValueError: if values are not finite, lie on one side of the window or span little of it, or none is negative
            although the window begins below 0 and ends above.

    Example:
        >>> checked_values(np.array([0.0, 0.5, 1.0]), {"window": [-200, 300], "mean": 20.0, "sd": 80.0})
        Traceback (most recent call last):
        ...
        ValueError: its values are 0 to 1, the network was trained on -200 to 300. Are they normalised? Give the scanner's own units, such as HU.
    """  # noqa: E501 - a doctest
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("some of its values are not numbers; replace them by that of air or background.")
    if normalisation.get("standardised"):
        return standardised(values)
    window = normalisation["window"]
    spread = DEVIATIONS * normalisation["sd"]
    first, last = window or (normalisation["mean"] - spread / 2, normalisation["mean"] + spread / 2)
    narrow = high - low < LEAST * (last - first)
    one_sided = bool(window) and (high <= first or low >= last or (first < 0 < last and low >= 0))
    if narrow or one_sided:
        trained = f"on {first:g} to {last:g}" if window else f"on values of about {first:g} to {last:g}"
        asked = "Are they normalised" if high - low <= 1 else "Were they shifted or rescaled"
        raise ValueError(
            f"its values are {low:g} to {high:g}, the network was trained {trained}. {asked}? Give the scanner's own "
            "units, such as HU."
        )
    return values
