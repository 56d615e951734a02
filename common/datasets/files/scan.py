"""A recording as it came: frames of one view, and what the file tells about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scan"]


@dataclass(frozen=True)
class Scan:
    """A still or a clip. Nothing in it tells who was scanned.

    Args:
        frames: grey values 0 to 255, uint8, upright, (frames, rows, columns).
        spacing: mm per pixel, (row, column), or None where nothing tells.
        spacing_source: in words for a reader, such as "ultrasound region"; "" without spacing.
        frame_rate: frames per second, or None where the file does not tell.
        box: of the two-dimensional ultrasound region: first row, first column, and one past the last row and column;
            None where the file names no region.
        view: "2CH" or "4CH" where the file tells; "" otherwise.
        notes: sentences on what was unusual about the file.
    """

    frames: NDArray[np.uint8]
    spacing: tuple[float, float] | None = None
    spacing_source: str = ""
    frame_rate: float | None = None
    box: tuple[int, int, int, int] | None = None
    view: str = ""
    notes: tuple[str, ...] = ()
