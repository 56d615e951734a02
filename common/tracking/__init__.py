"""Record trainings in MLflow, draw pictures and write reports."""

from .client import connect, experiment_id, is_off, tracking_uri
from .evaluation import Evaluation, logged_run
from .evaluation_report import EvaluationReport, dice_table
from .finished_run import log_finished_run, log_to_run, tag_run
from .mlflow_run import MLflowRun
from .pictures import Examples, Pictures, draw_curves, draw_examples, draw_overlay

__all__ = [
    "Evaluation",
    "EvaluationReport",
    "Examples",
    "MLflowRun",
    "Pictures",
    "connect",
    "dice_table",
    "draw_curves",
    "draw_examples",
    "draw_overlay",
    "experiment_id",
    "is_off",
    "log_finished_run",
    "log_to_run",
    "logged_run",
    "tag_run",
    "tracking_uri",
]
