"""Compute volumes (ml) of a chamber from one or two apical views, and what follows from them.

References:
    R. M. Lang et al., J Am Soc Echocardiogr 28:1-39, 2015.
    N. B. Schiller et al., J Am Soc Echocardiogr 2:358-367, 1989 (discs).
    R. D. Mosteller, N Engl J Med 317:1098, 1987 (body surface area).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .chamber import DISCS, Chamber

__all__ = [
    "area_length_volume",
    "body_surface_area",
    "discs_volume",
    "ejection_fraction",
    "myocardial_mass",
    "notebook_volumes",
]

MM3_PER_ML = 1000.0
DENSITY = 1.05  # g/ml, of myocardium


def discs_volume(*views: Chamber, length: float | None = None) -> float:
    """Return the volume by the method of discs (modified Simpson), ml; NaN if a view has a reason.

    Args:
        *views: one apical view, for monoplane with circular discs, or two.
        length: long axis, mm; None takes the longer view, as recommended.

    Example:
        >>> import numpy as np
        >>> cylinder = Chamber(length=90.0, diameters=np.full(20, 40.0))
        >>> round(discs_volume(cylinder), 1)  # pi / 4 * 40² * 90 mm³
        113.1
    """
    longest = max(view.length for view in views) if length is None else length
    return float(math.pi / 4 * (views[0].diameters * views[-1].diameters).sum() * longest / DISCS) / MM3_PER_ML


def area_length_volume(*views: Chamber) -> float:
    """Return 8 A1 A2 / (3 pi L), ml, with the shorter long axis; NaN if a view has a reason.

    Args:
        *views: one apical view, for monoplane with A2 = A1, or two.

    Example:
        >>> ball = Chamber(area=math.pi * 30**2, length=60.0)  # an ellipsoid is exact
        >>> round(area_length_volume(ball), 1), round(4 / 3 * math.pi * 30**3 / 1000, 1)
        (113.1, 113.1)
    """
    shorter = min(view.length for view in views)
    return 8 * views[0].area * views[-1].area / (3 * math.pi * shorter) / MM3_PER_ML


def ejection_fraction(diastolic: float, systolic: float) -> float:
    """Return the fraction of the end-diastolic volume that is ejected, %; NaN if the ventricle did not contract.

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


def notebook_volumes(diastolic: Sequence[Chamber], systolic: Sequence[Chamber]) -> tuple[float, float]:
    """Return end-diastolic and end-systolic volume in the convention of the CAMUS notebook.

    The notebook of the NIfTI release uses the longest axis of both views *and both instants* for both volumes, which
    makes the end-systolic volume larger, and the ejection fraction up to ten points lower, than recommended. The 2019
    release (`LVef`) follows the recommendation: `discs_volume` at each instant.

    Args:
        diastolic: one apical view or two, at end-diastole.
        systolic: the same at end-systole.
    """
    longest = float(np.max([view.length for view in (*diastolic, *systolic)]))  # NaN if one is
    return discs_volume(*diastolic, length=longest), discs_volume(*systolic, length=longest)


def myocardial_mass(cavity: Chamber, epicardium: Chamber) -> float:
    """Return 1.05 (V_epicardium - V_cavity), g, from one apical view at end-diastole. For research only.

    The recommended formulas need a short-axis view. Myocardium drawn with its bright borders, as in CAMUS, makes the
    mass too large.

    Args:
        cavity: of the left ventricle.
        epicardium: cavity and myocardium together, measured along the same axis.
    """
    return DENSITY * (discs_volume(epicardium) - discs_volume(cavity))


def body_surface_area(height: float, weight: float) -> float:
    """Return the body surface area by Mosteller's formula, m².

    Args:
        height: cm.
        weight: kg.

    Raises:
        ValueError: for an impossible height or weight.

    Example:
        >>> body_surface_area(180, 80)
        2.0
    """
    if not (30 <= height <= 260 and 0.3 <= weight <= 500):
        raise ValueError(f"expected height 30 to 260 cm and weight 0.3 to 500 kg, got {height} cm and {weight} kg.")
    return math.sqrt(height * weight / 3600)
