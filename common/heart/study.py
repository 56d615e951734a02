"""Measure a study: the scans that belong together, one view or two, stills or clips."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..inference.subject import ScanResult
from .beat import MeasuredBeat, beat_values, mean_values
from .biomarkers.quality import biplane_flags
from .biomarkers.reference_limits import grade
from .scan_record import HeartScan, still_values

__all__ = ["COLUMNS", "group", "measure_study"]

Scan = ScanResult[HeartScan]
FIRST, SECOND = "4CH", "2CH"
# name -> unit: the columns of measurements.csv, in this order
COLUMNS = {
    "lv_ef": "%",
    "lv_ef_sd": "%",
    "lv_edv": "ml",
    "lv_esv": "ml",
    "lv_sv": "ml",
    "lv_volume": "ml",  # of a still whose phase is unknown
    "la_volume": "ml",
    "la_volume_index": "ml/m²",
    "lv_fac": "%",
    "lv_ef_4ch": "%",
    "lv_ef_2ch": "%",
    "lv_ef_area_length": "%",
    "lv_edv_area_length": "ml",
    "lv_esv_area_length": "ml",
    "lv_ef_camus_notebook": "%",
    "lv_mass_research_only": "g",
}
UNIT_BOUND = [name for name, unit in COLUMNS.items() if unit != "%"]  # meaningless without spacing


def group(scans: Iterable[Scan]) -> dict[str, list[Scan]]:
    """Group scans by study.

    If two scans show the same view and phase, or stills are mixed with clips, every scan becomes a study of its own.

    Example:
        >>> def scan(name, phase):
        ...     return ScanResult(name, 1, [8, 8], None, None, "", [], [], 0.9, HeartScan("a", "", phase, "mm"))
        >>> pair = [scan("a_ED.png", "ED"), scan("a_ES.png", "ES")]
        >>> list(group(pair)), list(group([*pair, pair[0]]))
        (['a'], ['a_ED.png', 'a_ES.png'])
    """
    studies: dict[str, list[Scan]] = {}
    for scan in scans:
        studies.setdefault(scan.measured.study, []).append(scan)
    apart: dict[str, list[Scan]] = {}
    for name, own in studies.items():
        roles = Counter((scan.measured.view, scan.measured.phase) for scan in own)
        clips_and_stills = len({bool(scan.measured.phase) for scan in own}) > 1
        if max(roles.values()) > 1 or clips_and_stills:
            apart |= {scan.input: [scan] for scan in own}
        else:
            apart[name] = own
    return apart


def measure_study(scans: Sequence[Scan], surface: float | None = None, sex: str | None = None) -> dict[str, Any]:
    """Combine the scans of a study.

    With both apical views volumes are biplane, otherwise monoplane. Beats of the two views are paired in their order;
    volumes and ejection fraction are means over the beats, the latter with its standard deviation. Scans in millimetres
    are not combined with scans without spacing.

    Args:
        scans: one per view and phase.
        surface: body surface area, m²; indexes the volumes.
        sex: "F" or "M"; grades the values by the reference limits.

    Returns:
        `COLUMNS` (None if not measured), and inputs, method, beats, spacing_source, grades, flags.
    """
    hearts = [scan.measured for scan in scans]
    views = {view: own for view in (FIRST, "", SECOND) if (own := _beats([h for h in hearts if h.view == view]))}
    units = {heart.length_unit for heart in hearts}
    planes = [FIRST, SECOND] if views.keys() >= {FIRST, SECOND} and len(units) == 1 else list(views)[:1]
    beats = list(zip(*(views[view] for view in planes), strict=False))
    values = [beat_values(*beat) if len(beat) > 1 else beat[0].values for beat in beats]
    result = mean_values(values) if values else _single(hearts)
    fractions = [value["lv_ef"] for value in values if not math.isnan(value["lv_ef"])]
    result["lv_ef_sd"] = float(np.std(fractions, ddof=1)) if len(fractions) > 1 else math.nan
    for view, name in ((FIRST, "lv_ef_4ch"), (SECOND, "lv_ef_2ch")):
        result[name] = mean_values([beat.values for beat in views.get(view, [])]).get("lv_ef", math.nan)
    if surface is not None:
        result["la_volume_index"] = result.get("la_volume", math.nan) / surface
    flags = [f"{scan.input}: {flag}" for scan in scans for flag in (*scan.notes, *scan.flags)]
    if len(planes) == 2:
        flags += biplane_flags(*(beat.diastole.ventricle for beat in beats[0]))
    if not all(scan.spacing_mm for scan in scans):
        result |= dict.fromkeys(UNIT_BOUND, math.nan)
        flags.append("spacing unknown: no volumes in ml; give mm per pixel with --spacing")
    if len(units) > 1:
        flags.append("mm per pixel are known of some scans alone: they are not combined with the others")
    if exchanged := [view or "view unknown" for view in planes if any(beat.grows for beat in views[view])]:
        flags.append(f"{', '.join(exchanged)}: larger at end-systole than at end-diastole; are they exchanged?")
    if not values:
        flags.append("no ejection fraction: end-diastole and end-systole of one view are needed")
    return {
        **{name: _rounded(result.get(name, math.nan)) for name in COLUMNS},
        "inputs": [scan.input for scan in scans],
        "method": _method(planes) if values else _method_of_stills(hearts),
        "beats": len(fractions),
        "spacing_source": ", ".join(sorted({scan.spacing_source for scan in scans} - {""})) or "unknown",
        "grades": _grades(result, surface, sex),
        "flags": list(dict.fromkeys(flags)),
    }


def _beats(hearts: Sequence[HeartScan]) -> list[MeasuredBeat]:
    """Return the beats of the scans of one view: those of its clip, or its two stills together."""
    stills = {heart.phase: heart.still for heart in hearts if heart.still is not None}
    beats = [beat for heart in hearts for beat in heart.beats]
    together = {"ED", "ES"} <= stills.keys() and len({heart.length_unit for heart in hearts}) == 1
    return [*beats, MeasuredBeat(stills["ED"], stills["ES"])] if together else beats


def _single(hearts: Sequence[HeartScan]) -> dict[str, float]:
    """Return the volumes of stills that do not make a beat; biplane if both views show the same phase."""
    result: dict[str, float] = {}
    for phase in ("ED", "ES", ""):
        own = {heart.view: heart for heart in hearts if heart.phase == phase and heart.still is not None}
        if views := [own[view] for view in (FIRST, "", SECOND) if view in own][:2]:
            stills = [heart.still for heart in views if heart.still is not None]
            result |= still_values(phase, stills) if len(views) > 1 else views[0].values
    return result


def _method(views: Collection[str]) -> str:
    if FIRST in views and SECOND in views:
        return "biplane discs"
    known = [view or "view unknown" for view in (FIRST, "", SECOND) if view in views]
    return f"monoplane discs ({known[0]})" if known else ""


def _method_of_stills(hearts: Sequence[HeartScan]) -> str:
    """Return the method of the volumes of `_single`, of each phase if they differ."""
    views = {
        phase: {heart.view for heart in hearts if heart.phase == phase and heart.still} for phase in ("ED", "ES", "")
    }
    methods = {phase: _method(own) for phase, own in views.items() if own}
    if len(set(methods.values())) > 1:
        return ", ".join(f"{phase or 'phase unknown'}: {method}" for phase, method in methods.items())
    return next(iter(methods.values()), "")


def _grades(result: Mapping[str, float], surface: float | None, sex: str | None) -> dict[str, str]:
    if sex is None:
        return {}
    named = {"ejection_fraction": "lv_ef", "end_diastolic_volume": "lv_edv", "end_systolic_volume": "lv_esv"}
    values = {quantity: result.get(name, math.nan) for quantity, name in named.items()}
    if surface is not None:
        values |= {f"{quantity}_index": values[quantity] / surface for quantity in list(values) if "volume" in quantity}
        values["left_atrial_volume_index"] = result.get("la_volume_index", math.nan)
    grades = {quantity: grade(quantity, value, sex) for quantity, value in values.items()}
    return {quantity: words for quantity, words in grades.items() if words}


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 2)
