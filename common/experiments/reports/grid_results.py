"""What a grid of trainings left in MLflow, as two tables: a row a run, and a row an image and class.

Everything that a report shows comes from here, so that a page can be made anywhere MLflow can be reached.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...command import command
from ...tracking import connect

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # read when mlflow is imported
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

__all__ = ["NoResults", "Results", "read_predictions", "read_results", "run_command"]

ORIGIN = ("image", "dataset", "patient", "view", "phase")  # columns of test_dice.csv before the classes


class NoResults(RuntimeError):
    """There is nothing to report; the message names the command that makes results."""


@dataclass(frozen=True)
class Results:
    """A grid's finished and evaluated runs.

    Args:
        uri: of MLflow.
        experiment: its name there.
        scale: of the grid.
        data: folders that the runs read.
        checksum: of these data.
        started: day and time (UTC) at which the grid was started.
        planned: number of runs that make the grid complete; None if the grid did not say.
        unfinished: runs that failed, still run or were not evaluated: what each was, and its state.
        cell: columns that tell the runs apart (method, network, seed, ...).
        classes: foreground classes, in the annotation's order.
        runs: a row a run: run_id, artifact_uri, the cell, `seconds` per epoch (median over epochs), and the metrics of
            the test without `test/`.
        images: a row a run, image and class: run_id, the cell, image, dataset, patient, view, phase, class, dice (NaN:
            undefined).
    """

    uri: str
    experiment: str
    scale: str
    data: str
    checksum: str
    started: str
    planned: int | None
    unfinished: tuple[str, ...]
    cell: tuple[str, ...]
    classes: tuple[str, ...]
    runs: pd.DataFrame
    images: pd.DataFrame

    @property
    def origin(self) -> str:
        """Scale and data, short enough for a caption.

        Example:
            >>> Results("", "e", "demo", "", "0123456789abcdef", "", 1, (), (), (), None, None).origin
            'scale demo, data checksum 0123456789ab'
        """
        return f"scale {self.scale}, data checksum {self.checksum[:12]}"

    @property
    def gaps(self) -> list[str]:
        """What keeps the grid from being complete, in sentences; empty if nothing does.

        Example:
            >>> runs = pd.DataFrame({"run_id": ["a", "b"]})
            >>> failed = ("aCCE, unet, seed 1: FAILED",)
            >>> Results("", "e", "demo", "", "", "", 4, failed, (), (), runs, runs).gaps
            ['2 of 4 runs are missing.', 'aCCE, unet, seed 1: FAILED']
        """
        missing = 0 if self.planned is None else self.planned - len(self.runs)
        count = [f"{missing} of {self.planned} runs are missing."] if missing > 0 else []
        return [*count, *self.unfinished]


def run_command(experiment: str, scale: str | None) -> str:
    """Return the command that makes the results of an experiment; its bundle bears its name.

    Example:
        >>> run_command("echo_inter_domain", "demo").endswith(".experiments run bundles/echo_inter_domain --scale demo")
        True
    """
    return command(f"experiments run bundles/{experiment}" + (f" --scale {scale}" if scale else ""))


def read_results(uri: str, experiment: str, scale: str | None) -> Results:
    """Read the grid of a scale that was worked on last.

    Only runs with the role "result" that finished and were evaluated count; of two with the same cell, the newer.

    Args:
        uri: of MLflow.
        experiment: name.
        scale: of the grid; None takes the newest of any scale.

    Raises:
        NoResults: if there is no such grid, or none of its runs is complete.
        ValueError: if a run does not say which cell of the grid it is.
    """
    client = _client(uri, experiment, scale)
    parent = _newest_grid(client, uri, experiment, scale)
    children = _search(client, parent.info.experiment_id, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    newest: dict[str, Run] = {}
    for run in sorted(children, key=lambda run: _state(run) != "complete"):  # within a state the newest first
        if run.data.tags.get("role") == "result":
            newest.setdefault(json.dumps(_cell(run), sort_keys=True), run)
    runs = [run for run in newest.values() if _state(run) == "complete"]
    unfinished = [f"{_words(_cell(run))}: {_state(run)}" for run in newest.values() if _state(run) != "complete"]
    if not runs:
        states = Counter(_state(run) for run in newest.values())
        found = ", ".join(f"{count} {state}" for state, count in states.items()) or "none was started"
        raise NoResults(
            f"the newest grid of '{experiment}' has no finished and evaluated run ({found}); "
            f"make them with: {run_command(experiment, scale)}"
        )
    cells = [_cell(run) for run in runs]
    columns = tuple(dict.fromkeys(name for cell in cells for name in cell))
    rows = pd.DataFrame(cells)
    rows.insert(0, "run_id", [run.info.run_id for run in runs])
    rows.insert(1, "artifact_uri", [run.info.artifact_uri for run in runs])
    rows["seconds"] = [_seconds(client, run) for run in runs]
    tested = [{name[5:]: value for name, value in run.data.metrics.items() if name.startswith("test/")} for run in runs]
    rows = pd.concat([rows, pd.DataFrame(tested)], axis="columns")
    rows = rows.sort_values(list(columns), key=lambda column: column.map(str), ignore_index=True)
    images = pd.concat([_images(uri, *run) for run in zip(rows["run_id"], rows["artifact_uri"], strict=True)])
    planned = parent.data.tags.get("planned")
    return Results(
        uri=uri,
        experiment=experiment,
        scale=parent.data.tags["grid"],
        data=parent.data.tags.get("data", "unknown"),
        checksum=parent.data.tags.get("data_checksum", "unknown"),
        started=datetime.fromtimestamp(parent.info.start_time / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        planned=None if planned is None else int(planned),
        unfinished=tuple(sorted(unfinished)),
        cell=columns,
        classes=tuple(dict.fromkeys(images["class"])),
        runs=rows,
        images=rows[["run_id", *columns]].merge(images, on="run_id"),
    )


def read_predictions(results: Results, run_id: str) -> Mapping[str, NDArray[Any]] | None:
    """Read the example images of a run with their truth and prediction.

    Returns:
        The arrays of `test_predictions.npz`, or None if the run kept none.
    """
    place = results.runs.set_index("run_id")["artifact_uri"][run_id]
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = download_artifacts(f"{place}/test_predictions.npz", None, None, folder, results.uri)
        except (OSError, MlflowException):
            return None
        return dict(np.load(path))


def _client(uri: str, experiment: str, scale: str | None) -> MlflowClient:
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.is_file():  # a client would create an empty one
        raise NoResults(f"there is no {database} with results; make them with: {run_command(experiment, scale)}")
    return connect(uri)


def _search(client: MlflowClient, experiment_id: str, which: str) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs([experiment_id], which, order_by=["attributes.start_time DESC"], page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _newest_grid(client: MlflowClient, uri: str, experiment: str, scale: str | None) -> Run:
    found = client.get_experiment_by_name(experiment)
    which = f"tags.grid = '{scale}'" if scale else "tags.grid != ''"
    grids = _search(client, found.experiment_id, which) if found else iter(())
    parent = max(grids, key=lambda run: max(run.info.start_time, run.info.end_time or 0), default=None)
    if parent is None:
        at = f" at scale '{scale}'" if scale else ""
        command = run_command(experiment, scale)
        raise NoResults(f"'{experiment}' has no results{at} in {uri}; make them with: {command}")
    return parent


def _cell(run: Run) -> dict[str, Any]:
    if "cell" not in run.data.tags:
        raise ValueError(f"run {run.info.run_id} has no tag 'cell', which tells which cell of the grid it is.")
    cell = json.loads(run.data.tags["cell"])
    return {name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in cell.items()}


def _state(run: Run) -> str:
    if run.info.status == "FINISHED":
        return "complete" if run.data.tags.get("evaluated") == "true" else "not evaluated"
    return str(run.info.status)


def _words(cell: Mapping[str, Any]) -> str:
    return ", ".join(str(value) if name in ("method", "network") else f"{name} {value}" for name, value in cell.items())


def _seconds(client: MlflowClient, run: Run) -> float:
    epochs = [metric.value for metric in client.get_metric_history(run.info.run_id, "seconds")]
    return float(np.median(epochs)) if epochs else float("nan")


def _images(uri: str, run_id: str, place: str) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:  # by the run's id it would take three times as long
        path = download_artifacts(f"{place}/test_dice.csv", None, None, folder, uri)
        rows = pd.read_csv(path, dtype=dict.fromkeys(ORIGIN, str), keep_default_na=False, na_values=[""])
    rows[list(ORIGIN)] = rows[list(ORIGIN)].fillna("")
    long = rows.melt(id_vars=list(ORIGIN), var_name="class", value_name="dice")
    return long.assign(run_id=run_id, dice=long["dice"].astype(float))
