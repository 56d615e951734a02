"""Which part of the screen the network is shown: the sector, as tightly cut as the images it was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..files.motion import motion
from ..files.scan import Scan
from .finder import FoundSector

__all__ = ["Framing", "frame"]

TIGHT = 0.97  # of both sides; a sector that fills the image so far is not cut out
FILLED = 0.9  # of its box; a sector of 75 degrees fills half, one cut at both sides four fifths

Finder = Callable[[NDArray[np.uint8], NDArray[np.float32] | None], FoundSector | None]


@dataclass(frozen=True)
class Framing:
    """A part of an image.

    Args:
        box: first row, first column, and one past the last row and column.
        seen: what the scanner saw, bool, (rows, columns) of the whole image; all of `box` where no sector was found.
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
        finder: of the sector, such as `SectorFinder`; None shows the network the whole region.

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
    if sector is None or not sector.mask.any() or _rectangular(sector.mask):
        return Framing(box, seen, sector=False)
    seen[top:bottom, left:right] = sector.mask
    rows, columns = (np.flatnonzero(sector.mask.any(axis=axis)) for axis in (1, 0))
    tight = top + int(rows[0]), left + int(columns[0]), top + int(rows[-1]) + 1, left + int(columns[-1]) + 1
    filled = len(rows) >= TIGHT * (bottom - top) and len(columns) >= TIGHT * (right - left)
    return Framing(box if filled else tight, seen, sector=True)


def _rectangular(mask: NDArray[np.bool_]) -> bool:
    """Return whether a region fills its box as no sector does; it may include text of the screen."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return bool(mask.sum() > FILLED * (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1))
