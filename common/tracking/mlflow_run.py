"""One MLflow run a training: never merged with another, marked failed when it fails, continued when resumed.

MONAI's own handler joins any unfinished run of the same experiment and logs two parameters; here the run is addressed
by its id alone, which is kept beside the checkpoints.
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
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

__all__ = ["MLflowRun", "connect", "experiment_id", "log_to_run", "tracking_uri"]

LOGGER = logging.getLogger(__name__)
RUN_FILE = "mlflow_run.json"


def tracking_uri(default: str) -> str:
    """Return MLFLOW_TRACKING_URI if it is set, else `default` (the bundle's SQLite file).

    Example:
        >>> tracking_uri("sqlite:///runs/mlflow.db").startswith(("sqlite", "http"))
        True
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or default


def connect(uri: str) -> MlflowClient:
    """Return a client; the folder of a SQLite file is made."""
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).resolve().parent.mkdir(parents=True, exist_ok=True)
    for name in ("alembic", "mlflow.store.db.utils"):  # the first use of a database prints its migrations
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(uri)


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """Return the id of an experiment, which is created if need be; artifacts of a SQLite file lie beside it."""
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


class MLflowRun:
    """Ignite handler that records one training in MLflow.

    Register it after `History`, whose rows (`engine.state.history`) it logs.

    Args:
        folder: the training's folder; holds the run's id, and what `artifacts` names.
        uri: tracking URI.
        experiment: name of the experiment, created if need be.
        name: name of the run; need not be unique, the id is.
        parameters: everything that makes this training what it is; nested values are logged as JSON.
        tags: of the run, beside `git_commit` and `folder`.
        artifacts: files (glob patterns within `folder`) to log at the end, or when the training fails.
    """

    def __init__(
        self,
        folder: str | Path,
        uri: str,
        experiment: str,
        name: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str] | None = None,
        artifacts: Sequence[str] = ("*.json", "*.yaml", "*.png", "model.pt"),
    ) -> None:
        self.folder = Path(folder)
        self.uri = uri
        self.experiment = experiment
        self.name = name
        self.parameters = parameters
        self.tags = tags
        self.artifacts = artifacts

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._log_epoch)
        engine.add_event_handler(Events.COMPLETED, self._complete)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self, engine: Engine) -> None:
        self._client = connect(self.uri)
        run_file = self.folder / RUN_FILE
        if engine.state.epoch and run_file.is_file() and self._continue(json.loads(run_file.read_text())["run_id"]):
            LOGGER.info("continuing MLflow run %s", self.run_id)
        else:
            self._create()
            run_file.write_text(json.dumps({"run_id": self.run_id, "tracking_uri": self.uri}) + "\n")

    def _opened(self, run_id: str) -> None:
        self.run_id = run_id
        self._open = True
        atexit.register(self._end, "KILLED")  # an end that reaches no ignite event

    def _continue(self, run_id: str) -> bool:
        try:
            self._client.update_run(run_id, status="RUNNING")
        except MlflowException as error:
            LOGGER.warning("MLflow run %s is not at %s (%s); a new run is started.", run_id, self.uri, error)
            return False
        self._opened(run_id)
        return True

    def _create(self) -> None:
        experiment = experiment_id(self._client, self.uri, self.experiment)
        tags = {**(self.tags or {}), "git_commit": _commit(), "folder": str(self.folder)}
        self._opened(self._client.create_run(experiment, run_name=self.name, tags=tags).info.run_id)
        facts = {f"version.{name}": version(name) for name in ("torch", "monai", "pytorch-ignite")}
        facts |= {"version.python": platform.python_version(), "git_commit": tags["git_commit"]}
        values = {**self.parameters, **facts}
        text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
        self._client.log_batch(self.run_id, params=[Param(name, value) for name, value in text.items()])

    def _log_epoch(self, engine: Engine) -> None:
        row = {name: value for name, value in engine.state.history[-1].items() if name != "epoch"}
        self._client.log_batch(self.run_id, metrics=_metrics(row, engine.state.epoch))

    def _complete(self, _: Engine) -> None:
        self._end("FINISHED")

    def _fail(self, _: Engine, error: BaseException) -> None:
        try:
            if getattr(self, "_open", False):
                self._client.set_tag(self.run_id, "error", f"{type(error).__name__}: {error}"[:5000])
            self._end("FAILED" if isinstance(error, Exception) else "KILLED")  # Ctrl-C and sys.exit are no Exception
        finally:
            raise error  # what stopped the training, even if MLflow fails too

    def _end(self, status: str) -> None:
        if getattr(self, "_open", False):
            self._open = False
            for path in sorted({path for pattern in self.artifacts for path in self.folder.glob(pattern)}):
                self._client.log_artifact(self.run_id, str(path))
            self._client.set_terminated(self.run_id, status)
            atexit.unregister(self._end)


def log_to_run(folder: str | Path, metrics: Mapping[str, float], artifacts: Sequence[str | Path] = ()) -> bool:
    """Add metrics and files to the run of the training in `folder`.

    Returns:
        False if the folder belongs to no run (weights from elsewhere, or a database that is gone): then nothing is
        logged.
    """
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
