"""Measurements of a study: the scans that belong together, one view or two, stills or clips."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .biomarkers import (
    Chamber,
    area_length_volume,
    discs_volume,
    ejection_fraction,
    fractional_area_change,
    myocardial_mass,
    notebook_volumes,
    stroke_volume,
)
from .biomarkers.quality import biplane_flags
from .biomarkers.reference_limits import grade
from .scan_record import chamber_of

__all__ = ["COLUMNS", "group", "measure_study"]

Record = Mapping[str, Any]
FIRST, SECOND = "4CH", "2CH"
# name -> unit: the columns of measurements.csv, in this order
COLUMNS = {
    "lv_ef": "%",
    "lv_ef_sd": "%",
    "lv_edv": "ml",
    "lv_esv": "ml",
    "lv_sv": "ml",
    "lv_volume": "ml",  # of a still whose phase is not told
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


@dataclass(frozen=True)
class _Beat:
    """One beat of one view: the chambers at end-diastole and end-systole by name."""

    diastole: Mapping[str, Chamber]
    systole: Mapping[str, Chamber]


def group(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Put the records of scans that belong together under the name of their study.

    Two scans that show the same view and phase are no pair: then every scan of the study stands for itself.

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

    With both apical views volumes are biplane, else monoplane. Beats of the two views are paired in their order;
    volumes and ejection fraction are means over the beats, the latter with its standard deviation.

    Args:
        records: of its scans, one a view and phase.
        surface: body surface area, m²; indexes the volumes.
        sex: "F" or "M"; tells how the values lie among the reference limits.

    Returns:
        `COLUMNS` (None: not measured), and study, inputs, method, beats, spacing_source, grades, flags.
    """
    views: dict[str, list[_Beat]] = {}
    for view in (FIRST, SECOND, ""):
        own = [record for record in records if record["view"] == view]
        if found := _beats(own):
            views[view] = found
    first = views.get(FIRST) or views.get("") or views.get(SECOND) or []
    second = views[SECOND] if FIRST in views and SECOND in views else [None] * len(first)
    beats = list(zip(first, second, strict=False))
    values = [_measure(beat, other) for beat, other in beats]
    result = {name: _mean(value[name] for value in values) for name in values[0]} if values else _single(records)
    fractions = [value["lv_ef"] for value in values if not math.isnan(value["lv_ef"])]
    result["lv_ef_sd"] = float(np.std(fractions, ddof=1)) if len(fractions) > 1 else math.nan
    for view, name in ((FIRST, "lv_ef_4ch"), (SECOND, "lv_ef_2ch")):
        result[name] = _mean(_measure(beat, None)["lv_ef"] for beat in views.get(view, []))
    if surface is not None:
        result["la_volume_index"] = result.get("la_volume", math.nan) / surface
    flags = [f"{record['input']}: {flag}" for record in records for flag in (*record["notes"], *record["flags"])]
    for beat, other in beats[:1]:
        flags += biplane_flags(beat.diastole["ventricle"], other.diastole["ventricle"]) if other else []
    known = all(record["spacing_mm"] for record in records)
    if not known:
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


def _beats(records: Sequence[Record]) -> list[_Beat]:
    """Return the beats of the scans of one view: those of its clip, or its two stills together."""
    stills = {record["phase"]: record["still"] for record in records if record.get("still")}
    pairs = [(beat["end_diastole"], beat["end_systole"]) for record in records for beat in record.get("beats", [])]
    if {"ED", "ES"} <= stills.keys():
        pairs.append((stills["ED"], stills["ES"]))
    return [_Beat(*({name: chamber_of(instant[name]) for name in _NAMES} for instant in pair)) for pair in pairs]


_NAMES = ("ventricle", "epicardium", "atrium")


def _single(records: Sequence[Record]) -> dict[str, float]:
    """Return the volumes of stills that do not make a beat; biplane if both views show the same phase."""
    result: dict[str, float] = {}
    for phase, name in (("ED", "lv_edv"), ("ES", "lv_esv"), ("", "lv_volume")):
        own = {record["view"]: record["still"] for record in records if record["phase"] == phase and "still" in record}
        if stills := [own[view] for view in (FIRST, "", SECOND) if view in own]:
            for chamber, volume in (("ventricle", name), ("atrium", "la_volume")):
                first, *second = (chamber_of(still[chamber]) for still in stills[:2])
                result[volume] = discs_volume(first, second[0] if second else None)
    return result


def _measure(beat: _Beat, other: _Beat | None) -> dict[str, float]:
    diastolic = (beat.diastole["ventricle"], other.diastole["ventricle"] if other else None)
    systolic = (beat.systole["ventricle"], other.systole["ventricle"] if other else None)
    edv, esv = discs_volume(*diastolic), discs_volume(*systolic)
    edv_area, esv_area = area_length_volume(*diastolic), area_length_volume(*systolic)
    return {
        "lv_ef": ejection_fraction(edv, esv),
        "lv_edv": edv,
        "lv_esv": esv,
        "lv_sv": stroke_volume(edv, esv),
        "la_volume": discs_volume(beat.systole["atrium"], other.systole["atrium"] if other else None),
        "lv_fac": fractional_area_change(diastolic[0], systolic[0]),
        "lv_ef_area_length": ejection_fraction(edv_area, esv_area),
        "lv_edv_area_length": edv_area,
        "lv_esv_area_length": esv_area,
        "lv_ef_camus_notebook": ejection_fraction(*notebook_volumes(diastolic, systolic)),
        "lv_mass_research_only": myocardial_mass(diastolic[0], beat.diastole["epicardium"]),
    }


def _method(views: Collection[str]) -> str:
    if FIRST in views and SECOND in views:
        return "biplane discs"
    view = next((view or "apical view, not told which" for view in (FIRST, "", SECOND) if view in views), None)
    return "" if view is None else f"monoplane discs ({view})"


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
