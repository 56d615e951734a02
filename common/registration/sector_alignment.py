"""Where the ultrasound lies in an image, and how the sectors of two images are laid on one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, gaussian_filter

__all__ = ["Alignment", "align_sectors", "sector_mask"]

NEIGHBOURHOOD = 1 / 64  # of the image side, standard deviation: stray pixels vanish, the gaps of speckle close


def sector_mask(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark the ultrasound sector of a prepared image: where most of the neighbourhood is not black; holes are filled.

    Args:
        image: grey values, 0 outside the sector, (rows, columns).

    Returns:
        (rows, columns); an image that is black everywhere is marked everywhere, so that there is always a sector.

    Example:
        >>> image = np.zeros((64, 64), np.uint8)
        >>> image[8:56, 16:48] = 90
        >>> image[30:34, 30:34] = 0  # blood
        >>> mask = sector_mask(image)
        >>> bool(mask[32, 32]), bool(mask[2, 2])
        (True, False)
    """
    lit = gaussian_filter((image > 0).astype(np.float32), NEIGHBOURHOOD * max(image.shape)) > 0.5
    mask: NDArray[np.bool_] = binary_fill_holes(lit)
    return mask if mask.any() else np.ones(image.shape, np.bool_)


@dataclass(frozen=True)
class Alignment:
    """Maps pixels of a target to pixels of a source, axis by axis: source = offset + factor * target.

    Args:
        factor: source pixels per target pixel, (row, column).
        offset: source pixel of the target's pixel (0, 0), (row, column).
    """

    factor: tuple[float, float]
    offset: tuple[float, float]


def align_sectors(source: NDArray[np.bool_], target: NDArray[np.bool_], scale: float = 1.0) -> Alignment:
    """Lay the bounding box of one sector on that of another.

    Args:
        source: marks the sector, (rows, columns).
        target: marks the sector, (rows, columns); may have another size.
        scale: above 1 shows more of the source within the target's sector: its scanner was set to a smaller depth.
            The middle of the upper edge, where the probe is, stays.

    Raises:
        ValueError: if a sector is empty.

    Example:
        >>> source, target = np.zeros((20, 20), bool), np.zeros((40, 40), bool)
        >>> source[:10, 5:15] = target[:40, 10:30] = True
        >>> align_sectors(source, target)
        Alignment(factor=(0.25, 0.5), offset=(-0.375, -0.25))
    """
    (top, left, height, width), (target_top, target_left, rows, columns) = _box(source), _box(target)
    factor = (scale * height / rows, scale * width / columns)
    middle, target_middle = left + width / 2, target_left + columns / 2
    return Alignment(factor, (top - factor[0] * target_top - 0.5 + factor[0] / 2,
                              middle - factor[1] * target_middle - 0.5 + factor[1] / 2))  # fmt: skip


def _box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Return top, left, height and width, pixels, with whole numbers at the pixels' edges."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        raise ValueError("the sector is empty; mark one pixel at least.")
    return float(rows[0]), float(columns[0]), float(np.ptp(rows)) + 1, float(np.ptp(columns)) + 1
