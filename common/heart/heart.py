"""The heart as the subject of a bundle: studies, views and phases, chambers, volumes and ejection fraction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from ..inference.drawing import Axis
from ..inference.overlay import Moment
from ..inference.subject import Findings, ScanResult, Segmented
from ..inference.table import Table
from .biomarkers.chamber import Chamber, disc_ends
from .biomarkers.volumes import body_surface_area
from .file_names import recognise
from .instant import Instant
from .scan_record import CAVITY, NOMINAL_HEIGHT, HeartScan, measure_clip, measure_still
from .study import COLUMNS, UNIT_BOUND, group, measure_study

__all__ = ["Heart", "axis_of"]

WORDS = {"ED": "end-diastole", "ES": "end-systole", "": "still"}
CAPTION = {  # value -> its words and unit below an overlay
    "lv_ef": ("EF", "%"),
    "lv_edv": ("EDV", "ml"),
    "lv_esv": ("ESV", "ml"),
    "lv_volume": ("LV volume", "ml"),
    "la_volume": ("LA volume", "ml"),
}
SHOWN = {"method": "method", "lv_ef": "EF %", "lv_edv": "EDV ml", "lv_esv": "ESV ml", "la_volume": "LA ml"}


class Heart:
    """The left heart in apical views: one row for each study.

    Study, view and phase come from file names (`recognise`), the view also from DICOM. Classes other than `lv_cavity`,
    `lv_myocardium` and `left_atrium` are segmented but not measured.

    Args:
        patient: height (cm), weight (kg), sex ("F" or "M") of the only patient in the input; all optional.

    Raises:
        ValueError: if `patient` has other keys, or only one of height and weight.
    """

    titles: Mapping[str, str] = {"lv_cavity": "LV cavity", "lv_myocardium": "LV myocardium"}
    codes: Mapping[str, Code] = {  # SNOMED CT, as worded in the code lists of DICOM
        "lv_cavity": codes.SCT.LeftVentricle,
        "lv_myocardium": codes.SCT.LeftVentricleMyocardium,
        "left_atrium": codes.SCT.LeftAtrium,
    }
    description = "Segmentation of the left heart"
    doubt = "is this an apical view of a heart?"

    def __init__(self, patient: Mapping[str, Any] | None = None) -> None:
        self.patient = dict(patient or {})
        if unknown := self.patient.keys() - {"height", "weight", "sex"}:
            raise ValueError(f"unknown patient keys {sorted(unknown)}; allowed: height (cm), weight (kg), sex (F, M).")
        if ("height" in self.patient) != ("weight" in self.patient):
            raise ValueError("expected both height and weight of the patient, got one; body surface area needs both.")

    def check(self, inputs: Sequence[PurePath]) -> None:
        """Refuse several studies if one patient is described."""
        studies = {recognise(path)[0] for path in inputs}
        if self.patient and len(studies) > 1:
            raise ValueError(f"expected one study, since patient is given, got {len(studies)}: {sorted(studies)[:5]}.")

    def measure(self, segmented: Segmented, name: PurePath) -> Findings[HeartScan]:
        """Measure the chambers of a still, or of a clip at end-diastole and end-systole of every beat."""
        labels, scan, seen = segmented.labels, segmented.scan, segmented.framing.seen
        top, _, bottom, _ = segmented.framing.box
        scale = scan.spacing or (NOMINAL_HEIGHT / (bottom - top),) * 2
        unit = "mm" if scan.spacing else f"1/{NOMINAL_HEIGHT:.0f} of the sector's height"
        study, view, phase = recognise(name)
        facts = (study, view or scan.view, phase, unit)
        if CAVITY not in segmented.classes:
            return Findings(HeartScan(*facts))
        if len(labels) == 1:
            instant, flags = measure_still(labels[0], segmented.classes, scale, seen)
            heart = HeartScan(*facts, still=instant)
            shown = [(WORDS[phase], instant)]
        else:
            areas, beats, flags = measure_clip(labels, segmented.classes, scale, seen, scan.frame_rate)
            plain = [None if math.isnan(area) else round(float(area), 2) for area in areas]
            heart = HeartScan(*facts, beats=beats, areas=plain)
            both = zip(("ED", "ES"), (beats[0].diastole, beats[0].systole), strict=True) if beats else ()
            shown = [(f"{WORDS[word]}, frame {instant.frame}", instant) for word, instant in both]
        moments = [_moment(segmented, title, instant, scale) for title, instant in shown]
        return Findings(heart, flags, moments, _caption(heart) if shown else ())

    def read(self, record: Mapping[str, Any]) -> HeartScan:
        """Return the measurements of a record."""
        return HeartScan.from_json(record)

    def table(self, scans: Sequence[ScanResult[HeartScan]]) -> Table:
        """Return one row for each study."""
        both = {"height", "weight"} <= self.patient.keys()
        surface = body_surface_area(self.patient["height"], self.patient["weight"]) if both else None
        rows = {name: measure_study(own, surface, self.patient.get("sex")) for name, own in group(scans).items()}
        columns = ["method", "beats", *COLUMNS, "spacing_source", "grades", "flags"]
        return Table("study", "studies", columns, COLUMNS, rows, {**SHOWN, "flags": "flags"})


def axis_of(chamber: Chamber, scale: tuple[float, float]) -> Axis:
    """Return the long axis and the discs of a chamber, in pixels; `scale` is mm per pixel, (row, column)."""
    return Axis(np.stack([chamber.base, chamber.apex]) / scale, disc_ends(chamber) / scale)


def _moment(segmented: Segmented, title: str, instant: Instant, scale: tuple[float, float]) -> Moment:
    axes = [axis_of(chamber, scale) for chamber in (instant.ventricle, instant.atrium) if not chamber.reason]
    return Moment(segmented.scan.frames[instant.frame], segmented.labels[instant.frame], title, axes)


def _caption(heart: HeartScan) -> list[str]:
    known = {name: value for name, value in heart.values.items() if not math.isnan(value)}
    if heart.length_unit != "mm":
        known = {name: value for name, value in known.items() if name not in UNIT_BOUND}
    values = [f"{name} {known[column]:.0f} {unit}" for column, (name, unit) in CAPTION.items() if column in known]
    return [", ".join([heart.view or "view unknown", *values])]
