"""Record trainings in MLflow, draw pictures and write reports."""

from .client import address, connect, experiment_id, is_off, tracking_uri
from .delivery import cause, handed_in
from .evaluation import Evaluation, logged_run
from .evaluation_report import EvaluationReport, dice_table
from .finished_run import log_finished_run
from .mlflow_run import MLflowRun
from .outbox import read_outbox
from .pictures import Examples, Pictures, draw_curves, draw_examples, draw_overlay

__all__ = [
    "Evaluation",
    "EvaluationReport",
    "Examples",
    "MLflowRun",
    "Pictures",
    "address",
    "cause",
    "connect",
    "dice_table",
    "draw_curves",
    "draw_examples",
    "draw_overlay",
    "experiment_id",
    "handed_in",
    "is_off",
    "log_finished_run",
    "logged_run",
    "read_outbox",
    "tracking_uri",
]
