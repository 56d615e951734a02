"""Find the ultrasound sector of a prepared image, and align the sectors of two images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..contours import bounding_box
from ..datasets.sector.region import whole

__all__ = ["Alignment", "align_sectors", "sector_mask"]

NEIGHBOURHOOD = 1 / 64  # of the image side, standard deviation: stray pixels vanish, the gaps of speckle close


def sector_mask(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark the ultrasound sector: where most of the neighbourhood is not black; holes are filled.

    Args:
        image: grey values, 0 outside the sector, (rows, columns).

    Returns:
        (rows, columns); a black image is marked everywhere, so there is always a sector.

    Example:
        >>> image = np.zeros((64, 64), np.uint8)
        >>> image[8:56, 16:48] = 90
        >>> image[30:34, 30:34] = 0  # blood
        >>> mask = sector_mask(image)
        >>> bool(mask[32, 32]), bool(mask[2, 2])
        (True, False)
    """
    lit = gaussian_filter((image > 0).astype(np.float32), NEIGHBOURHOOD * max(image.shape)) > 0.5
    mask = whole(lit)
    return mask if mask.any() else np.ones(image.shape, np.bool_)


@dataclass(frozen=True)
class Alignment:
    """Map from pixels of a target to pixels of a source, axis by axis: source = offset + factor * target.

    Args:
        factor: source pixels per target pixel, (row, column).
        offset: source pixel of the target's pixel (0, 0), (row, column).
    """

    factor: tuple[float, float]
    offset: tuple[float, float]


def align_sectors(source: NDArray[np.bool_], target: NDArray[np.bool_], scale: float = 1.0) -> Alignment:
    """Map the bounding box of one sector to that of another.

    Args:
        source: marks the sector, (rows, columns).
        target: marks the sector, (rows, columns); may have another size.
        scale: above 1 shows more of the source within the sector of the target, for a source acquired at a smaller
            depth. The middle of the upper edge, where the probe is, stays.

    Example:
        >>> source, target = np.zeros((20, 20), bool), np.zeros((40, 40), bool)
        >>> source[:10, 5:15] = target[:40, 10:30] = True
        >>> align_sectors(source, target)
        Alignment(factor=(0.25, 0.5), offset=(-0.375, -0.25))
    """
    (top, bottom), (left, right) = ((side.start, side.stop) for side in bounding_box(source))
    (target_top, target_bottom), (target_left, target_right) = ((s.start, s.stop) for s in bounding_box(target))
    rows, columns = target_bottom - target_top, target_right - target_left
    factor = (scale * (bottom - top) / rows, scale * (right - left) / columns)
    middle, target_middle = (left + right) / 2, (target_left + target_right) / 2
    row = top - factor[0] * target_top - 0.5 + factor[0] / 2
    column = middle - factor[1] * target_middle - 0.5 + factor[1] / 2
    return Alignment(factor, (row, column))
