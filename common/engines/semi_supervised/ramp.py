"""A weight that grows in the course of a training."""

from __future__ import annotations

__all__ = ["ramp"]


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
