"""One heart beat, in one apical view or two."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .biomarkers.volumes import area_length_volume, discs_volume, ejection_fraction, myocardial_mass, notebook_volumes
from .instant import Instant

__all__ = ["MeasuredBeat", "beat_values", "mean_values"]


@dataclass(frozen=True)
class MeasuredBeat:
    """A beat in one view.

    Args:
        diastole: end-diastole.
        systole: end-systole.
        whole: whether the clip shows all of it.
    """

    diastole: Instant
    systole: Instant
    whole: bool = True

    @cached_property
    def values(self) -> dict[str, float]:
        """Monoplane values (`beat_values`)."""
        return beat_values(self)

    @property
    def grows(self) -> bool:
        """Whether the ventricle is larger at end-systole than at end-diastole."""
        return discs_volume(self.diastole.ventricle) < discs_volume(self.systole.ventricle)

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {"end_diastole": self.diastole.as_json(), "end_systole": self.systole.as_json(), "whole": self.whole}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> MeasuredBeat:
        """Return a beat as it was written."""
        diastole, systole = (Instant.from_json(plain[name]) for name in ("end_diastole", "end_systole"))
        return cls(diastole, systole, plain["whole"])


def beat_values(*views: MeasuredBeat) -> dict[str, float]:
    """Measure a beat that was seen in one view (monoplane) or two (biplane): name -> ml, % or g, NaN if undefined.

    Where the ventricle is larger at end-systole in any view, the instants may be exchanged: the volumes stand as they
    are, and nothing is derived from them.
    """
    diastolic, systolic = [beat.diastole.ventricle for beat in views], [beat.systole.ventricle for beat in views]
    edv, esv = discs_volume(*diastolic), discs_volume(*systolic)
    edv_area, esv_area = area_length_volume(*diastolic), area_length_volume(*systolic)
    values = {
        "lv_ef": ejection_fraction(edv, esv),
        "lv_edv": edv,
        "lv_esv": esv,
        "lv_sv": edv - esv,
        "la_volume": discs_volume(*(beat.systole.atrium for beat in views)),
        "lv_fac": ejection_fraction(diastolic[0].area, systolic[0].area),
        "lv_ef_area_length": ejection_fraction(edv_area, esv_area),
        "lv_edv_area_length": edv_area,
        "lv_esv_area_length": esv_area,
        "lv_ef_camus_notebook": ejection_fraction(*notebook_volumes(diastolic, systolic)),
        "lv_mass_research_only": myocardial_mass(diastolic[0], views[0].diastole.epicardium),
    }
    if any(beat.grows for beat in views):
        return {**dict.fromkeys(values, math.nan), "lv_edv": edv, "lv_esv": esv}
    return values


def mean_values(beats: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each value over the beats in which it is defined; NaN without one.

    Example:
        >>> mean_values([{"lv_ef": 50.0}, {"lv_ef": 60.0}, {"lv_ef": math.nan}])
        {'lv_ef': 55.0}
    """
    return {name: _mean(values[name] for values in beats) for name in (beats[0] if beats else ())}


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
