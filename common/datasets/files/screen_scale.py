"""Whether a picture was shrunk after its ultrasound region was written down, so that its pixels are larger than told.

Scanners and archives store clips at half size or cut off what stands below the tissue, and leave the region as it was
on the screen. A wrong guess would change volumes severalfold, so anything but a clear case is left undecided.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["screen_scale"]

Box = tuple[int, int, int, int]
SCREENS = (  # (rows, columns) that scanners draw on
    *((480, 640), (480, 720), (576, 720), (576, 768), (600, 800), (708, 1016), (768, 1024), (720, 1280)),
    *((800, 1280), (960, 1280), (1024, 1280), (900, 1440), (1050, 1680), (1200, 1600), (1080, 1920), (1200, 1920)),
)
SLACK = 2  # pixels; some scanners count the last pixel twice
SEEN_FRAMES = 16  # evenly spaced
INSIDE = 0.9  # share of what is seen that lies inside the region, else it is elsewhere
REACHED = 0.85  # share of the region's height that the tissue reaches down to, else the region is another one


def screen_scale(frames: NDArray[np.uint8], box: Box) -> float | None:
    """Find how many pixels of the screen went into one pixel of the picture, along an axis.

    Args:
        frames: grey values, (frames, rows, columns).
        box: of the region on the screen: first row and column, one past the last.

    Returns:
        1 where the region fits or the picture is the screen cut off on one side; above 1 where it is a known screen,
        shrunk, with its tissue where the shrunken region says; None where that cannot be told.

    Example:
        >>> screen_scale(np.zeros((1, 600, 800), np.uint8), (60, 120, 519, 801))
        1.0
    """
    rows, columns = frames.shape[1:]
    if box[2] <= rows + SLACK and box[3] <= columns + SLACK:
        return 1.0
    screens = [screen for screen in SCREENS if box[2] <= screen[0] + SLACK and box[3] <= screen[1] + SLACK]
    cut = any((rows == screen[0]) != (columns == screen[1]) for screen in screens if _holds(screen, (rows, columns)))
    factors = {screen[1] / columns for screen in screens if abs(screen[0] / rows / (screen[1] / columns) - 1) < 0.01}
    if cut:
        return None if factors else 1.0
    fitting = [factor for factor in factors if factor > 1 and _tissue_is_in(frames, box, factor)]
    return fitting[0] if len(fitting) == 1 else None


def _holds(screen: tuple[int, int], shape: tuple[int, int]) -> bool:
    return shape[0] <= screen[0] and shape[1] <= screen[1]


def _tissue_is_in(frames: NDArray[np.uint8], box: Box, factor: float) -> bool:
    """Tell whether what moves, or in a still what is bright, fills the region shrunk by a factor."""
    some = frames[:: -(-len(frames) // SEEN_FRAMES)].astype(np.float32)
    seen = some.std(axis=0) if len(some) > 1 else some[0] - np.median(some[0])
    seen = np.where(seen > 0.1 * seen.max(), seen, 0)  # without the trembling of compression
    top, left, bottom, right = (round(edge / factor) for edge in box)
    inside = seen[top:bottom, left:right]
    if not inside.sum() >= INSIDE * seen.sum() > 0:
        return False
    lines = np.flatnonzero((inside > 0).sum(axis=1) > 0.01 * inside.shape[1])
    return bool(lines.size) and lines[-1] + 1 >= REACHED * (bottom - top)
