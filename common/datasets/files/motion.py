"""Motion of a clip: the standard deviation of each pixel over evenly spaced frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["motion", "sampled"]

SAMPLES = 32  # frames at most; more cost time and separate tissue from text no better


def sampled(count: int) -> range:
    """Return the numbers of the evenly spaced frames that the motion of a clip is measured on.

    Example:
        >>> list(sampled(4)), len(sampled(100)), sampled(100)[1]
        ([0, 1, 2, 3], 25, 4)
    """
    return range(0, count, -(-count // SAMPLES))


def motion(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the standard deviation of each pixel over the sampled frames; 0 for a still.

    Args:
        frames: grey values, (frames, rows, columns).

    Returns:
        Grey values, (rows, columns), exact up to the root: all sums are integers.

    Example:
        >>> motion(np.array([[[7, 0]], [[7, 4]]], np.uint8)).tolist()
        [[0.0, 2.0]]
    """
    numbers = sampled(len(frames))
    total, squares = np.zeros((2, *frames.shape[1:]), np.int32)  # at most 32 * 255 and 32 * 255^2
    for number in numbers:
        total += frames[number]
        squares += np.square(frames[number], dtype=np.int32)
    deviation: NDArray[np.float64] = np.sqrt(squares * len(numbers) - total**2) / len(numbers)
    return deviation.astype(np.float32)
