"""MLflow runs, pictures and reports."""

from common.tracking.evaluation_report import EvaluationReport, dice_table
from common.tracking.mlflow_run import MLflowRun, log_to_run, tracking_uri
from common.tracking.pictures import Examples, Pictures, draw_curves, draw_examples, known_classes

__all__ = [
    "EvaluationReport",
    "Examples",
    "MLflowRun",
    "Pictures",
    "dice_table",
    "draw_curves",
    "draw_examples",
    "known_classes",
    "log_to_run",
    "tracking_uri",
]
