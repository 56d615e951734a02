"""Handlers that learn from pixels without annotation."""

from .mean_teacher import MeanTeacher, ema_decay
from .ramp import ramp

__all__ = ["MeanTeacher", "ema_decay", "ramp"]
