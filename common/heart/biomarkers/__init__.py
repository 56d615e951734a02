"""Measurements of the heart from label maps, in mm and ml; what cannot be measured is NaN with a reason."""

from .chamber import Chamber, atrium, ventricle
from .cycle import Beat, find_beats
from .volumes import (
    area_length_volume,
    body_surface_area,
    discs_volume,
    ejection_fraction,
    fractional_area_change,
    myocardial_mass,
    notebook_volumes,
    stroke_volume,
)

__all__ = [
    "Beat",
    "Chamber",
    "area_length_volume",
    "atrium",
    "body_surface_area",
    "discs_volume",
    "ejection_fraction",
    "find_beats",
    "fractional_area_change",
    "myocardial_mass",
    "notebook_volumes",
    "stroke_volume",
    "ventricle",
]
