"""Log a result without epochs as one finished MLflow run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .mlflow_run import connect, create_run, log_parameters, log_to_run

__all__ = ["log_finished_run"]

ARTIFACTS = ("*.json", "*.yaml", "*.csv", "*.png")  # glob patterns within the folder


def log_finished_run(
    folder: str | Path,
    uri: str,
    experiment: str,
    name: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> str:
    """Log a result as one finished run.

    Args:
        folder: of the result; receives the run's id, as the folder of a training does. Its `ARTIFACTS` are logged.
        uri: tracking URI.
        experiment: name of the experiment, created if missing.
        name: of the run; only the id must be unique.
        parameters: everything that defines this result; nested values are logged as JSON.
        metrics: NaN is left out.

    Returns:
        The id of the run.
    """
    folder = Path(folder)
    files = sorted({path for pattern in ARTIFACTS for path in folder.glob(pattern)})
    client = connect(uri)
    run_id = create_run(client, uri, experiment, name, folder)
    try:
        log_parameters(client, uri, run_id, parameters, folder)
        log_to_run(folder, metrics, files)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    return run_id
