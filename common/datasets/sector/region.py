"""Which pixels of a screen show ultrasound: those that move, or differ from the background; and how to tidy a mask.

Made for images of about 256 pixels a side; a mask is bool, (rows, columns).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.spatial import ConvexHull, QhullError

from ...contours import fill

__all__ = ["cleaned", "different", "dilated", "eroded", "hull", "largest", "moving", "whole"]

Mask = NDArray[np.bool_]
FLAT = 3  # grey levels between neighbours of a background; compression makes it tremble
TREMOR = 4  # grey levels about the background
STILL = 0.5  # standard deviation, grey levels, of what does not move


def moving(motion: NDArray[np.float32]) -> Mask:
    """Mark what moves at least an eighth as much as the liveliest tissue; text stands still.

    Args:
        motion: standard deviation over the clip, grey values, (rows, columns).
    """
    liveliest = float(np.percentile(motion, 95))
    moves: Mask = motion > max(liveliest / 8, STILL)
    return moves


def different(image: NDArray[np.uint8]) -> Mask:
    """Mark what differs from the background, the commonest grey value of flat areas, and is no large flat area itself.

    Args:
        image: grey values, (rows, columns).

    Example:
        >>> image = np.full((40, 40), 7, np.uint8)  # no pure black
        >>> image[10:30, 10:30] += np.arange(20, dtype=np.uint8) * 8
        >>> int(different(image).sum())  # the square without its first column, which looks like the background
        380
    """
    padded = np.pad(image, 1, mode="edge").astype(np.int16)
    rows, columns = image.shape
    around = [padded[row : row + rows, column : column + columns] for row in range(3) for column in range(3)]
    flat: Mask = np.maximum.reduce(around) - np.minimum.reduce(around) <= FLAT
    if not flat.any():
        return flat
    background = int(np.bincount(image[flat]).argmax())
    differs = np.abs(image.astype(np.int16) - background) > TREMOR
    panels = dilated(eroded(flat, 4), 4)
    marked: Mask = differs & ~panels
    return marked


def cleaned(mask: Mask) -> Iterator[Mask]:
    """Fill holes, cut thin things off and keep the largest part: once with care, once roughly for grainy images."""
    for closing, opening in ((0, 2), (3, 4)):
        solid = whole(eroded(dilated(mask, closing), closing))
        yield whole(dilated(largest(eroded(solid, opening)), opening) & solid)


def eroded(mask: Mask, steps: int) -> Mask:
    """Take off `steps` pixels by octagons; the image's border takes nothing."""
    crosses = (steps + 1) // 2
    for step in range(steps):  # a tenth of the time of SciPy's erosion
        kept = mask.copy()
        kept[1:] &= mask[:-1]
        kept[:-1] &= mask[1:]
        beside = mask if step < crosses else kept.copy()  # a cross, then squares
        kept[:, 1:] &= beside[:, :-1]
        kept[:, :-1] &= beside[:, 1:]
        mask = kept
    return mask


def dilated(mask: Mask, steps: int) -> Mask:
    """Put on `steps` pixels by octagons."""
    return ~eroded(~mask, steps)


def largest(mask: Mask) -> Mask:
    """Keep the largest connected part."""
    parts, count = label(mask)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    kept: Mask = (parts == 1 + sizes[1:].argmax()) if count else mask
    return kept


def whole(mask: Mask) -> Mask:
    """Fill the holes."""
    parts, count = label(~mask)
    outside = np.zeros(count + 1, dtype=bool)
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        outside[edge] = True
    outside[0] = False  # the mask itself
    filled: Mask = ~outside[parts]
    return filled


def hull(mask: Mask) -> Mask:
    """Fill up to the convex hull.

    Example:
        >>> corner = np.tri(9, dtype=bool)
        >>> corner[5, 2] = False
        >>> bool((hull(corner) == np.tri(9, dtype=bool)).all())
        True
    """
    places = np.argwhere(mask)
    try:
        outline = places[ConvexHull(places).vertices]
    except (QhullError, ValueError):  # fewer than three pixels, or all on one line
        return mask
    filled: Mask = fill(outline.astype(np.float64), (mask.shape[0], mask.shape[1])) | mask
    return filled
