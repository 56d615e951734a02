"""Metrics for partially labelled images."""

from .calibration_error import CalibrationError
from .dice import DatasetDice, annotated_dice, summarise
from .false_positives import false_positives
from .image_scores import ImageScores
from .jaccard import jaccard
from .surface_distances import SurfaceDistances

__all__ = [
    "CalibrationError",
    "DatasetDice",
    "ImageScores",
    "SurfaceDistances",
    "annotated_dice",
    "false_positives",
    "jaccard",
    "summarise",
]
