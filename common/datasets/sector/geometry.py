"""The ultrasound sector as geometry: two straight edges that meet in the apex, two arcs, and straight cuts.

A mask of bright pixels is ragged: text touches it and its dark corners are missing. Each part of the sector is
therefore fitted to the boundary points that agree with one another; the others are outliers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...contours import fill
from .region import eroded

__all__ = ["Sector", "fit_sector"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
TOLERANCE = 1.2  # pixels: largest distance of a boundary point from the line or arc that it agrees with
SLOPES = (0.2, 2.4)  # columns per row of an edge: 11 to 67 degrees from straight down
TRIALS = 250  # lines through two boundary points; with a third of the points on the edge, 28 of them are good
BEAMS = 96  # directions along which the arcs are looked for


@dataclass(frozen=True)
class Sector:
    """A sector of an image; pixel centres have whole numbers.

    Args:
        apex: where the edges meet, (row, column).
        left: direction of the left edge, degrees from straight down, negative.
        right: direction of the right edge, degrees, positive.
        inner: radius of the probe's face, pixels.
        outer: radius of the outer arc, pixels.
        frame: the straight cuts: first row, first column, last row, last column.

    Example:
        >>> sector = Sector((0.0, 50.0), -30.0, 30.0, inner=0.0, outer=90.0, frame=(0.0, 0.0, 80.0, 100.0))
        >>> mask = sector.mask((100, 100))
        >>> bool(mask[79, 50]), bool(mask[81, 50]), bool(mask[40, 25])
        (True, False, False)
    """

    apex: tuple[float, float]
    left: float
    right: float
    inner: float
    outer: float
    frame: tuple[float, float, float, float]

    def mask(self, shape: tuple[int, int]) -> Mask:
        """Mark the pixels whose centre is inside, `shape`."""
        angle = np.deg2rad(np.linspace(self.left, self.right, 61))  # chords leave the arc by less than 0.1 pixel
        direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        outline = np.concatenate([self.outer * direction, self.inner * direction[::-1]]) + self.apex
        mask = fill(outline, shape)
        first_row, first_column, last_row, last_column = (np.round(self.frame)).astype(int)
        mask[: max(first_row, 0)], mask[:, : max(first_column, 0)] = False, False
        mask[max(last_row + 1, 0) :], mask[:, max(last_column + 1, 0) :] = False, False
        return mask

    def scaled(self, rows: float, columns: float) -> Sector:
        """Return the same sector in an image with `rows` times as many rows and `columns` times as many columns."""
        factor = float(np.sqrt(rows * columns))  # images keep their proportions but for rounding
        row, column = (self.apex[0] + 0.5) * rows - 0.5, (self.apex[1] + 0.5) * columns - 0.5
        top, left, bottom, right = self.frame
        frame = (top * rows, left * columns, (bottom + 1) * rows - 1, (right + 1) * columns - 1)
        return Sector((row, column), self.left, self.right, self.inner * factor, self.outer * factor, frame)


def _edge(row: Array, column: Array, rng: np.random.Generator) -> tuple[float, float] | None:
    """Fit `column = offset + slope * row`, slope within `SLOPES`, by RANSAC; None without such a line."""
    if len(row) < 8:
        return None
    first, second = rng.integers(len(row), size=(2, TRIALS))
    apart = np.abs(row[second] - row[first]) >= len(row) / 8
    first, second = first[apart], second[apart]
    slope = (column[second] - column[first]) / (row[second] - row[first])
    fine = (slope > SLOPES[0]) & (slope < SLOPES[1])
    if not fine.any():
        return None
    slope, first = slope[fine], first[fine]
    offset = column[first] - slope * row[first]
    for _ in range(3):
        distance = np.abs(column - offset[:, None] - slope[:, None] * row) / np.hypot(1, slope)[:, None]
        agree = distance < TOLERANCE
        best = int(((agree.sum(axis=1)) * np.hypot(1, slope)).argmax())
        inlier = agree[best]
        if inlier.sum() < 5:
            return None
        line = np.polyfit(row[inlier], column[inlier], 1)
        slope, offset = line[:1], line[1:]
    return float(offset[0]), float(slope[0])


def _mode(values: Array, candidates: Array, open_ended: Array | None = None) -> tuple[float, int]:
    """Return the candidate with which most values agree; an open-ended value agrees with all above it."""
    agree = (np.abs(values - candidates[:, None]) <= TOLERANCE).sum(axis=1)
    if open_ended is not None:
        agree += (open_ended <= candidates[:, None] + TOLERANCE).sum(axis=1)
    best = int(agree.argmax())
    near = values[np.abs(values - candidates[best]) <= TOLERANCE]
    return (float(near.mean()) if len(near) else float(candidates[best])), len(near)


def _cut(mask: Mask) -> float:
    """Return the row on which the mask ends in many columns, as no arc or edge does; without one, the last row."""
    rows = len(mask)
    across = np.flatnonzero(mask.any(axis=0))
    lowest = rows - 1 - mask[::-1, across].argmax(axis=0)
    count = np.bincount(lowest[lowest < rows - 1], minlength=rows)
    best = int(count.argmax())
    beyond = mask[best + 2 :].sum() / mask.sum()
    return float(best) if count[best] > 0.15 * len(across) and beyond < 0.01 else rows - 1.0


def fit_sector(mask: Mask) -> tuple[Sector, float] | None:
    """Fit a sector to a ragged mask.

    Args:
        mask: one filled component, about 256 pixels a side, (rows, columns).

    Returns:
        The sector, and the fraction of its outline inside the image that the outline of the mask follows, 0 to 1; None
        if the mask lacks two slanted edges.
    """
    rng = np.random.default_rng(0)
    columns = mask.shape[1]
    filled = np.flatnonzero(mask.any(axis=1))
    if len(filled) < 16:
        return None
    first, last = mask[filled].argmax(axis=1), columns - 1 - mask[filled, ::-1].argmax(axis=1)
    on_left, on_right = first > 0, last < columns - 1  # the others are cut by the image
    left = _edge(filled[on_left].astype(float), -first[on_left].astype(float) + 0.5, rng)
    right = _edge(filled[on_right].astype(float), last[on_right].astype(float) + 0.5, rng)
    if left is None or right is None:
        return None
    row = -(left[0] + right[0]) / (left[1] + right[1])
    apex = np.array([row, right[0] + right[1] * row])
    angles = -np.rad2deg(np.arctan(left[1])), np.rad2deg(np.arctan(right[1]))
    best: tuple[Sector, float] | None = None
    for frame in _frames(mask):
        inner, outer = _radii(mask, apex, angles, frame)
        sector = Sector((float(apex[0]), float(apex[1])), float(angles[0]), float(angles[1]), inner, outer, frame)
        support = _support(sector.mask(mask.shape), mask)
        if best is None or support > best[1] + 0.02:
            best = sector, support
    return best


def _frames(mask: Mask) -> list[tuple[float, float, float, float]]:
    """Return the whole image, and what straight cuts below and at the sides leave of it."""
    rows, columns = mask.shape
    whole = (0.0, 0.0, rows - 1.0, columns - 1.0)
    frames = [whole]
    bottom = _cut(mask)
    if bottom < whole[2]:
        frames.append((0.0, 0.0, bottom, whole[3]))
    left, right = columns - 1 - _cut(mask.T[::-1]), _cut(mask.T)
    if left > 0 or right < whole[3]:
        frames += [(top, left, end, right) for top, _, end, _ in frames]
    return frames


def _radii(
    mask: Mask, apex: Array, angles: tuple[float, float], frame: tuple[float, float, float, float]
) -> tuple[float, float]:
    """Return the inner and outer radius on which most beams agree."""
    angle = np.deg2rad(np.linspace(angles[0], angles[1], BEAMS + 2)[1:-1])
    reach = float(np.hypot(*np.maximum(np.abs(apex), np.abs(np.array(mask.shape) - apex))))
    radius = np.arange(0, reach, 1.0)
    row = np.round(apex[0] + radius * np.cos(angle)[:, None]).astype(np.intp)
    column = np.round(apex[1] + radius * np.sin(angle)[:, None]).astype(np.intp)
    inside = (row >= frame[0]) & (row <= frame[2]) & (column >= frame[1]) & (column <= frame[3])
    on = inside & mask[row.clip(0, mask.shape[0] - 1), column.clip(0, mask.shape[1] - 1)]
    hit = on.any(axis=1)
    if not hit.any():
        return 0.0, reach
    on, inside = on[hit], inside[hit]
    last = len(radius) - 1 - on[:, ::-1].argmax(axis=1)
    beam = np.arange(len(last))
    cut = ~inside[beam, np.minimum(last + 2, len(radius) - 1)]
    outer, agreed = _mode(last[~cut].astype(float), radius, last[cut].astype(float))
    if agreed < 0.05 * BEAMS:
        outer = reach
    first = on.argmax(axis=1)
    seen = inside[beam, np.maximum(first - 2, 0)]
    inner, agreed = _mode(first[seen].astype(float), radius)
    if agreed < 0.3 * len(first) or inner < 0.04 * outer:
        inner = 0.0
    return inner and inner - 0.5, outer + 0.5


def _support(fitted: Mask, mask: Mask) -> float:
    """Return the fraction of the fitted outline that is within two pixels of the outline of the mask."""
    outline, target = (region & ~eroded(region, 1) for region in (fitted, mask))  # the image border is not an outline
    near = np.pad(target, 2)
    near = near[:-4] | near[1:-3] | near[2:-2] | near[3:-1] | near[4:]
    near = near[:, :-4] | near[:, 1:-3] | near[:, 2:-2] | near[:, 3:-1] | near[:, 4:]
    return float(near[outline].mean()) if outline.any() else 0.0
