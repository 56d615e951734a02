"""Measurements of the heart: what echocardiography bundles add to evaluation and measurement."""

from .ejection_fraction_error import EjectionFractionError
from .heart import Heart

__all__ = ["EjectionFractionError", "Heart"]
