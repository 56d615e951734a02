"""Measurements of the heart: what echocardiography bundles add to inference."""

from .ejection_fraction_error import EjectionFractionError
from .results import Results

__all__ = ["EjectionFractionError", "Results"]
