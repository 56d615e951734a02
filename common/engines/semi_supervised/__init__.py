"""Handlers that learn from pixels without annotation."""

from .mean_teacher import MeanTeacher, ema_decay, handler_of
from .ramp import ramp

__all__ = ["MeanTeacher", "ema_decay", "handler_of", "ramp"]
