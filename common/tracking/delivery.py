"""Bring MLflow up to date with the folder of a run: any number of times, from any state, step by step."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from ..configuration import without_password
from .client import SQLITE, connect, experiment_id, let_go
from .names import mlflow_name
from .note import note
from .outbox import OUTBOX, RUN_FILE, Outbox, original_of, read_outbox, read_rows, read_run, write_outbox, write_run

__all__ = ["artifacts", "backlog", "cause", "deliver", "described", "folder_lock", "handed_in", "pending"]

LOGGER = logging.getLogger(__name__)
ARTIFACTS = ("*.json", "*.yaml", "*.png", "*.csv", "*.npz", "model.pt")  # glob patterns within the folder of a run
TOKEN = "outbox"  # the tag that holds `Outbox.token`
PARENT = "mlflow.parentRunId"
MOST_PARAMETERS, MOST_METRICS, LONGEST_TAG = 100, 1000, 5000  # of one request; characters
LONGEST_REASON = 300  # characters of a message
T = TypeVar("T")


def folder_lock(folder: Path) -> FileLock:
    """Return the lock of a run's deliveries, which a training holds while it lives."""
    return FileLock(folder / ".mlflow.lock", thread_local=False)


def artifacts(folder: Path) -> list[Path]:
    """Return the files of a run that MLflow stores."""
    found = {path for pattern in ARTIFACTS for path in folder.glob(pattern)}
    return sorted(path for path in found if path.name not in (OUTBOX, RUN_FILE) and not path.name.startswith("."))


def pending(folder: Path, outbox: Outbox) -> bool:
    """Return whether MLflow lacks something of a run that has ended."""
    run = read_run(folder) or {}
    ended = run.get("status") == outbox.status != "RUNNING" and run.get("files")
    return not (ended and described(folder, outbox, run))


def handed_in(folder: Path) -> str | None:
    """Return the id of a folder's run if MLflow lacks nothing of it."""
    outbox, run = read_outbox(folder), read_run(folder)
    return str(run["run_id"]) if outbox is not None and run is not None and not pending(folder, outbox) else None


def described(folder: Path, outbox: Outbox, run: Mapping[str, Any]) -> bool:
    """Return whether MLflow has everything about a run but its epochs, its end and its files."""
    return _is_of(run, outbox) and run.get("described") == _described(folder, outbox).description()


def deliver(folder: Path, uri: str, until: float = math.inf, alive: bool = False) -> Iterator[None]:
    """Hand in what MLflow lacks, and yield after each of its answers.

    Args:
        folder: of the run; its `folder_lock` is held.
        uri: tracking URI of this process, used where it differs from the outbox's by the password alone.
        until: last epoch to hand in.
        alive: whether the process of the run lives; otherwise a run that is still open was killed.
    """
    outbox = read_outbox(folder)
    if outbox is None:
        return
    if outbox.status == "RUNNING" and not alive:
        last = max(path.stat().st_mtime for path in folder.glob("*.json"))
        outbox = replace(outbox, status="KILLED", ended=int(1000 * last))
        write_outbox(folder, outbox)
    client = connect(_address(uri, outbox.tracking_uri))
    yield
    run = read_run(folder)
    known = run is not None and _is_of(run, outbox)
    if run is None or not known:
        if run is not None:
            _close(run, uri, outbox)
        run_id = _find_or_create(client, _address(uri, outbox.tracking_uri), outbox)
        run = {"run_id": run_id, "tracking_uri": outbox.tracking_uri, "token": outbox.token}
        write_run(folder, run)
        yield
    try:
        if known:
            _check_not_deleted(client, folder, run)
            yield
        yield from _update(client, folder, _described(folder, outbox), run, until)
    except MlflowException as error:
        if known and error.error_code == "RESOURCE_DOES_NOT_EXIST":
            LOGGER.warning("MLflow run %s is not at %s; starting a new run.", run["run_id"], outbox.tracking_uri)
            (folder / RUN_FILE).unlink()
            yield from deliver(folder, uri, until, alive)
            return
        if error.error_code in ("INVALID_PARAMETER_VALUE", "INVALID_STATE"):
            _check_not_deleted(client, folder, run)
        raise


def backlog(root: Path, uri: str, own: Path | None = None) -> Iterator[tuple[Path, Exception | None]]:
    """Hand in what the runs below a folder could not: trainings first, then what belongs to them.

    Args:
        root: folder of runs.
        uri: as for `deliver`.
        own: a run to leave out; then only runs beside it (and their evaluations) that belong to its database or server
            are handed in: the folder may hold those of other projects.

    Yields:
        The run, after each answer of MLflow and with the error that ended a delivery.
    """
    away: dict[str, Exception] = {}
    nearby = [*root.glob(f"*/{OUTBOX}"), *root.glob(f"*/evaluations/*/{OUTBOX}")]
    paths = root.rglob(OUTBOX) if own is None else nearby
    for folder in sorted((path.parent for path in paths), key=lambda path: (len(path.parts), path)):
        outbox = None if folder == own else read_outbox(folder)
        if outbox is None or not pending(folder, outbox) or original_of(folder, outbox) is not None:
            continue
        if own is not None and _place(outbox.tracking_uri) != _place(without_password(uri)):
            continue
        try:
            if outbox.tracking_uri in away:
                raise away[outbox.tracking_uri]
            (lock := folder_lock(folder)).acquire(timeout=0)
            try:
                for _ in deliver(folder, uri):
                    yield folder, None
            finally:
                let_go(lock)
        except Timeout:  # its process lives
            continue
        except Exception as error:  # MLflow raises any type
            if not isinstance(error, ValueError):  # of this run alone
                away[outbox.tracking_uri] = error
            yield folder, error


def _place(uri: str) -> str:
    path = uri.removeprefix(SQLITE)
    return uri if path == uri else str(Path(path).resolve())


def cause(error: BaseException) -> str:
    """Return the reason of a fault of MLflow in one line, without passwords.

    Example:
        >>> cause(ValueError("the server is " + "very " * 99 + "slow"))[-12:]
        ' very ver...'
    """
    libraries = ("mlflow", "requests", "urllib3", "sqlalchemy")
    while type(error).__module__.startswith(libraries) and (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    lines = without_password(str(error)).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    return reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 3]}..."


def _is_of(run: Mapping[str, Any], outbox: Outbox) -> bool:
    return bool(run.get("tracking_uri") == outbox.tracking_uri and run.get("token", outbox.token) == outbox.token)


def _address(uri: str, stated: str) -> str:
    return uri if without_password(uri) == stated else stated


def _close(run: Mapping[str, Any], uri: str, outbox: Outbox) -> None:
    """End the run of a training that went on at another server, or was replaced by one with other settings."""
    if run.get("status", "RUNNING") != "RUNNING":
        return
    try:
        connect(_address(uri, run["tracking_uri"])).set_terminated(run["run_id"], "KILLED")
    except Exception as error:  # MLflow raises any type
        if run["tracking_uri"] == outbox.tracking_uri:
            raise
        LOGGER.warning("MLflow run %s at %s stays open (%s).", run["run_id"], run["tracking_uri"], cause(error))


def _find_or_create(client: MlflowClient, uri: str, outbox: Outbox) -> str:
    experiment = experiment_id(client, uri, outbox.experiment)
    found = client.search_runs([experiment], f"tags.{TOKEN} = '{outbox.token}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    tags = {**_tags(outbox), TOKEN: outbox.token}
    return str(client.create_run(experiment, outbox.started, tags, outbox.name).info.run_id)


def _described(folder: Path, outbox: Outbox) -> Outbox:
    """Add the sentence for readers and, for an evaluation in the folder of a training, its parent."""
    tags = dict(outbox.tags)
    tags.setdefault("mlflow.note.content", note(outbox, read_rows(folder)))
    if folder.parent.name == "evaluations" and PARENT not in tags:
        training = read_run(folder.parents[1]) or {}
        if training and _place(training["tracking_uri"]) == _place(outbox.tracking_uri):
            tags[PARENT] = training["run_id"]
    return replace(outbox, tags=tags)


def _tags(outbox: Outbox) -> dict[str, str]:
    return {mlflow_name(name): without_password(str(value))[:LONGEST_TAG] for name, value in outbox.tags.items()}


def _update(client: MlflowClient, folder: Path, outbox: Outbox, run: dict[str, Any], until: float) -> Iterator[None]:
    run_id, running = run["run_id"], outbox.status == "RUNNING"
    if running and run.get("status") != "RUNNING":
        client.update_run(run_id, status="RUNNING")
        run |= {"status": "RUNNING", "files": False}
        write_run(folder, run)
        yield
    if run.get("described") != (description := outbox.description()):
        yield from _describe(client, run_id, outbox)
        run |= {"described": description, "files": False}
        write_run(folder, run)
    if "epochs" not in run:  # the server knows which epochs it has
        run["epochs"] = max((item.step for item in client.get_metric_history(run_id, "train_loss")), default=0)
        yield
    rows = [row for row in read_rows(folder) if row["epoch"] <= until]
    entries = [entry for row in _stamped(rows, outbox.started) if row[1] > run["epochs"] for entry in _metrics(*row)]
    for chunk in _chunks(entries, MOST_METRICS):
        client.log_batch(run_id, metrics=chunk)
        yield
    if entries:
        run["epochs"] = rows[-1]["epoch"]
        write_run(folder, run)
    if not running and run.get("status") != outbox.status:
        client.set_terminated(run_id, outbox.status, outbox.ended)
        run |= {"status": outbox.status, "files": False}
        write_run(folder, run)
        yield
    if not running and not run.get("files"):
        yield from _upload(client, run_id, artifacts(folder))
        run["files"] = True
        write_run(folder, run)


def _describe(client: MlflowClient, run_id: str, outbox: Outbox) -> Iterator[None]:
    parameters = [Param(mlflow_name(name), value) for name, value in outbox.parameters.items()]
    for chunk in _chunks(parameters, MOST_PARAMETERS):
        client.log_batch(run_id, params=chunk)
        yield
    if "error" not in outbox.tags and "error" in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, "error")  # of a start that failed
        yield
    for tags in _chunks([RunTag(*item) for item in _tags(outbox).items()], MOST_PARAMETERS):
        client.log_batch(run_id, tags=tags)
        yield
    if outbox.inputs:
        inputs = [_dataset_input(**one) for one in outbox.inputs]
        try:
            client.log_inputs(run_id, datasets=inputs)
        except MlflowException as error:
            if "unique" not in str(error).lower():
                raise
            client.log_inputs(run_id, datasets=inputs)  # a parallel run was the first to name one of the datasets
        yield
    for metrics in _chunks(_metrics(outbox.metrics, 0, outbox.ended or outbox.started), MOST_METRICS):
        client.log_batch(run_id, metrics=metrics)
        yield


def _upload(client: MlflowClient, run_id: str, paths: Sequence[Path]) -> Iterator[None]:
    try:
        for path in paths:
            client.log_artifact(run_id, str(path))
            yield
    except Exception as error:  # a store raises any type
        store = ""
        with suppress(Exception):
            store = f" at {without_password(str(client.get_run(run_id).info.artifact_uri))}"
        raise OSError(f"the artifact store{store} does not accept files: {cause(error)}") from error


def _stamped(rows: Sequence[Mapping[str, Any]], started: int) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Yield rows with epoch and time; the same rows have the same times, so MLflow drops what it knows already."""
    time = float(started)
    for row in rows:
        time += 1000 * row.get("seconds", 0.0)
        yield {name: value for name, value in row.items() if name != "epoch"}, row["epoch"], int(time)


def _metrics(values: Mapping[str, float], step: int, time: int) -> list[Metric]:
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    return [Metric(mlflow_name(name), value, time, step) for name, value in finite.items()]


def _dataset_input(name: str, digest: str, source: str, context: str, profile: str) -> DatasetInput:
    return DatasetInput(
        Dataset(name, digest, "local", source, None, profile), [InputTag("mlflow.data.context", context)]
    )


def _check_not_deleted(client: MlflowClient, folder: Path, run: Mapping[str, Any]) -> None:
    """Refuse a run that was deleted at the server; it counts as not handed in."""
    run_id = run["run_id"]
    info = client.get_run(run_id).info
    if info.lifecycle_stage == "deleted":
        write_run(folder, {name: value for name, value in run.items() if name != "described"})
        experiment = client.get_experiment(info.experiment_id)
        if experiment.lifecycle_stage == "deleted":
            what, restore = f"the experiment '{experiment.name}'", f"experiments restore -x {info.experiment_id}"
        else:
            what, restore = f"the run '{info.run_name}'", f"runs restore --run-id {run_id}"
        raise ValueError(f"{what} is deleted; restore it: mlflow {restore}")


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
