"""Measure a heart chamber in an apical view: its outline, long axis and diameters, from masks.

The long axis runs from the middle of the mitral annulus to the farthest point of the outline. The annulus is found by
what is beside the outline, in this order of preference:

1. myocardium: the longest stretch of the cavity's outline that the myocardium does not line;
2. neighbour: the stretch along the chamber on the other side of the valve;
3. principal: no annulus; the principal axis of the area. The volume hardly differs (0.4 points of ejection fraction on
   CAMUS), the length is about 3 mm longer.

A chamber that cannot be measured has NaN and a reason, never a number.

References:
    R. M. Lang et al., Recommendations for cardiac chamber quantification by echocardiography in adults, J Am Soc
    Echocardiogr 28:1-39, 2015 (discs: twenty, perpendicular to the long axis).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...contours import outlines

__all__ = ["DISCS", "Chamber", "atrium", "disc_ends", "ventricle"]

DISCS = 20
LEVELS = (np.arange(DISCS) + 0.5) / DISCS  # middle of each disc, fraction of the long axis
SMALLEST_AREA = 100.0  # mm²
SHORTEST = 20.0  # mm, long axis of a ventricle; an atrium may be half of it
NARROWEST_ANNULUS = 5.0  # mm
LINED = 1.5  # mm; a neighbour within this distance lines the outline
LINED_PIXELS = 1.7  # of the larger side, where pixels are coarse: a diagonal neighbour and half a pixel of the outline
SECOND_COMPONENT = 0.05  # of the area; a smaller component is a speck

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Chamber:
    """A chamber in one image. All points are (row, column) in mm from the centre of the first pixel.

    Args:
        area: of the largest component, mm²; like all numbers, NaN if there is a reason.
        length: of the long axis, mm.
        base: middle of the annulus, (2,).
        apex: the other end of the long axis, (2,).
        diameters: of `DISCS` equal slices from base to apex, across the long axis, mm, (20,).
        contour: closed outline at half a pixel, (points, 2).
        landmark: "myocardium", "neighbour" or "principal": what defined the long axis.
        reason: why nothing was measured; otherwise empty.
    """

    area: float = math.nan
    length: float = math.nan
    base: Array = field(default_factory=lambda: np.full(2, np.nan))
    apex: Array = field(default_factory=lambda: np.full(2, np.nan))
    diameters: Array = field(default_factory=lambda: np.full(DISCS, np.nan))
    contour: Array = field(default_factory=lambda: np.full((0, 2), np.nan))
    landmark: str = ""
    reason: str = ""


def ventricle(
    cavity: NDArray[np.bool_],
    spacing: tuple[float, float],
    myocardium: NDArray[np.bool_] | None = None,
    atrium: NDArray[np.bool_] | None = None,
) -> Chamber:
    """Measure the left-ventricle cavity.

    Args:
        cavity: mask, (H, W); apex up, as apical views are displayed.
        spacing: mm per pixel, (row, column).
        myocardium: its ring, (H, W); None or empty if not annotated.
        atrium: left atrium, (H, W); likewise.

    Raises:
        ValueError: if the masks differ in shape, or the spacing is not positive.

    Example:
        >>> rows, columns = np.indices((100, 60))
        >>> cavity = ((rows - 50) / 40) ** 2 + ((columns - 30) / 20) ** 2 <= 1
        >>> found = ventricle(cavity, (1.0, 1.0))
        >>> found.landmark, round(found.length), round(found.area / (np.pi * 40 * 20), 2)
        ('principal', 81, 1.0)
    """
    return _chamber("left ventricle", cavity, spacing, SHORTEST, beside=myocardium, across=atrium, apex_up=True)


def atrium(mask: NDArray[np.bool_], spacing: tuple[float, float], cavity: NDArray[np.bool_] | None = None) -> Chamber:
    """Measure the left atrium; its `base` is at the mitral valve, its `apex` at the roof.

    Args:
        mask: (H, W), below the ventricle.
        spacing: mm per pixel, (row, column).
        cavity: left-ventricle cavity, (H, W); None or empty if not annotated.
    """
    return _chamber("left atrium", mask, spacing, SHORTEST / 2, beside=None, across=cavity, apex_up=False)


def _chamber(
    name: str,
    mask: NDArray[np.bool_],
    spacing: tuple[float, float],
    shortest: float,
    beside: NDArray[np.bool_] | None,
    across: NDArray[np.bool_] | None,
    apex_up: bool,
) -> Chamber:
    for other in (beside, across):
        if other is not None and other.shape != mask.shape:
            raise ValueError(f"expected masks of one shape, got {mask.shape} and {other.shape}.")
    if not (len(spacing) == 2 and all(math.isfinite(step) and step > 0 for step in spacing)):
        raise ValueError(f"expected two positive lengths as spacing, mm per pixel (row, column), got {spacing}.")
    components, count = ndimage.label(mask)
    if not count:
        return Chamber(reason=f"{name}: not found")
    sizes = np.bincount(components.ravel())[1:]
    whole = components == sizes.argmax() + 1
    second, largest = np.sort([0, *sizes])[-2:]
    area = float(largest) * math.prod(spacing)
    if second > SECOND_COMPONENT * largest:
        return Chamber(reason=f"{name}: in several pieces")
    if area < SMALLEST_AREA:
        return Chamber(reason=f"{name}: area {area:.0f} mm², less than {SMALLEST_AREA:.0f}")
    contour: Array = max(outlines(whole), key=len) * np.asarray(spacing)
    near = max(LINED, LINED_PIXELS * max(spacing))
    if beside is not None and beside.any():
        landmark, ends = "myocardium", _longest_run(contour, _distance(contour, beside, spacing) > near)
    elif across is not None and across.any():
        landmark, ends = "neighbour", _longest_run(contour, _distance(contour, across, spacing) <= near)
    else:
        landmark, ends = "principal", None
    if ends is None:
        base, apex = _principal(whole, contour, spacing, apex_up)
    else:
        if (width := float(np.linalg.norm(ends[1] - ends[0]))) < NARROWEST_ANNULUS:
            return Chamber(reason=f"{name}: annulus {width:.1f} mm wide, less than {NARROWEST_ANNULUS:.0f}")
        base = ends.mean(axis=0)
        apex = contour[np.linalg.norm(contour - base, axis=1).argmax()]
    length = float(np.linalg.norm(apex - base))
    if length < shortest:
        return Chamber(reason=f"{name}: long axis {length:.0f} mm, less than {shortest:.0f}")
    if (apex[0] < base[0]) != apex_up:
        return Chamber(reason=f"{name}: upside down, or its annulus is misplaced")
    first, last = _crossings(contour, base, apex).T
    return Chamber(area, length, base, apex, np.nan_to_num(last - first), contour, landmark)


def _distance(contour: Array, mask: NDArray[np.bool_], spacing: tuple[float, float]) -> Array:
    distances = ndimage.distance_transform_edt(~mask, sampling=spacing)
    return np.asarray(ndimage.map_coordinates(distances, (contour / spacing).T, order=1, mode="nearest"))


def _longest_run(contour: Array, wanted: NDArray[np.bool_]) -> Array:
    """Return the first and last wanted point of the longest stretch (mm) of a closed outline."""
    points, wanted = contour[:-1], wanted[:-1]
    if wanted.all() or not wanted.any():
        return np.zeros((2, 2))
    start = int(np.flatnonzero(~wanted)[0])  # so that no stretch crosses the seam
    points, wanted = np.roll(points, -start, axis=0), np.roll(wanted, -start)
    runs = ndimage.find_objects(ndimage.label(wanted)[0])
    lengths = [np.linalg.norm(np.diff(points[run], axis=0), axis=1).sum() for run in runs]
    longest: Array = points[runs[int(np.argmax(lengths))]]
    return longest[[0, -1]]


def _principal(
    mask: NDArray[np.bool_], contour: Array, spacing: tuple[float, float], apex_up: bool
) -> tuple[Array, Array]:
    points = np.argwhere(mask) * np.asarray(spacing)
    middle = points.mean(axis=0)
    direction = np.linalg.eigh(np.cov((points - middle).T))[1][:, -1]
    along = (contour - middle) @ direction
    ends = sorted((middle + along.min() * direction, middle + along.max() * direction), key=lambda end: float(end[0]))
    upper, lower = ends
    return (lower, upper) if apex_up else (upper, lower)


def disc_ends(chamber: Chamber) -> Array:
    """Return the ends of the discs that the outline crosses, from base to apex, (discs, 2 ends, 2), mm."""
    axis = (chamber.apex - chamber.base) / chamber.length
    normal = np.array([-axis[1], axis[0]])
    middles = chamber.base + LEVELS[:, None] * chamber.length * axis
    ends: Array = middles[:, None] + _crossings(chamber.contour, chamber.base, chamber.apex)[..., None] * normal
    return ends[np.isfinite(ends).all(axis=(1, 2))]


def _crossings(contour: Array, base: Array, apex: Array) -> Array:
    """Return where the outline first and last crosses each level, mm from the axis, (20, 2); NaN if it does not."""
    length = np.linalg.norm(apex - base)
    axis = (apex - base) / length
    along = (contour - base) @ axis
    across = (contour - base) @ np.array([-axis[1], axis[0]])
    levels = LEVELS * length
    low, high = along[:-1, None], along[1:, None]
    crossed = (low <= levels) != (high <= levels)
    with np.errstate(divide="ignore", invalid="ignore"):
        fraction = (levels - low) / (high - low)
        crossings = across[:-1, None] + fraction * (across[1:, None] - across[:-1, None])
    first, last = np.where(crossed, crossings, np.inf).min(axis=0), np.where(crossed, crossings, -np.inf).max(axis=0)
    return np.where(crossed.any(axis=0), [first, last], np.nan).T
