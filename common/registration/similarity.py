"""Measure the similarity of ultrasound images before registration, from the images alone and never their labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter, map_coordinates

from .sector_alignment import align_sectors, sector_mask

__all__ = ["SCALES", "gradient_thumbnail", "similarity"]

SIDE = 32  # pixels of a thumbnail: finer ones show speckle, coarser ones lose the walls
SCALES = (1.0, 0.9, 1.1, 0.8, 1.25, 0.7, 1.4)  # scanners are set to different depths; the first wins a tie
_WINDOW = np.ones((SIDE, SIDE), np.bool_)


def gradient_thumbnail(image: NDArray[Any], scales: Sequence[float] = (1.0,)) -> NDArray[np.float32]:
    """Describe an image by the grey-level gradients within its sector.

    Gradients, because gain and depth compensation change grey levels slowly. The edge of the sector is left out: its
    angle is unrelated to the heart. `image`, (rows, columns), is 0 there; `scales` are those of `align_sectors`.

    Returns:
        Unit vectors, (scales, 2 * 32 * 32), so that their products are correlations; 0 without any structure.

    Example:
        >>> ramp = np.tile(np.arange(1, 65), (64, 1))
        >>> float((gradient_thumbnail(ramp) @ gradient_thumbnail(2 * ramp).T).round(3)[0, 0])  # contrast is ignored
        1.0
    """
    mask = sector_mask(image)
    spread = [step / 2 for step in align_sectors(mask, _WINDOW).factor]  # half a pixel of the thumbnail
    weight = gaussian_filter(mask.astype(np.float32), spread)
    grey = gaussian_filter(np.where(mask, image, 0).astype(np.float32), spread) / np.maximum(weight, 1e-3)
    rows = []
    for scale in scales:
        alignment = align_sectors(mask, _WINDOW, scale)
        pairs = zip(alignment.offset, alignment.factor, strict=True)
        grid = np.meshgrid(*(offset + factor * np.arange(SIDE) for offset, factor in pairs), indexing="ij")
        inner = binary_erosion(map_coordinates(mask.astype(np.float32), grid, order=1) > 0.5)
        rows.append((np.stack(np.gradient(map_coordinates(grey, grid, order=1))) * inner).ravel())
    vectors = np.asarray(rows, np.float32)
    unit: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return unit


def similarity(
    sources: Iterable[NDArray[Any]], targets: Iterable[NDArray[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Correlate the gradients of every source with those of every target, at the best of `SCALES`.

    Args:
        sources: grey values, (rows, columns) each; sizes may differ.
        targets: likewise.

    Returns:
        The correlation, -1 to 1, and the scale of the source that gives it (see `align_sectors`), both of shape
        (sources, targets).

    Example:
        >>> image = np.random.default_rng(0).integers(1, 255, (64, 64))
        >>> correlation, scale = similarity([image], [image, np.ones_like(image)])
        >>> correlation.round(3).tolist(), scale[0, 0].item()
        ([[1.0, 0.0]], 1.0)
    """
    shown = np.concatenate([gradient_thumbnail(target) for target in targets])
    # (sources, scales, targets)
    correlation = np.stack([gradient_thumbnail(source, SCALES) @ shown.T for source in sources])
    best = correlation.argmax(axis=1)
    return correlation.max(axis=1), np.asarray(SCALES)[best]
