"""A weight that grows in the course of a training."""

from __future__ import annotations

import math

__all__ = ["gaussian_ramp", "ramp"]


def ramp(progress: float, start: float, end: float) -> float:
    """Return the fraction of a weight at a point of the training: 0 until `start`, then linear to 1 at `end`.

    Args:
        progress: fraction of the training that is done, 0 to 1.
        start: where the weight leaves 0, as a fraction of the training.
        end: where it is complete.

    References:
        Filbrandt et al. (2021): from the third to the 13th of 35 epochs.

    Example:
        >>> [round(ramp(epoch / 35, 3 / 35, 13 / 35), 6) for epoch in (0, 3, 5, 8, 10, 13, 35)]
        [0.0, 0.0, 0.2, 0.5, 0.7, 1.0, 1.0]
    """
    if progress >= end:
        return 1.0
    return max(0.0, progress - start) / (end - start)


def gaussian_ramp(progress: float) -> float:
    """Return exp(-5 (1 - progress)^2): almost 0 at first, then the left half of a bell, 1 at the end.

    The weight of pseudo-labels of two networks that teach each other is 0.1 of it.

    Args:
        progress: fraction of the training that is done, 0 to 1; later, the ramp stays at 1.

    References:
        Laine and Aila (2017), Temporal ensembling for semi-supervised learning.

    Example:
        >>> [round(0.1 * gaussian_ramp(step / 4), 6) for step in range(5)]
        [0.000674, 0.006005, 0.02865, 0.073162, 0.1]
    """
    return math.exp(-5 * (1 - min(max(progress, 0.0), 1.0)) ** 2)
