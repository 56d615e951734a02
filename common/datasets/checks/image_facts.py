"""Measure one prepared image: digests, and the geometry of its annotated structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from ...contours import fill
from ...identity import digest
from ..prepared.layout import image_digest

__all__ = ["CRUMB", "ImageFacts", "Region", "hull", "measure"]

CRUMB = 0.005  # fraction of a structure; resampling leaves components of up to 0.001 in the phantom, none in CAMUS
EIGHT = np.ones((3, 3))  # pixels that touch at a corner are connected: resampling thins the myocardium


@dataclass(frozen=True, slots=True)
class Region:
    """One annotated structure of one image.

    Args:
        area: pixels.
        height: of the centroid, 0 at the bottom of the image, 1 at the top.
        pieces: 8-connected components with more than 0.5 % of the area.
        largest: fraction of the area in the largest component.
        hole: enclosed but neither annotated nor ignored, fraction of the area.
        at_border: it touches the edge of the image.
        outside: fraction of the area outside the convex hull of non-black pixels.
        length: longest extent in any direction, mm; NaN without spacing.
    """

    area: int
    height: float
    pieces: int
    largest: float
    hole: float
    at_border: bool
    outside: float
    length: float


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """One image and its annotation.

    Args:
        shape: rows and columns.
        pixels: digest of the image.
        content: digest of image, annotation and item, as in the preparation.
        fingerprint: 16x16 difference hash, uint64 (4,), robust to compression, noise and resizing.
        blank: all pixels of the image are equal.
        values: annotation values present, ascending.
        outside: fraction of the annotation outside the convex hull of non-black pixels.
        regions: the structures that are present.
    """

    shape: tuple[int, int]
    pixels: str
    content: str
    fingerprint: NDArray[np.uint64]
    blank: bool
    values: tuple[int, ...]
    outside: float
    regions: dict[str, Region]


def measure(
    image: NDArray[np.uint8],
    label: NDArray[np.uint8],
    item: Mapping[str, Any],
    structures: Mapping[str, Sequence[int]],
    spacing: tuple[float, float] | None,
    ignored: Sequence[int] = (),
) -> ImageFacts:
    """Measure one image.

    Args:
        image: grey values, uint8, (rows, columns).
        label: annotation values, uint8, (rows, columns).
        item: of the datalist.
        structures: the annotation values of each structure.
        spacing: mm per pixel, (row, column), or None.
        ignored: annotation values of ignored pixels.

    Example:
        >>> square = np.zeros((32, 32), np.uint8)
        >>> square[10:20, 10:20] = 1
        >>> facts = measure(200 * square, square, {}, {"lv_cavity": [1]}, (1.0, 1.0))
        >>> facts.regions["lv_cavity"].area, facts.regions["lv_cavity"].height, facts.outside
        (100, 0.53125, 0.0)
    """
    inside = hull(image > 0)
    masks = {name: np.logical_or.reduce([label == value for value in values]) for name, values in structures.items()}
    drawn = np.logical_or.reduce([np.zeros(label.shape, np.bool_), *masks.values()])
    thumbnail = np.asarray(Image.fromarray(image).resize((17, 16), Image.Resampling.BOX))
    return ImageFacts(
        shape=(image.shape[0], image.shape[1]),
        pixels=digest(image.tobytes()),
        content=image_digest(image, label, item),
        fingerprint=np.packbits(thumbnail[:, 1:] > thumbnail[:, :-1]).view(np.uint64),
        blank=bool(image.min() == image.max()),
        values=tuple(np.flatnonzero(np.bincount(label.ravel())).tolist()),
        outside=_fraction(drawn & ~inside, drawn),
        regions={
            name: _region(mask, inside, spacing, np.isin(label, ignored)) for name, mask in masks.items() if mask.any()
        },
    )


def _fraction(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    return int(part.sum()) / max(1, int(whole.sum()))


def _rim(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the first and last pixel of each row, (points, 2), (row, column); they have the mask's convex hull."""
    rows = np.flatnonzero(mask.any(axis=1))
    first, last = mask[rows].argmax(axis=1), mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    return np.stack([np.tile(rows, 2), np.concatenate([first, last])], axis=1).astype(np.float64)


def hull(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels in the convex hull of a mask.

    Cavities can be black up to the edge of the sector; the sector is convex, so the hull includes them.
    """
    if not mask.any():
        return mask
    corners = np.concatenate([_rim(mask) + step for step in ((-0.6, -0.6), (-0.6, 0.6), (0.6, -0.6), (0.6, 0.6))])
    return fill(corners[ConvexHull(corners).vertices], (mask.shape[0], mask.shape[1]))


def _region(
    mask: NDArray[np.bool_], inside: NDArray[np.bool_], spacing: tuple[float, float] | None, ignored: NDArray[np.bool_]
) -> Region:
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    cut = mask[box]
    area = int(np.count_nonzero(cut))
    sizes = np.bincount(ndimage.label(cut, EIGHT)[0].ravel())[1:]
    (top, bottom), (left, right) = ((side.start, side.stop) for side in box)
    return Region(
        area=area,
        height=float(1 - (cut.sum(axis=1) @ np.arange(top + 0.5, bottom) / area) / len(mask)),
        pieces=int(np.count_nonzero(sizes > CRUMB * area)),
        largest=int(sizes.max()) / area,
        hole=float(np.count_nonzero(ndimage.binary_fill_holes(cut) & ~ignored[box] & ~cut) / area),
        at_border=min(top, left) == 0 or bottom == mask.shape[0] or right == mask.shape[1],
        outside=_fraction(cut & ~inside[box], cut),
        length=float(pdist(_rim(cut) * spacing).max()) if spacing else float("nan"),
    )
