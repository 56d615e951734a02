"""Measure the heart in one scan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contours import bounding_box
from .beat import MeasuredBeat, mean_values
from .biomarkers.chamber import Chamber, atrium, ventricle
from .biomarkers.cycle import find_beats
from .biomarkers.quality import axis_flags, clip_flags, frame_flags
from .biomarkers.volumes import discs_volume
from .instant import Instant

__all__ = ["NOMINAL_HEIGHT", "HeartScan", "measure_clip", "measure_still", "still_values"]

# mm, assumed height of the sector where spacing is unknown (the median depth of CAMUS), so that implausible sizes can
# be recognised. Only ratios (EF, fractional area change) are reported then.
NOMINAL_HEIGHT = 150.0
CAVITY, WALL, ATRIUM = "lv_cavity", "lv_myocardium", "left_atrium"
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class HeartScan:
    """What was measured in one scan.

    Args:
        study: of scans that belong together.
        view: "2CH", "4CH", or "" if unknown.
        phase: "ED", "ES", or "" for a clip or if unknown.
        length_unit: "mm", or the nominal unit of scans without spacing.
        still: of a still; None without a left ventricle among the classes.
        beats: of a clip.
        areas: of the left-ventricle cavity in every frame of a clip, mm², None where it was not found.
    """

    study: str
    view: str
    phase: str
    length_unit: str
    still: Instant | None = None
    beats: Sequence[MeasuredBeat] = ()
    areas: Sequence[float | None] | None = None

    @cached_property
    def values(self) -> dict[str, float]:
        """Values of this scan alone, as in the table: means over its beats, or the volumes of a still."""
        if self.still is not None:
            return still_values(self.phase, [self.still])
        return mean_values([beat.values for beat in self.beats])

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the record."""
        plain: dict[str, Any] = {"study": self.study, "view": self.view, "phase": self.phase}
        plain["length_unit"] = self.length_unit
        if self.still is not None:
            plain["still"] = self.still.as_json()
        if self.areas is not None:
            plain |= {"lv_areas": list(self.areas), "beats": [beat.as_json() for beat in self.beats]}
        return plain

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> HeartScan:
        """Return what an earlier run measured."""
        study, view, phase, unit = (record[name] for name in ("study", "view", "phase", "length_unit"))
        still = Instant.from_json(record["still"]) if "still" in record else None
        beats = [MeasuredBeat.from_json(beat) for beat in record.get("beats", [])]
        return cls(study, view, phase, unit, still, beats, record.get("lv_areas"))


def still_values(phase: str, views: Sequence[Instant]) -> dict[str, float]:
    """Return the volumes of stills that show the same instant in one view (monoplane) or two (biplane), ml."""
    name = {"ED": "lv_edv", "ES": "lv_esv", "": "lv_volume"}[phase]
    volume, la_volume = (discs_volume(*own) for own in ([v.ventricle for v in views], [v.atrium for v in views]))
    return {name: volume, "la_volume": la_volume}


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
) -> tuple[NDArray[np.float64], list[MeasuredBeat], list[str]]:
    """Find the beats of a clip and measure each at end-diastole and end-systole.

    Arguments are those of `measure_still`, with labels (frames, rows, columns), and frames per second, None if unknown.

    Returns:
        Area of the left-ventricle cavity in every frame, mm², (frames,), NaN without one; the beats; flags.
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
        beats.append(MeasuredBeat(pair[0], pair[1], beat.whole))
        flags += clip_flags(areas, frame_rate, pair[0].ventricle, pair[1].ventricle)
    if not beats:
        flags.append("no beat found: the area of the left ventricle does not change, or it was not found")
    elif not beats[0].whole:
        flags.append("no whole beat: end-diastole and end-systole are the largest and the smallest area of the clip")
    return areas, beats, list(dict.fromkeys(flags))


def _moved(chamber: Chamber, offset: NDArray[np.float64]) -> Chamber:
    base, apex, contour = chamber.base + offset, chamber.apex + offset, chamber.contour + offset
    return replace(chamber, base=base, apex=apex, contour=contour)
