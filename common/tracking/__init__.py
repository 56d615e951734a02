"""Record trainings in MLflow, draw pictures and write reports."""

from .evaluation import Evaluation, logged_run
from .evaluation_report import EvaluationReport, dice_table
from .mlflow_run import MLflowRun, connect, experiment_id, log_finished_run, log_to_run, tracking_uri
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
    "log_finished_run",
    "log_to_run",
    "logged_run",
    "tracking_uri",
]
