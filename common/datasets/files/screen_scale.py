"""Whether a picture was shrunk after its ultrasound region was written, so that its pixels are larger than stated.

Scanners and archives store clips at half size or cut off what is below the tissue, and leave the region as it was on
the screen. A wrong guess would change volumes severalfold, so anything but a clear case is left undecided.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .motion import motion

__all__ = ["screen_scale"]

Box = tuple[int, int, int, int]
SCREENS = (  # (rows, columns) that scanners draw on
    *((480, 640), (480, 720), (576, 720), (576, 768), (600, 800), (708, 1016), (768, 1024), (720, 1280)),
    *((800, 1280), (960, 1280), (1024, 1280), (900, 1440), (1050, 1680), (1200, 1600), (1080, 1920), (1200, 1920)),
)
SLACK = 2  # pixels; some scanners count the last pixel twice
INSIDE = 0.9  # fraction of what is seen that must be inside the region
REACHED = 0.85  # fraction of the region's height that the tissue must reach down to


def screen_scale(shape: tuple[int, int], box: Box, frames: Callable[[], NDArray[np.uint8]]) -> float | None:
    """Compute how many pixels of the screen went into one pixel of the picture, along an axis.

    Args:
        shape: of the picture, (rows, columns).
        box: of the region on the screen: first row and column, one past the last.
        frames: returns grey values, (frames, rows, columns); called only where the picture may be shrunk.

    Returns:
        1 where the region fits or the picture is the screen cut off on one side; above 1 where it is a known screen,
        shrunk, with its tissue where the shrunken region says; None where that cannot be decided.

    Example:
        >>> screen_scale((600, 800), (60, 120, 519, 801), frames=lambda: np.zeros((1, 600, 800), np.uint8))
        1.0
    """
    rows, columns = shape
    if box[2] <= rows + SLACK and box[3] <= columns + SLACK:
        return 1.0
    screens = [screen for screen in SCREENS if box[2] <= screen[0] + SLACK and box[3] <= screen[1] + SLACK]
    cut = any((rows == high) != (columns == wide) for high, wide in screens if rows <= high and columns <= wide)
    factors = {screen[1] / columns for screen in screens if abs(screen[0] / rows / (screen[1] / columns) - 1) < 0.01}
    if cut:
        return None if factors else 1.0
    fitting = [factor for factor in factors if factor > 1 and _tissue_is_in(frames(), box, factor)]
    return fitting[0] if len(fitting) == 1 else None


def _tissue_is_in(frames: NDArray[np.uint8], box: Box, factor: float) -> bool:
    """Return whether what moves, or in a still what is bright, fills the region shrunk by a factor."""
    seen = motion(frames) if len(frames) > 1 else frames[0] - np.median(frames[0]).astype(np.float32)
    seen = np.where(seen > 0.1 * seen.max(), seen, 0)  # without the trembling of compression
    top, left, bottom, right = (round(edge / factor) for edge in box)
    inside = seen[top:bottom, left:right]
    if not inside.sum() >= INSIDE * seen.sum() > 0:
        return False
    lines = np.flatnonzero((inside > 0).sum(axis=1) > 0.01 * inside.shape[1])
    return bool(lines.size) and lines[-1] + 1 >= REACHED * (bottom - top)
