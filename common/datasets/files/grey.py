"""What counts as grey values: integers 0 to 255; colours become grey by their luma."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .unreadable import Unreadable

__all__ = ["as_bytes", "luma"]


def as_bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return grey values 0 to 255, in whatever type they are stored, as uint8.

    Raises:
        Unreadable: if they are anything but the integers 0 to 255.

    Example:
        >>> as_bytes(np.array([0.0, 255.0])).tolist()
        [0, 255]
    """
    low, high = pixels.min(), pixels.max()  # NaN where there is one
    if low >= 0 and high <= 255:
        values = pixels.astype(np.uint8)
        if (values == pixels).all():
            return values
    raise Unreadable(f"it holds values outside the integers 0 to 255 ({low} to {high}). Convert it to 8 bit.")


def luma(colours: Image.Image) -> NDArray[np.uint8]:
    """Return the luma of colours (ITU-R 601), (rows, columns).

    Example:
        >>> luma(Image.new("RGB", (2, 1), (255, 0, 0))).tolist()  # red is dark
        [[76, 76]]
    """
    return np.asarray(colours.convert("L"))
