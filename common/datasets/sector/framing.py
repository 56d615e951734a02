"""Choose the part of the screen for the network: the sector, cut as tightly as the images it was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...contours import bounding_box
from ..files.motion import motion
from ..files.scan import Scan
from .finder import FoundSector

__all__ = ["Framing", "frame"]

TIGHT = 0.97  # of both sides; a sector that fills this much of the image is not cut out
FILLED = 0.9  # of its box; a sector of 75 degrees fills half, one cut at both sides four fifths; more holds text

Finder = Callable[[NDArray[np.uint8], NDArray[np.float32] | None], FoundSector | None]


@dataclass(frozen=True)
class Framing:
    """A part of an image.

    Args:
        box: first row, first column, and one past the last row and column.
        seen: the ultrasound, bool, (rows, columns) of the whole image; all of `box` if no sector was found.
        sector: whether one was found.
    """

    box: tuple[int, int, int, int]
    seen: NDArray[np.bool_]
    sector: bool

    def cut(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the part of the frames (frames, rows, columns) inside the box, black where nothing was seen."""
        top, left, bottom, right = self.box
        seen = self.seen[top:bottom, left:right]
        inside = frames[:, top:bottom, left:right]
        return inside if seen.all() else inside * seen


def frame(scan: Scan, finder: Finder | None) -> Framing:
    """Find the sector of a scan, inside its two-dimensional region if the file names one.

    Args:
        scan: of any size.
        finder: such as `SectorFinder`; None shows the network the whole region.

    Example:
        >>> frame(Scan(np.zeros((1, 6, 8), np.uint8), box=(0, 2, 6, 8)), finder=None).box
        (0, 2, 6, 8)
    """
    shape = scan.frames.shape[1:]
    top, left, bottom, right = box = scan.box or (0, 0, *shape)
    seen = np.zeros(shape, dtype=bool)
    seen[top:bottom, left:right] = True
    region = scan.frames[:, top:bottom, left:right]
    moved = motion(region) if len(region) > 1 and finder is not None else None
    sector = None if finder is None else finder(np.ascontiguousarray(region[0]), moved)
    if sector is None or not sector.mask.any():
        return Framing(box, seen, sector=False)
    rows, columns = bounding_box(sector.mask)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if sector.mask.sum() > FILLED * height * width:
        return Framing(box, seen, sector=False)
    seen[top:bottom, left:right] = sector.mask
    if height < TIGHT * (bottom - top) or width < TIGHT * (right - left):
        box = top + rows.start, left + columns.start, top + rows.stop, left + columns.stop
    return Framing(box, seen, sector=True)
