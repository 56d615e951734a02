"""Frames that come one after the other, gathered into one clip of bounded size."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .unreadable import Unreadable

__all__ = ["MAX_FRAMES", "MAX_SAMPLES", "check_size", "gathered"]

MAX_SAMPLES = 256 * 1024 * 1024  # pixels over all frames, a byte each: 10 s at 60 Hz of 800 x 550
MAX_FRAMES = 20_000


def check_size(frames: int, rows: int, columns: int) -> None:
    """Refuse a clip that would fill the memory.

    Raises:
        Unreadable: if there are more frames or pixels than are read.
    """
    if not 0 < frames <= MAX_FRAMES or not 0 < frames * rows * columns <= MAX_SAMPLES:
        raise Unreadable(
            f"{frames} frames of {columns} x {rows} pixels; allowed are {MAX_FRAMES} frames and {MAX_SAMPLES} pixels "
            "over all of them. Export a shorter clip."
        )


def gathered(frames: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Gather frames of one size.

    Args:
        frames: grey values, (rows, columns), one after the other.

    Returns:
        (frames, rows, columns).

    Raises:
        Unreadable: if there is none, they differ in size, or are too many.

    Example:
        >>> gathered(np.full((2, 3), value, np.uint8) for value in range(4)).shape
        (4, 2, 3)
    """
    kept: list[NDArray[np.uint8]] = []
    for frame in frames:
        if kept and frame.shape != kept[0].shape:
            raise Unreadable(f"frames of {kept[0].shape} and {frame.shape} pixels, (rows, columns). Split the clip.")
        check_size(len(kept) + 1, *frame.shape)
        kept.append(frame)
    if not kept:
        raise Unreadable("no frame can be decoded. Export it again.")
    clip = np.empty((len(kept), *kept[0].shape), np.uint8)  # takes up memory as it is filled
    for place in reversed(range(len(kept))):
        clip[place] = kept.pop()
    return clip
