"""Measure a study: the scans that belong together, one view or two, stills or clips."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .biomarkers.quality import biplane_flags
from .biomarkers.reference_limits import grade
from .biomarkers.volumes import area_length_volume, discs_volume, ejection_fraction, myocardial_mass, notebook_volumes
from .scan_record import Instant

__all__ = ["COLUMNS", "group", "measure_study"]

Record = Mapping[str, Any]
Beat = tuple[Instant, Instant]  # of one view: end-diastole, end-systole
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


def group(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Group records by study.

    If two scans show the same view and phase, or stills are mixed with clips, every scan becomes a study of its own.

    Example:
        >>> pair = [{"input": f"a_{phase}.png", "study": "a", "view": "", "phase": phase} for phase in ("ED", "ES")]
        >>> list(group(pair)), list(group([*pair, pair[0]]))
        (['a'], ['a_ED.png', 'a_ES.png'])
    """
    studies: dict[str, list[Record]] = {}
    for record in records:
        studies.setdefault(record["study"], []).append(record)
    apart: dict[str, list[Record]] = {}
    for name, own in studies.items():
        roles = Counter((record["view"], record["phase"]) for record in own)
        clips_and_stills = len({bool(record["phase"]) for record in own}) > 1
        if max(roles.values()) > 1 or clips_and_stills:
            apart |= {record["input"]: [record] for record in own}
        else:
            apart[name] = own
    return apart


def measure_study(records: Sequence[Record], surface: float | None = None, sex: str | None = None) -> dict[str, Any]:
    """Combine the scans of a study.

    With both apical views volumes are biplane, otherwise monoplane. Beats of the two views are paired in their order;
    volumes and ejection fraction are means over the beats, the latter with its standard deviation.

    Args:
        records: of its scans, one per view and phase.
        surface: body surface area, m²; indexes the volumes.
        sex: "F" or "M"; grades the values by the reference limits.

    Returns:
        `COLUMNS` (None if not measured), and inputs, method, beats, spacing_source, grades, flags.
    """
    views: dict[str, list[Beat]] = {}
    for view in (FIRST, "", SECOND):
        if found := _beats([record for record in records if record["view"] == view]):
            views[view] = found
    planes = [FIRST, SECOND] if views.keys() >= {FIRST, SECOND} else list(views)[:1]
    beats = list(zip(*(views[view] for view in planes), strict=False))
    values = [_measure(*beat) for beat in beats]
    result = {name: _mean(value[name] for value in values) for name in values[0]} if values else _single(records)
    fractions = [value["lv_ef"] for value in values if not math.isnan(value["lv_ef"])]
    result["lv_ef_sd"] = float(np.std(fractions, ddof=1)) if len(fractions) > 1 else math.nan
    for view, name in ((FIRST, "lv_ef_4ch"), (SECOND, "lv_ef_2ch")):
        result[name] = _mean(_measure(beat)["lv_ef"] for beat in views.get(view, []))
    if surface is not None:
        result["la_volume_index"] = result.get("la_volume", math.nan) / surface
    flags = [f"{record['input']}: {flag}" for record in records for flag in (*record["notes"], *record["flags"])]
    if len(planes) == 2:
        flags += biplane_flags(*(diastole.ventricle for diastole, _ in beats[0]))
    if not all(record["spacing_mm"] for record in records):
        result |= dict.fromkeys(UNIT_BOUND, math.nan)
        flags.append("spacing unknown: no volumes in ml; give mm per pixel with --spacing")
    if not values:
        flags.append("no ejection fraction: end-diastole and end-systole of one view are needed")
    return {
        **{name: _rounded(result.get(name, math.nan)) for name in COLUMNS},
        "inputs": [record["input"] for record in records],
        "method": _method(views or {record["view"] for record in records if "still" in record}),
        "beats": len(fractions),
        "spacing_source": ", ".join(sorted({record["spacing_source"] for record in records} - {""})) or "unknown",
        "grades": _grades(result, surface, sex),
        "flags": list(dict.fromkeys(flags)),
    }


def _beats(records: Sequence[Record]) -> list[Beat]:
    """Return the beats of the scans of one view: those of its clip, or its two stills together."""
    stills = {record["phase"]: record["still"] for record in records if record.get("still")}
    pairs = [(beat["end_diastole"], beat["end_systole"]) for record in records for beat in record.get("beats", [])]
    if {"ED", "ES"} <= stills.keys():
        pairs.append((stills["ED"], stills["ES"]))
    return [(Instant.from_json(diastole), Instant.from_json(systole)) for diastole, systole in pairs]


def _single(records: Sequence[Record]) -> dict[str, float]:
    """Return the volumes of stills that do not make a beat; biplane if both views show the same phase."""
    result: dict[str, float] = {}
    for phase, name in (("ED", "lv_edv"), ("ES", "lv_esv"), ("", "lv_volume")):
        own = {record["view"]: record["still"] for record in records if record["phase"] == phase and "still" in record}
        if stills := [Instant.from_json(own[view]) for view in (FIRST, "", SECOND) if view in own][:2]:
            result[name] = discs_volume(*(still.ventricle for still in stills))
            result["la_volume"] = discs_volume(*(still.atrium for still in stills))
    return result


def _measure(*beats: Beat) -> dict[str, float]:
    """Measure a beat in one view or two."""
    diastolic, systolic = ([beat[which].ventricle for beat in beats] for which in range(2))
    edv, esv = discs_volume(*diastolic), discs_volume(*systolic)
    edv_area, esv_area = area_length_volume(*diastolic), area_length_volume(*systolic)
    return {
        "lv_ef": ejection_fraction(edv, esv),
        "lv_edv": edv,
        "lv_esv": esv,
        "lv_sv": edv - esv,
        "la_volume": discs_volume(*(systole.atrium for _, systole in beats)),
        "lv_fac": ejection_fraction(diastolic[0].area, systolic[0].area),
        "lv_ef_area_length": ejection_fraction(edv_area, esv_area),
        "lv_edv_area_length": edv_area,
        "lv_esv_area_length": esv_area,
        "lv_ef_camus_notebook": ejection_fraction(*notebook_volumes(diastolic, systolic)),
        "lv_mass_research_only": myocardial_mass(diastolic[0], beats[0][0].epicardium),
    }


def _method(views: Collection[str]) -> str:
    if FIRST in views and SECOND in views:
        return "biplane discs"
    known = [view or "view unknown" for view in (FIRST, "", SECOND) if view in views]
    return f"monoplane discs ({known[0]})" if known else ""


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


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 2)
