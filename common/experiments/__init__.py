"""Experiments: a bundle's grid of trainings on Ray, tracked in MLflow, and the report of their results."""

import os

__all__: list[str] = []

# read when the libraries are imported: nobody is told what runs here
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
