"""Simulate a second scanner: show the image and annotation of one scanner as another would show the same heart.

Grey levels are converted to echo power in polar coordinates about the apex of the sector. There they are blurred by the
point spread function of the second scanner (constant in angle, so wider with depth) and multiplied by its speckle. Its
log compression gives new grey levels, and its display another geometry. What the first scanner removed stays lost, so
the result is blurred and narrower, never sharper or wider: a simulated domain shift, not a model of any product.

References:
    R. F. Wagner et al., IEEE Trans. Sonics Ultrason. 30(3):156-163, 1983 (statistics of speckle).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates

from ...contours import bounding_box
from .ultrasound import FWHM

__all__ = ["SecondScanner", "rescan"]

Array = NDArray[np.float64]
FIRST_RANGE = 50.0  # dB between black and white of the first scanner; not known from an image, a usual setting
MARGIN = 0.03  # of the image, above the sector


@dataclass(frozen=True)
class SecondScanner:
    """Settings of the scanner; only speckle and gain differ between images.

    Args:
        mirrored: exchange left and right.
        zoom: size of the heart in the image, relative to the first scanner.
        angle: fraction of the opening angle of the sector that is shown.
        depth: fraction of the depth of the sector that is shown.
        pulse: length of the pulse along the beam at half maximum, fraction of the depth of the sector.
        beam: width of the beam at half maximum, degrees.
        looks: independent frequencies or angles averaged; fewer is grainier.
        dynamic_range: dB between black and white.
        gain: dB, (mean, standard deviation) over images.
    """

    mirrored: bool = True
    zoom: float = 0.9
    angle: float = 0.94
    depth: float = 0.94
    pulse: float = 0.012
    beam: float = 2.8
    looks: int = 3
    dynamic_range: float = 42.0
    gain: tuple[float, float] = (2.0, 1.5)


def rescan(
    image: NDArray[Any],
    label: NDArray[Any],
    spacing: tuple[float, float] | None,
    scanner: SecondScanner,
    rng: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[Any], tuple[float, float] | None]:
    """Show an image and its annotation as the second scanner would.

    The image shows one whole sector, apex above, black outside, as in CAMUS; its box is that of all non-black pixels.

    Args:
        image: grey values, uint8 0 to 255 or floating point 0 to 1, (rows, columns).
        label: annotation values, integer, (rows, columns).
        spacing: mm per pixel, (row, column); None assumes square pixels.
        scanner: the second one.
        rng: generator of speckle and gain.

    Returns:
        Image and annotation of the same shapes and dtypes, and the new spacing. The image is 0 outside the sector. The
        annotation is that of the nearest old pixel. It ends at the new depth but not at the new angle: in CAMUS, a wall
        that leaves the sector sideways is annotated to its end.

    Raises:
        ValueError: if the image is black, or of another shape than its annotation.

    Example:
        >>> image, label = np.full((64, 64), 90, np.uint8), np.ones((64, 64), np.uint8)
        >>> moved, annotation, spacing = rescan(image, label, (0.9, 0.9), SecondScanner(), np.random.default_rng(0))
        >>> moved.shape, moved.dtype, np.unique(annotation).tolist(), round(spacing[0], 6)
        ((64, 64), dtype('uint8'), [0, 1], 1.0)
    """
    if image.shape != label.shape:
        raise ValueError(f"expected an annotation of shape {image.shape}, as its image, got {label.shape}.")
    step = np.array(spacing or (1.0, 1.0))
    apex, height, opening = _sector(image > 0, step)
    depth, half = scanner.depth * height, scanner.angle * opening
    samples, beams = 3 * image.shape[0] // 2, 3 * image.shape[1] // 2  # fine enough for the speckle
    grid = depth / (samples - 1), 2 * half / (beams - 1)  # mm, rad
    radius, angle = grid[0] * np.arange(samples)[:, None], grid[1] * np.arange(beams)[None] - half

    white = 255.0 if image.dtype == np.uint8 else 1.0
    there = _pixels(radius * np.cos(angle), radius * np.sin(angle), apex, step)
    grey = map_coordinates(image / white, there, order=1, mode="nearest")
    width = scanner.pulse * height / grid[0], np.deg2rad(scanner.beam) / grid[1]
    shade = _detect(grey, width, scanner, rng)

    zoomed = step / scanner.zoom
    row, column = np.indices(image.shape) + 0.5
    y = (row - MARGIN * image.shape[0]) * zoomed[0]  # mm from the apex
    x = (column - image.shape[1] / 2) * zoomed[1] * (-1 if scanner.mirrored else 1)
    radius, angle = np.hypot(y, x), np.arctan2(x, y)
    inside = np.minimum(depth - radius, (half - np.abs(angle)) * radius)  # mm to the edge
    shown = map_coordinates(shade, [radius / grid[0], (angle + half) / grid[1]], order=1, mode="nearest")
    shown *= np.clip(inside / np.sqrt(zoomed.prod()), 0, 1)  # the edge is one pixel wide
    annotation = map_coordinates(label, _pixels(y, x, apex, step), order=0, mode="grid-constant")
    annotation[radius > depth] = 0
    moved = (shown * white + 0.5 * (white > 1)).astype(image.dtype)
    return moved, annotation, None if spacing is None else (float(zoomed[0]), float(zoomed[1]))


def _sector(bright: NDArray[np.bool_], step: Array) -> tuple[Array, float, float]:
    """Return the apex, pixels from the upper left corner; depth, mm; half of the opening angle, rad."""
    if not bright.any():
        raise ValueError("the image is black: it shows no sector.")
    (top, bottom), (left, right) = ((side.start, side.stop) for side in bounding_box(bright))
    height, width = (bottom - top) * step[0], (right - left) * step[1]
    return np.array([top, (left + right) / 2]), float(height), float(np.arcsin(min(1.0, width / height / 2)))


def _pixels(y: Array, x: Array, apex: Array, step: Array) -> Array:
    """Convert mm from the apex to (row, column) of the first image; pixel centres have whole numbers."""
    return np.stack([y / step[0] + apex[0] - 0.5, x / step[1] + apex[1] - 0.5])


def _detect(grey: Array, width: tuple[float, float], scanner: SecondScanner, rng: np.random.Generator) -> Array:
    """Blur the echo behind grey levels 0 to 1 (samples, beams) by `width`, add speckle, compress it to grey levels."""
    power = 10 ** (FIRST_RANGE / 10 * (grey - 1))
    field = rng.standard_normal((2 * scanner.looks, *grey.shape), dtype=np.float32)  # real and imaginary of each look
    for axis, full in enumerate(width):
        power = gaussian_filter1d(power, full / FWHM, axis=axis, mode="nearest", truncate=3)
        field = gaussian_filter1d(field, full / FWHM, axis=axis + 1, mode="reflect", truncate=3)
    speckle = np.square(field).mean(axis=0)
    level = 10 * np.log10(power * speckle / speckle.mean()) + rng.normal(*scanner.gain)
    return np.asarray(np.clip(1 + level / scanner.dynamic_range, 0, 1))
