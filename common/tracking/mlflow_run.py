"""Record trainings and other results as MLflow runs: one run each, failed when it fails, resumed with the training.

MONAI's own handler joins any unfinished run of the same experiment and logs two parameters; here only the id, which is
kept in the training's folder, identifies the run.
"""

from __future__ import annotations

import atexit
import json
import logging
import math
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from ..atomic import write_text

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

__all__ = ["MLflowRun", "connect", "experiment_id", "log_finished_run", "log_to_run", "tracking_uri"]

LOGGER = logging.getLogger(__name__)
RUN_FILE = "mlflow_run.json"
ARTIFACTS = ("*.json", "*.yaml", "*.png", "*.csv", "*.npz", "model.pt")  # glob patterns within the folder of a run


def tracking_uri(default: str) -> str:
    """Return MLFLOW_TRACKING_URI if it is set, otherwise `default` (the bundle's SQLite file).

    Example:
        >>> tracking_uri("sqlite:///runs/mlflow.db").startswith(("sqlite", "http"))
        True
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or default


def connect(uri: str) -> MlflowClient:
    """Return a client; create the folder of a SQLite file."""
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).resolve().parent.mkdir(parents=True, exist_ok=True)
    for name in ("alembic", "mlflow.store.db.utils"):  # the first use of a database prints its migrations
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(uri)


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """Return the id of an experiment, created if missing; artifacts of a SQLite file are beside it."""
    found = client.get_experiment_by_name(name)
    if found is None:
        local = uri.startswith("sqlite:///")
        store = Path(uri.removeprefix("sqlite:///")).resolve().parent / "artifacts"
        try:
            return str(client.create_experiment(name, artifact_location=(store / name).as_uri() if local else None))
        except MlflowException:  # a parallel run was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


@cache
def _commit() -> str:
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("-modified" if changed.stdout.strip() else "")


def _metrics(row: Mapping[str, float], step: int) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(name, value, now, step) for name, value in row.items() if not math.isnan(value)]


def _create(client: MlflowClient, uri: str, experiment: str, name: str, folder: Path, tags: Mapping[str, str]) -> str:
    tags = {**tags, "git_commit": _commit(), "folder": str(folder)}
    return str(client.create_run(experiment_id(client, uri, experiment), run_name=name, tags=tags).info.run_id)


def _describe(client: MlflowClient, uri: str, run_id: str, parameters: Mapping[str, Any], folder: Path) -> None:
    """Log parameters, nested values as JSON, and write the file that links the folder to its run."""
    text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    client.log_batch(run_id, params=[Param(name, value) for name, value in text.items()])
    write_text(folder / RUN_FILE, json.dumps({"run_id": run_id, "tracking_uri": uri}) + "\n")


def _artifacts(folder: Path) -> list[Path]:
    return sorted({path for pattern in ARTIFACTS for path in folder.glob(pattern)})


class MLflowRun:
    """Ignite handler that records one training in MLflow.

    Register it after `History`, whose rows (`engine.state.history`) it logs.

    Args:
        folder: of the training; receives the run's id. Its `ARTIFACTS` are logged when the training ends or fails.
        uri: tracking URI.
        experiment: name of the experiment, created if missing.
        name: of the run; only the id must be unique.
        parameters: everything that defines this training; nested values are logged as JSON.
        tags: of the run, in addition to `git_commit` and `folder`.
    """

    def __init__(
        self,
        folder: str | Path,
        uri: str,
        experiment: str,
        name: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.uri = uri
        self.experiment = experiment
        self.name = name
        self.parameters = parameters
        self.tags = tags
        self._open = False

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._log_epoch)
        engine.add_event_handler(Events.COMPLETED, self._end, "FINISHED")
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self, engine: Engine) -> None:
        self._client = connect(self.uri)
        resumed = self._reopened() if engine.state.epoch else None
        self.run_id = resumed or _create(
            self._client, self.uri, self.experiment, self.name, self.folder, self.tags or {}
        )
        self._open = True
        atexit.register(self._end, "KILLED")  # an end without an ignite event
        if resumed:
            LOGGER.info("continuing MLflow run %s", resumed)
            return
        facts = {f"version.{name}": version(name) for name in ("torch", "monai", "pytorch-ignite")}
        facts |= {"version.python": platform.python_version(), "git_commit": _commit()}
        _describe(self._client, self.uri, self.run_id, {**self.parameters, **facts}, self.folder)

    def _reopened(self) -> str | None:
        """Reopen the run of the training that is resumed; return its id, None if it is gone."""
        run_file = self.folder / RUN_FILE
        if not run_file.is_file():
            return None
        run_id = str(json.loads(run_file.read_text())["run_id"])
        try:
            self._client.update_run(run_id, status="RUNNING")
        except MlflowException as error:
            LOGGER.warning("MLflow run %s is not at %s (%s); starting a new run.", run_id, self.uri, error)
            return None
        return run_id

    def _log_epoch(self, engine: Engine) -> None:
        row = {name: value for name, value in engine.state.history[-1].items() if name != "epoch"}
        self._client.log_batch(self.run_id, metrics=_metrics(row, engine.state.epoch))

    def _fail(self, _: Engine, error: BaseException) -> None:
        try:
            if self._open:
                self._client.set_tag(self.run_id, "error", f"{type(error).__name__}: {error}"[:5000])
            self._end("FAILED" if isinstance(error, Exception) else "KILLED")  # Ctrl-C or sys.exit
        finally:
            raise error  # what stopped the training, even if MLflow fails too

    def _end(self, status: str) -> None:
        if self._open:
            self._open = False
            for path in _artifacts(self.folder):
                self._client.log_artifact(self.run_id, str(path))
            self._client.set_terminated(self.run_id, status)
            atexit.unregister(self._end)


def log_to_run(folder: str | Path, metrics: Mapping[str, float], artifacts: Sequence[str | Path] = ()) -> bool:
    """Add metrics and files to the run of the training in `folder`; return False if the folder or database has none."""
    run_file = Path(folder) / RUN_FILE
    if not run_file.is_file():
        return False
    run = json.loads(run_file.read_text())
    client = connect(run["tracking_uri"])
    try:
        client.get_run(run["run_id"])
    except MlflowException as error:
        LOGGER.warning("MLflow run %s is not at %s (%s).", run["run_id"], run["tracking_uri"], error)
        return False
    client.log_batch(run["run_id"], metrics=_metrics(metrics, step=0))
    for path in artifacts:
        client.log_artifact(run["run_id"], str(path))
    return True


def log_finished_run(
    folder: str | Path,
    uri: str,
    experiment: str,
    name: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str] | None = None,
    parent: str | None = None,
) -> str | None:
    """Log a result without epochs as one finished run, and return its id; NaN metrics are left out.

    The other arguments are those of `MLflowRun`; `folder` is that of the result, `parent` the id of the run that it
    belongs to.
    """
    folder = Path(folder)
    files = _artifacts(folder)
    client = connect(uri)
    linked = {"mlflow.parentRunId": parent} if parent else {}
    run_id = _create(client, uri, experiment, name, folder, {**(tags or {}), **linked})
    try:
        _describe(client, uri, run_id, parameters, folder)
        log_to_run(folder, metrics, files)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    return run_id
