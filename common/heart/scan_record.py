"""Measure one scan as a record of plain numbers, which is written as JSON and can be read again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contours import bounding_box
from .biomarkers.chamber import Chamber, atrium, ventricle
from .biomarkers.cycle import find_beats
from .biomarkers.quality import axis_flags, clip_flags, frame_flags

__all__ = ["NOMINAL_HEIGHT", "Instant", "measure_clip", "measure_still"]

# mm, assumed height of the sector where spacing is unknown (the median depth of CAMUS), so that implausible sizes can
# be recognised. Only ratios (EF, fractional area change) are reported then.
NOMINAL_HEIGHT = 150.0
CAVITY, WALL, ATRIUM = "lv_cavity", "lv_myocardium", "left_atrium"
CHAMBERS = ("ventricle", "epicardium", "atrium")
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Instant:
    """The chambers of one frame.

    Args:
        frame: its number, from 0.
        ventricle: left-ventricle cavity.
        epicardium: cavity and myocardium together.
        atrium: left atrium.

    Example:
        >>> written = Instant(0, Chamber(length=80.0), Chamber(), Chamber(reason="left atrium: not found")).as_json()
        >>> written["ventricle"]["length"], Instant.from_json(written).atrium.reason
        (80.0, 'left atrium: not found')
    """

    frame: int
    ventricle: Chamber
    epicardium: Chamber
    atrium: Chamber

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers, without outlines; NaN is None."""
        return {"frame": self.frame, **{name: _plain(getattr(self, name)) for name in CHAMBERS}}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Instant:
        """Return an instant as it was written, without outlines."""
        return cls(plain["frame"], *(_chamber(plain[name]) for name in CHAMBERS))


def measure_still(
    labels: Labels, names: Sequence[str], scale: tuple[float, float], seen: NDArray[np.bool_], frame: int = 0
) -> tuple[Instant, list[str]]:
    """Measure the chambers of one frame, and return flags.

    Args:
        labels: classes, (rows, columns).
        names: classes, background first; missing ones are not measured.
        scale: mm per pixel, (row, column).
        seen: what the scanner saw, (rows, columns).
        frame: number of the frame.
    """
    part = bounding_box(labels > 0, margin=2)  # a border separates what is cut off from what ends
    found = {name: labels[part] == value for value, name in enumerate(names)}
    nothing = np.zeros_like(labels[part], dtype=bool)
    cavity, wall, left_atrium = (found.get(name, nothing) for name in (CAVITY, WALL, ATRIUM))
    chambers = (
        ventricle(cavity, scale, wall, left_atrium),
        ventricle(cavity | wall, scale, None, left_atrium) if wall.any() else Chamber(reason="myocardium: not found"),
        atrium(left_atrium, scale, cavity),
    )
    corner = np.array([side.start * step for side, step in zip(part, scale, strict=True)])
    instant = Instant(frame, *(_moved(chamber, corner) for chamber in chambers))
    reasons = [chamber.reason for chamber in (instant.ventricle, instant.atrium) if chamber.reason]
    flags = [*reasons, *axis_flags(instant.ventricle), *frame_flags(labels[part], names, scale, seen[part])]
    return instant, list(dict.fromkeys(flags))


def measure_clip(
    labels: Labels, names: Sequence[str], scale: tuple[float, float], seen: NDArray[np.bool_], frame_rate: float | None
) -> tuple[NDArray[np.float64], list[tuple[Instant, Instant, bool]], list[str]]:
    """Find the beats of a clip and measure each at end-diastole and end-systole.

    Arguments are those of `measure_still`, with labels (frames, rows, columns), and frames per second, None if unknown.

    Returns:
        Area of the left-ventricle cavity in every frame, mm², (frames,), NaN without one; the beats: end-diastole,
        end-systole, and whether the beat is whole; flags.
    """
    value = list(names).index(CAVITY)
    pixels = (labels == value).sum(axis=(1, 2), dtype=np.int64)
    areas = np.where(pixels > 0, pixels * math.prod(scale), np.nan)
    beats, flags = [], []
    for beat in find_beats(areas, frame_rate):
        pair = []
        for index in (beat.diastole, beat.systole):
            instant, doubts = measure_still(labels[index], names, scale, seen, index)
            pair.append(instant)
            flags += [f"frame {index}: {doubt}" for doubt in doubts]
        beats.append((pair[0], pair[1], beat.whole))
        flags += clip_flags(areas, frame_rate, pair[0].ventricle, pair[1].ventricle)
    if not beats:
        flags.append("no beat found: the area of the left ventricle does not change, or it was not found")
    elif not beats[0][2]:
        flags.append("no whole beat: end-diastole and end-systole are the largest and the smallest area of the clip")
    return areas, beats, list(dict.fromkeys(flags))


def _moved(chamber: Chamber, offset: NDArray[np.float64]) -> Chamber:
    base, apex, contour = chamber.base + offset, chamber.apex + offset, chamber.contour + offset
    return replace(chamber, base=base, apex=apex, contour=contour)


def _plain(chamber: Chamber) -> dict[str, Any]:
    numbers = (chamber.area, chamber.length, *chamber.diameters)
    area, length, *diameters = (None if math.isnan(value) else round(float(value), 4) for value in numbers)
    words = {"landmark": chamber.landmark, "reason": chamber.reason}
    return {"area": area, "length": length, "diameters": diameters, **words}


def _chamber(plain: Mapping[str, Any]) -> Chamber:
    area, length, *diameters = np.array([plain["area"], plain["length"], *plain["diameters"]], float)  # None is NaN
    words = {"landmark": plain["landmark"], "reason": plain["reason"]}
    return Chamber(float(area), float(length), diameters=np.array(diameters), **words)
