"""What is measured in one scan, as a record of plain numbers that is written as JSON and can be read again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .biomarkers.chamber import Chamber, atrium, ventricle
from .biomarkers.cycle import find_beats
from .biomarkers.quality import axis_flags, clip_flags, frame_flags

__all__ = ["NOMINAL_HEIGHT", "Instant", "chamber_of", "measure_clip", "measure_still"]

# mm that the height of the sector stands for where spacing is unknown, so that what is implausible can be told: the
# median depth of CAMUS. Only ratios (EF, fractional area change) are reported then.
NOMINAL_HEIGHT = 150.0
CAVITY, WALL, ATRIUM = "lv_cavity", "lv_myocardium", "left_atrium"
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Instant:
    """The chambers of one frame.

    Args:
        frame: its number, from 0.
        ventricle: left-ventricle cavity.
        epicardium: cavity and myocardium together.
        atrium: left atrium.
    """

    frame: int
    ventricle: Chamber
    epicardium: Chamber
    atrium: Chamber

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers; NaN is None."""
        return {
            "frame": self.frame,
            **{name: _plain(getattr(self, name)) for name in ("ventricle", "epicardium", "atrium")},
        }


def measure_still(
    labels: Labels, names: Sequence[str], scale: tuple[float, float], seen: NDArray[np.bool_], frame: int = 0
) -> tuple[Instant, list[str]]:
    """Measure one frame.

    Args:
        labels: classes, (rows, columns).
        names: of the classes, background first; those that are not there are not measured.
        scale: mm per pixel, (row, column).
        seen: what the scanner saw, (rows, columns).
        frame: number of the frame.

    Returns:
        The chambers, and what is suspicious about them.
    """
    rows, columns = (_extent(labels.any(axis=axis)) for axis in (1, 0))
    part = (rows, columns)  # with a border, so that what was cut off stays told from what ends
    found = {name: labels[part] == value for value, name in enumerate(names)}
    nothing = np.zeros_like(labels[part], dtype=bool)
    cavity, wall, left_atrium = (found.get(name, nothing) for name in (CAVITY, WALL, ATRIUM))
    offset = rows.start * scale[0], columns.start * scale[1]
    chambers = (
        ventricle(cavity, scale, wall, left_atrium),
        ventricle(cavity | wall, scale, None, left_atrium) if wall.any() else Chamber(reason="myocardium: not found"),
        atrium(left_atrium, scale, cavity),
    )
    instant = Instant(frame, *(_moved(chamber, offset) for chamber in chambers))
    flags = frame_flags(labels[part], names, scale, seen[part])
    reasons = [chamber.reason for chamber in (instant.ventricle, instant.atrium) if chamber.reason]
    return instant, list(dict.fromkeys([*reasons, *axis_flags(instant.ventricle), *flags]))


def measure_clip(
    labels: Labels,
    names: Sequence[str],
    scale: tuple[float, float],
    seen: NDArray[np.bool_],
    frame_rate: float | None,
) -> tuple[NDArray[np.float64], list[tuple[Instant, Instant, bool]], list[str]]:
    """Find the beats of a clip and measure each at end-diastole and end-systole.

    Args:
        labels: classes, (frames, rows, columns).
        names: as for `measure_still`.
        scale: mm per pixel, (row, column).
        seen: what the scanner saw, (rows, columns).
        frame_rate: frames per second; None: unknown.

    Returns:
        Area of the left-ventricle cavity in every frame, mm², (frames,), NaN without one; the beats: end-diastole,
        end-systole, and whether the beat is whole; what is suspicious.
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
        flags.append("no beat found: the area of the left ventricle does not change, or is not there")
    elif not beats[0][2]:
        flags.append("no whole beat: end-diastole and end-systole are the largest and the smallest area of the clip")
    return areas, beats, list(dict.fromkeys(flags))


def chamber_of(plain: Mapping[str, Any]) -> Chamber:
    """Return a chamber as it was written, without its outline.

    Example:
        >>> written = Instant(0, Chamber(length=80.0), Chamber(), Chamber(reason="left atrium: not found")).as_json()
        >>> chamber_of(written["ventricle"]).length, chamber_of(written["atrium"]).reason
        (80.0, 'left atrium: not found')
    """
    area, length = (math.nan if plain[name] is None else float(plain[name]) for name in ("area", "length"))
    diameters = np.array(plain["diameters"], np.float64)  # None is NaN
    return Chamber(area, length, diameters=diameters, landmark=plain["landmark"], reason=plain["reason"])


def _plain(chamber: Chamber) -> dict[str, Any]:
    area, length, *diameters = (
        None if math.isnan(value) else round(float(value), 4)
        for value in (chamber.area, chamber.length, *chamber.diameters)
    )
    return {
        "area": area,
        "length": length,
        "diameters": diameters,
        "landmark": chamber.landmark,
        "reason": chamber.reason,
    }


def _moved(chamber: Chamber, offset: tuple[float, float]) -> Chamber:
    points = {name: getattr(chamber, name) + offset for name in ("base", "apex", "contour")}
    return Chamber(**{**vars(chamber), **points})


def _extent(marked: Any) -> slice:
    """Return where something is marked, with a border of two where there is room."""
    places = np.flatnonzero(marked)
    return slice(max(int(places[0]) - 2, 0), int(places[-1]) + 3) if len(places) else slice(0, 1)
