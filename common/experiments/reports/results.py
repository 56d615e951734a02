"""Read the results of a grid from MLflow, all that a report needs: a row per run, and a row per image and class."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray

from ...command import command
from ...datasets.phantom.study import DOMAINS
from ...label_sets import COLUMNS
from ...tracking import connect
from ..store import evaluations, search_runs

__all__ = ["NoResults", "Results", "read_predictions", "read_results", "run_command"]

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
COMPLETE = "complete"


class NoResults(RuntimeError):
    """There is nothing to report; the message names the command that makes results."""


@dataclass(frozen=True)
class Results:
    """The finished and evaluated runs of a grid.

    Args:
        uri: of MLflow.
        experiment: its name there.
        scale: of the grid.
        data: folders of the data.
        checksum: of these data.
        fold: of them that was evaluated.
        started: date and time (UTC) of the start of the grid.
        planned: number of runs of the complete grid; None if unknown.
        unfinished: runs that failed, are running or were not evaluated, each with its state.
        cell: columns that identify a run (method, network, seed, ...).
        runs: a row per run: run_id, artifact_uri and weights_digest (of its evaluation), the cell, `seconds` per epoch
            (median over epochs), and the metrics of the fold without its name.
        images: a row per run, image and class: run_id, the cell, image, dataset, patient, view, phase, class, dice
            (NaN: undefined).
        given: data, fold and settings on the command line that made them.
    """

    uri: str
    experiment: str
    scale: str
    data: str
    checksum: str
    fold: str
    started: str
    planned: int | None
    unfinished: tuple[str, ...]
    cell: tuple[str, ...]
    runs: pd.DataFrame
    images: pd.DataFrame
    given: str = ""

    @property
    def origin(self) -> str:
        """Scale and data, short enough for a caption.

        Example:
            >>> Results("", "e", "demo", "", "0123456789abcdef", "test", "", 1, (), (), None, None).origin
            'scale demo, data checksum 0123456789ab'
        """
        fold = "" if self.fold == "test" else f", {self.fold} fold"
        return f"scale {self.scale}{fold}, data checksum {self.checksum[:12]}"

    @property
    def warnings(self) -> list[tuple[str, Sequence[str]]]:
        """Sentences to print before the results, each with items below it.

        Example:
            >>> runs = pd.DataFrame({"run_id": ["a", "b"], "dataset": "unity"})
            >>> failed = ("aCCE, unet, seed 1: FAILED",)
            >>> Results("", "e", "demo", "", "", "test", "", 4, failed, (), runs, runs).warnings[0][1]
            ['2 of 4 runs are missing.', 'aCCE, unet, seed 1: FAILED']
        """
        name, warnings = self.experiment, list[tuple[str, Sequence[str]]]()
        missing = 0 if self.planned is None else self.planned - len(self.runs)
        gaps = [f"{missing} of {self.planned} runs are missing."] * (missing > 0) + [*self.unfinished]
        if gaps:
            warnings.append((f"The grid of {name} is incomplete; the results may still change.", gaps))
        if self.fold != "test":
            text = f"{name}: patients of the {self.fold} fold, who also chose the epochs; the scores are optimistic."
            warnings.append((text, []))
        if phantoms := [one for one in dict.fromkeys(self.images["dataset"]) if one in DOMAINS]:
            listed = ", ".join(phantoms)
            text = f"{name}: {listed} are phantoms, drawn and not recorded; their scores do not apply to patients."
            warnings.append((text, []))
        return warnings


def run_command(bundle: str | Path, scale: str) -> str:
    """Return the command that makes the results of a bundle.

    Example:
        >>> run_command("bundles/mine", "demo").endswith(".experiments run bundles/mine --scale demo")
        True
    """
    return command(f"experiments run {bundle} --scale {scale}")


def read_results(uri: str, experiment: str, scale: str, bundle: Path | None = None) -> Results:
    """Read the grid of a scale that ran last.

    Only runs with the role "result" that finished and were evaluated count; of two with the same cell, the newer.

    Args:
        uri: of MLflow.
        experiment: its name there; several bundles may share it.
        scale: of the grid.
        bundle: folder of the bundle whose grid it is; None: the one in `bundles` that the experiment is named after.

    Raises:
        NoResults: if the grid is missing, or none of its runs is complete.
        ValueError: if a run does not name its cell of the grid.
    """
    bundle = bundle or Path("bundles", experiment)
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.is_file():  # a client would create an empty one
        raise NoResults(f"there is no {database} with results; make them with: {run_command(bundle, scale)}")
    client = connect(uri)
    parent = _newest_grid(client, uri, experiment, scale, bundle)
    wanted = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' and tags.role = 'result'"
    children = search_runs(client, parent.info.experiment_id, wanted)
    checksum = parent.data.tags.get("data_checksum", "unknown")
    fold = parent.data.tags.get("fold", "test")
    tested = evaluations(client, parent.info.experiment_id, children, checksum, fold)
    state = {run.info.run_id: _state(run, tested) for run in children}
    newest: dict[str, Run] = {}
    for run in sorted(children, key=lambda run: state[run.info.run_id] != COMPLETE):  # within a state the newest first
        newest.setdefault(json.dumps(_cell(run), sort_keys=True), run)
    found = {run.info.run_id: run for run in newest.values()}
    runs = [run for run_id, run in found.items() if state[run_id] == COMPLETE]
    unfinished = [
        f"{_describe(_cell(run))}: {state[run_id]}" for run_id, run in found.items() if state[run_id] != COMPLETE
    ]
    if not runs:
        states = Counter(state[run_id] for run_id in found)
        listed = ", ".join(f"{count} {one}" for one, count in states.items()) or "none was started"
        raise NoResults(
            f"the newest grid of '{bundle.name}' has no finished and evaluated run ({listed}); "
            f"make them with: {run_command(bundle, scale)}"
        )
    cell = tuple(dict.fromkeys(name for run in runs for name in _cell(run)))
    rows = pd.DataFrame([_row(client, run, tested[run.info.run_id], f"{fold}/") for run in runs])
    rows = rows[list(dict.fromkeys(["run_id", "artifact_uri", "weights_digest", *cell, *rows]))]
    rows = rows.sort_values(list(cell), key=lambda column: column.map(str), ignore_index=True)
    images = pd.concat([_images(uri, *run) for run in zip(rows["run_id"], rows["artifact_uri"], strict=True)])
    tags = parent.data.tags
    return Results(
        uri=uri,
        experiment=experiment,
        scale=scale,
        data=tags.get("data", "unknown"),
        checksum=checksum,
        fold=fold,
        started=datetime.fromtimestamp(parent.info.start_time / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        planned=int(tags["planned"]) if "planned" in tags else None,
        unfinished=tuple(sorted(unfinished)),
        cell=cell,
        runs=rows,
        images=rows[["run_id", *cell]].merge(images, on="run_id"),
        given=tags.get("given", ""),
    )


def read_predictions(results: Results, run_id: str) -> Mapping[str, NDArray[Any]] | None:
    """Return the arrays of a run's `predictions.npz` (example images), or None if it kept none."""
    place = results.runs.set_index("run_id")["artifact_uri"][run_id]
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = download_artifacts(f"{place}/predictions.npz", None, None, folder, results.uri)
        except (OSError, MlflowException):
            return None
        return dict(np.load(path))


def _newest_grid(client: MlflowClient, uri: str, experiment: str, scale: str, bundle: Path) -> Run:
    found = client.get_experiment_by_name(experiment)
    wanted = f"tags.grid = '{scale}' and tags.bundle = '{bundle.absolute().name}'"
    grids = search_runs(client, found.experiment_id, wanted) if found else []
    if not grids:
        place, makes = f"experiment '{experiment}' of {uri}", run_command(bundle, scale)
        raise NoResults(f"'{bundle.name}' has no results at scale '{scale}' in {place}; make them with: {makes}")
    return max(grids, key=lambda run: max(run.info.start_time, run.info.end_time or 0))


def _cell(run: Run) -> dict[str, Any]:
    if "cell" not in run.data.tags:
        raise ValueError(f"run {run.info.run_id} has no tag 'cell' with its cell of the grid.")
    cell = json.loads(run.data.tags["cell"])
    if "network" in run.data.params:  # of a grid that has no axis of networks
        cell.setdefault("network", run.data.params["network"])
    return {name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in cell.items()}


def _row(client: MlflowClient, run: Run, evaluation: Run, prefix: str) -> dict[str, Any]:
    epochs = [metric.value for metric in client.get_metric_history(run.info.run_id, "seconds")]
    tested = {name: value for name, value in evaluation.data.metrics.items() if name.startswith(prefix)}
    return {
        "run_id": run.info.run_id,
        "artifact_uri": evaluation.info.artifact_uri,
        "weights_digest": evaluation.data.params.get("weights_digest", run.info.run_id),
        **_cell(run),
        "seconds": float(np.median(epochs)) if epochs else float("nan"),
        **{name.removeprefix(prefix): value for name, value in tested.items()},
    }


def _state(run: Run, tested: Mapping[str, Run]) -> str:
    if run.info.status == "FINISHED":
        return COMPLETE if run.info.run_id in tested else "not evaluated"
    return str(run.info.status)


def _describe(cell: Mapping[str, Any]) -> str:
    return ", ".join(str(value) if name in ("method", "network") else f"{name} {value}" for name, value in cell.items())


def _images(uri: str, run_id: str, place: str) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:  # by the id of the run it would take three times as long
        path = download_artifacts(f"{place}/dice.csv", None, None, folder, uri)
        rows = pd.read_csv(path, dtype=dict.fromkeys(COLUMNS, str), keep_default_na=False, na_values=[""])
    rows[list(COLUMNS)] = rows[list(COLUMNS)].fillna("")
    classes = [name for name in rows if name not in COLUMNS and "/" not in name]
    long = rows.melt(id_vars=list(COLUMNS), value_vars=classes, var_name="class", value_name="dice")
    return long.assign(run_id=run_id, dice=long["dice"].astype(float))
