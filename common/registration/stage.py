"""The state of a registration after each step, and why a step is refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .warp import carry_image, jacobian

__all__ = ["Stage", "refusal"]

OVERLAP = 0.5  # least Dice of the two sectors


@dataclass(frozen=True)
class Stage:
    """State of a registration after one of its steps.

    Args:
        name: "start", "affine" or "bspline".
        coordinates: position of each target pixel in the source, pixels, (2, target rows, target columns).
        metric: mutual information within the sectors, nats, higher is better; NaN if it cannot be computed.
        refused: why the step was undone; the rest is then that of the step before; "" if it counts.
    """

    name: str
    coordinates: NDArray[np.float64]
    metric: float
    refused: str = ""


def refusal(before: Stage, after: Stage, source: NDArray[np.bool_], target: NDArray[np.bool_]) -> str:
    """Return why a step of a registration is refused, or "".

    Args:
        before: the last step that counts.
        after: the step in question.
        source: marks the sector, (rows, columns).
        target: marks the sector, (target rows, target columns).

    Example:
        >>> before, sector = Stage("start", np.indices((4, 4)).astype(float), 0.2), np.ones((4, 4), bool)
        >>> refusal(before, Stage("affine", before.coordinates[:, ::-1], 0.3), sector, sector)
        'folds at 16 pixels'
        >>> refusal(before, Stage("affine", before.coordinates + 9.0, 0.3), sector, sector)
        'sectors overlap with a Dice of 0.00 only'
    """
    if not np.isfinite(after.coordinates).all() or not np.isfinite(after.metric):
        return "metric or map is not finite"
    if after.metric < before.metric:
        return f"metric fell from {before.metric:.4f} to {after.metric:.4f}"
    if folds := int((jacobian(after.coordinates) <= 0).sum()):
        return f"folds at {folds} pixels"
    carried = carry_image(source, after.coordinates) > 0.5
    overlap = 2 * (carried & target).sum() / (carried.sum() + target.sum())
    return f"sectors overlap with a Dice of {overlap:.2f} only" if overlap < OVERLAP else ""
