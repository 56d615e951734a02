"""A still or a clip, with what its file says about it, and the limits on its size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .unreadable import Unreadable

__all__ = ["MAX_FRAMES", "MAX_SAMPLES", "Scan", "check_size", "collect"]

MAX_SAMPLES = 256 * 1024 * 1024  # pixels over all frames, a byte each: 10 s at 60 Hz of 800 x 550
MAX_FRAMES = 20_000


@dataclass(frozen=True)
class Scan:
    """A still or a clip; nothing in it identifies the patient.

    Args:
        frames: grey values 0 to 255, uint8, upright, (frames, rows, columns).
        spacing: mm per pixel, (row, column); None if unknown.
        spacing_source: in words for a reader, such as "ultrasound region"; "" without spacing.
        frame_rate: frames per second; None if unknown.
        box: of the two-dimensional ultrasound region: first row, first column, and one past the last row and column;
            None where the file names no region.
        view: "2CH", "4CH", or "" if unknown.
        notes: sentences on what was unusual about the file.
    """

    frames: NDArray[np.uint8]
    spacing: tuple[float, float] | None = None
    spacing_source: str = ""
    frame_rate: float | None = None
    box: tuple[int, int, int, int] | None = None
    view: str = ""
    notes: tuple[str, ...] = ()


def check_size(frames: int, rows: int, columns: int) -> None:
    """Refuse a clip that would fill the memory.

    Raises:
        Unreadable: if there are no frames or pixels, or more than are read.
    """
    if not 0 < frames <= MAX_FRAMES or not 0 < frames * rows * columns <= MAX_SAMPLES:
        raise Unreadable(
            f"{frames} frames of {columns} x {rows} pixels; allowed are {MAX_FRAMES} frames and {MAX_SAMPLES} pixels "
            "over all of them. Export a shorter clip."
        )


def collect(frames: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Collect streamed frames into one clip, with a size limit.

    Args:
        frames: grey values, (rows, columns) each.

    Returns:
        (frames, rows, columns).

    Raises:
        Unreadable: if there are no frames, too many, or frames of different sizes.

    Example:
        >>> collect(np.full((2, 3), value, np.uint8) for value in range(4)).shape
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
