"""Handlers that learn from pixels without annotation."""

from .co_training import CoTraining
from .mean_teacher import MeanTeacher, ema_decay, handler_of
from .ramp import gaussian_ramp, ramp

__all__ = ["CoTraining", "MeanTeacher", "ema_decay", "gaussian_ramp", "handler_of", "ramp"]
