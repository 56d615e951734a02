"""Measure the heart in label maps, in mm and ml; what cannot be measured is NaN with a reason."""

from .chamber import Chamber, atrium, ventricle
from .volumes import discs_volume, ejection_fraction

__all__ = ["Chamber", "atrium", "discs_volume", "ejection_fraction", "ventricle"]
