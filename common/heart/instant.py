"""The chambers of the heart in one frame, as numbers that are written to JSON and read again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .biomarkers.chamber import Chamber

__all__ = ["Instant"]

CHAMBERS = ("ventricle", "epicardium", "atrium")
DIGITS = 4


@dataclass(frozen=True)
class Instant:
    """The chambers of one frame. Its numbers are rounded as they are written, so a resumed run gives the same table.

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

    def __post_init__(self) -> None:
        for name in CHAMBERS:
            object.__setattr__(self, name, _rounded(getattr(self, name)))

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers, without outlines; NaN is None."""
        return {"frame": self.frame, **{name: _plain(getattr(self, name)) for name in CHAMBERS}}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Instant:
        """Return an instant as it was written, without outlines."""
        return cls(plain["frame"], *(_chamber(plain[name]) for name in CHAMBERS))


def _rounded(chamber: Chamber) -> Chamber:
    area, length = round(float(chamber.area), DIGITS), round(float(chamber.length), DIGITS)
    diameters = np.array([round(float(value), DIGITS) for value in chamber.diameters])
    return replace(chamber, area=area, length=length, diameters=diameters)


def _plain(chamber: Chamber) -> dict[str, Any]:
    numbers = (chamber.area, chamber.length, *chamber.diameters.tolist())
    area, length, *diameters = (None if math.isnan(value) else value for value in numbers)
    words = {"landmark": chamber.landmark, "reason": chamber.reason}
    return {"area": area, "length": length, "diameters": diameters, **words}


def _chamber(plain: Mapping[str, Any]) -> Chamber:
    area, length, *diameters = np.array([plain["area"], plain["length"], *plain["diameters"]], float)  # None is NaN
    words = {"landmark": plain["landmark"], "reason": plain["reason"]}
    return Chamber(float(area), float(length), diameters=np.array(diameters), **words)
