"""Make ultrasound comparable between scanners: smooth speckle, divide out gain and compression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

__all__ = ["local_contrast"]

SPECKLE = 1 / 64  # of the image side, standard deviation of the smoothing
WINDOW = 1 / 10  # of the image side, standard deviation of the neighbourhood: about a wall and its surroundings
FLOOR = 3.0  # grey values: contrast below this is noise and is not amplified


def local_contrast(image: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how many local standard deviations each pixel is brighter than its surroundings.

    Only pixels of the sector count, so the black outside has no influence.

    Args:
        image: grey values, (rows, columns).
        mask: marks the sector, (rows, columns).

    Returns:
        -3 to 3, 0 outside the sector, (rows, columns).

    Example:
        >>> image = np.random.default_rng(0).uniform(0, 255, (64, 64))
        >>> mask = np.ones((64, 64), bool)
        >>> bool(np.allclose(local_contrast(image + 50, mask), local_contrast(image, mask), atol=1e-3))
        True
    """
    side = max(image.shape)

    def mean(values: NDArray[Any], spread: float) -> NDArray[Any]:
        weight = gaussian_filter(mask.astype(np.float32), spread * side)
        total = gaussian_filter(np.where(mask, values, 0).astype(np.float32), spread * side)
        return np.asarray(total / np.maximum(weight, 1e-3))

    smooth = mean(image, SPECKLE)
    difference = smooth - mean(smooth, WINDOW)
    contrast = difference / (np.sqrt(mean(difference**2, WINDOW)) + FLOOR)
    return np.where(mask, np.clip(contrast, -3, 3), 0).astype(np.float32)
