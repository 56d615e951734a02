"""Measure the areas of a bundle's own classes, in any image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pydicom.sr.coding import Code

from .subject import Findings, ScanResult, Segmented
from .table import Table

__all__ = ["Areas", "FrameAreas"]

COLUMNS = {"mm²": "area", "pixels": "pixels"}  # unit -> ending of the name of a column


@dataclass(frozen=True)
class FrameAreas:
    """The area of every class in every frame.

    Args:
        unit: "mm²", or "pixels" where the spacing is unknown.
        areas: class -> area in each frame, 0 where it was not found.
    """

    unit: str
    areas: Mapping[str, Sequence[float]]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"area_unit": self.unit, "areas": dict(self.areas)}


class Areas:
    """The subject of bundles that name no other: areas, one row for each scan.

    The columns of a class are its area and, over the frames of a clip, the smallest and the largest; the area of a clip
    is the mean over all its frames. Scans without spacing have columns of their own, in pixels.

    Args:
        classes: names, background first.
    """

    titles: Mapping[str, str] = {}
    codes: Mapping[str, Code] = {}
    description = "Segmentation"
    doubt = "does the image show what the network was trained on?"

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = list(classes)

    def check(self, inputs: Sequence[PurePath]) -> None:
        """Accept any inputs: scans are measured independently."""

    def measure(self, segmented: Segmented, name: PurePath) -> Findings[FrameAreas]:  # noqa: ARG002  # any name
        """Measure the area of every class in every frame."""
        spacing = segmented.scan.spacing
        pixel = math.prod(spacing) if spacing else 1
        areas = {
            label: [round(pixel * int(count), 2) for count in (segmented.labels == value).sum(axis=(1, 2))]
            for value, label in enumerate(self.classes)
            if value > 0
        }
        measured = FrameAreas("mm²" if spacing else "pixels", areas)
        means = (f"{label.replace('_', ' ')} {_mean(own):.0f} {measured.unit}" for label, own in areas.items())
        return Findings(measured, caption=[", ".join(means)])

    def read(self, record: Mapping[str, Any]) -> FrameAreas:
        """Return the areas of a record."""
        return FrameAreas(record["area_unit"], record["areas"])

    def table(self, scans: Sequence[ScanResult[FrameAreas]]) -> Table:
        """Return one row for each scan.

        Example:
            >>> areas = FrameAreas("mm²", {"left_kidney": [2.0, 4.0]})
            >>> scan = ScanResult("a.avi", 2, [8, 8], None, [1.0, 1.0], "given", [], ["check it"], 0.9, areas)
            >>> print(Areas(["background", "left_kidney"]).table([scan]).as_csv().splitlines()[1])
            a.avi,2,3.0,2.0,4.0,0.9,given,check it
        """
        units: dict[str, str] = {}
        for unit, ending in COLUMNS.items():
            if any(scan.measured.unit == unit for scan in scans):
                for label in self.classes[1:]:
                    units |= {f"{label}_{ending}{which}": unit for which in ("", "_smallest", "_largest")}
        rows = {scan.input: {**dict.fromkeys(units), **_row(scan)} for scan in scans}
        columns = ["frames", *units, "certainty", "spacing_source", "flags"]
        shown = {name: f"{name} {unit}" for name, unit in units.items() if not name.endswith(("_smallest", "_largest"))}
        return Table("scan", "scans", columns, units, rows, {**shown, "flags": "flags"})


def _row(scan: ScanResult[FrameAreas]) -> dict[str, Any]:
    ending = COLUMNS[scan.measured.unit]
    areas: dict[str, float] = {}
    for label, own in scan.measured.areas.items():
        name = f"{label}_{ending}"
        areas |= {name: round(_mean(own), 2), f"{name}_smallest": min(own), f"{name}_largest": max(own)}
    facts = {"certainty": scan.certainty, "spacing_source": scan.spacing_source or "unknown"}
    return {"frames": scan.frames, **areas, **facts, "flags": [*scan.notes, *scan.flags]}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
