"""An MLflow run of something that is already done and had no epochs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Param

from .mlflow_run import RUN_FILE, _commit, connect, experiment_id, log_to_run

__all__ = ["log_finished_run"]


def log_finished_run(
    folder: str | Path,
    uri: str,
    experiment: str,
    name: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    artifacts: Sequence[str] = ("*.json", "*.yaml", "*.csv", "*.png"),
) -> str:
    """Log a result as one finished run.

    Args:
        folder: of the result; receives the run's id, as the folder of a training does.
        uri: tracking URI.
        experiment: name of the experiment, created if need be.
        name: name of the run; need not be unique, the id is.
        parameters: everything that makes this result what it is; nested values are logged as JSON.
        metrics: those that are NaN are left out.
        artifacts: files (glob patterns within `folder`) to log.

    Returns:
        The id of the run.
    """
    folder = Path(folder)
    files = sorted({path for pattern in artifacts for path in folder.glob(pattern)})
    client = connect(uri)
    tags = {"git_commit": _commit(), "folder": str(folder)}
    run_id = str(client.create_run(experiment_id(client, uri, experiment), run_name=name, tags=tags).info.run_id)
    try:
        text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in parameters.items()}
        client.log_batch(run_id, params=[Param(key, value) for key, value in text.items()])
        (folder / RUN_FILE).write_text(json.dumps({"run_id": run_id, "tracking_uri": uri}) + "\n")
        log_to_run(folder, metrics, files)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    return run_id
