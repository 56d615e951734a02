"""Volumes of a chamber from one apical view or two, and what follows from them. Volumes are in ml.

References:
    R. M. Lang et al., J Am Soc Echocardiogr 28:1-39, 2015.
    N. B. Schiller et al., J Am Soc Echocardiogr 2:358-367, 1989 (discs).
    R. D. Mosteller, N Engl J Med 317:1098, 1987; D. DuBois and E. F. DuBois, Arch Intern Med 17:863-871, 1916.
"""

from __future__ import annotations

import math

from .chamber import DISCS, Chamber

__all__ = [
    "area_length_volume",
    "body_surface_area",
    "discs_volume",
    "ejection_fraction",
    "fractional_area_change",
    "myocardial_mass",
    "notebook_volumes",
    "stroke_volume",
]

MM3_PER_ML = 1000.0
DENSITY = 1.05  # g/ml, of myocardium


def discs_volume(view: Chamber, other: Chamber | None = None, length: float | None = None) -> float:
    """Return the volume by the method of discs (modified Simpson), ml; NaN if a view has a reason.

    Args:
        view: the four-chamber view.
        other: the two-chamber view; None: monoplane, discs are circles.
        length: long axis, mm; None: of the longer view, as recommended.

    Example:
        >>> import numpy as np
        >>> cylinder = Chamber(length=90.0, diameters=np.full(20, 40.0))
        >>> round(discs_volume(cylinder), 1)  # pi / 4 * 40² * 90 mm³
        113.1
    """
    second = view if other is None else other
    longest = max(view.length, second.length) if length is None else length
    if math.isnan(view.length + second.length):
        return math.nan
    return float(math.pi / 4 * (view.diameters * second.diameters).sum() * longest / DISCS) / MM3_PER_ML


def area_length_volume(view: Chamber, other: Chamber | None = None) -> float:
    """Return 8 A1 A2 / (3 pi L), ml, with the shorter long axis; NaN if a view has a reason.

    Args:
        view: the four-chamber view.
        other: the two-chamber view; None: monoplane, A2 = A1.

    Example:
        >>> ball = Chamber(area=math.pi * 30**2, length=60.0)  # an ellipsoid is exact
        >>> round(area_length_volume(ball), 1), round(4 / 3 * math.pi * 30**3 / 1000, 1)
        (113.1, 113.1)
    """
    second = view if other is None else other
    if math.isnan(view.length + second.length):
        return math.nan
    return 8 * view.area * second.area / (3 * math.pi * min(view.length, second.length)) / MM3_PER_ML


def stroke_volume(diastolic: float, systolic: float) -> float:
    """Return the volume that a beat moves, ml.

    Example:
        >>> stroke_volume(120.0, 50.0)
        70.0
    """
    return diastolic - systolic


def ejection_fraction(diastolic: float, systolic: float) -> float:
    """Return the share of the end-diastolic volume that is ejected, %; NaN if the ventricle did not contract.

    Args:
        diastolic: volume at end-diastole.
        systolic: volume at end-systole, in the same unit.

    Example:
        >>> ejection_fraction(120.0, 54.0)
        55.0
        >>> ejection_fraction(50.0, 60.0)
        nan
    """
    return 100 * (diastolic - systolic) / diastolic if diastolic > 0 and systolic <= diastolic else math.nan


def fractional_area_change(diastolic: Chamber, systolic: Chamber) -> float:
    """Return what the area loses from end-diastole to end-systole, %; needs no spacing to be right."""
    return ejection_fraction(diastolic.area, systolic.area)


def notebook_volumes(
    diastolic: tuple[Chamber, Chamber | None], systolic: tuple[Chamber, Chamber | None]
) -> tuple[float, float]:
    """Return end-diastolic and end-systolic volume in the convention of the CAMUS notebook.

    The notebook of the NIfTI release takes the longest axis of both views *and both instants* for both volumes, which
    makes the end-systolic volume larger, and the ejection fraction up to ten points lower, than the recommendation. The
    2019 release (`LVef`) follows the recommendation: `discs_volume` at each instant.

    Args:
        diastolic: four-chamber and (or None) two-chamber view at end-diastole.
        systolic: at end-systole.
    """
    lengths = [view.length for view in (*diastolic, *systolic) if view is not None]
    longest = math.nan if any(map(math.isnan, lengths)) else max(lengths)
    return discs_volume(*diastolic, length=longest), discs_volume(*systolic, length=longest)


def myocardial_mass(cavity: Chamber, epicardium: Chamber) -> float:
    """Return 1.05 (V_epicardium - V_cavity), g, from one apical view at end-diastole. For research only.

    The recommended formulas need a short-axis view. Myocardium drawn with its bright borders, as in CAMUS, makes the
    mass too large.

    Args:
        cavity: of the left ventricle.
        epicardium: of cavity and myocardium together, measured along the same axis.
    """
    return DENSITY * (discs_volume(epicardium) - discs_volume(cavity))


def body_surface_area(height: float, weight: float, formula: str = "mosteller") -> float:
    """Return the body surface area, m².

    Args:
        height: cm.
        weight: kg.
        formula: "mosteller" or "dubois".

    Raises:
        ValueError: for an unknown formula, or a height or weight that no person has.

    Example:
        >>> round(body_surface_area(180, 80), 2), round(body_surface_area(180, 80, "dubois"), 2)
        (2.0, 2.0)
    """
    if not (30 <= height <= 260 and 0.3 <= weight <= 500):
        raise ValueError(f"height {height} cm and weight {weight} kg; must be 30 to 260 cm and 0.3 to 500 kg.")
    if formula == "mosteller":
        return math.sqrt(height * weight / 3600)
    if formula == "dubois":
        return float(0.007184 * weight**0.425 * height**0.725)
    raise ValueError(f"formula is {formula!r}, must be 'mosteller' or 'dubois'.")
