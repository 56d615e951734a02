"""The grid in MLflow: one parent run for a bundle, scale and data; each training is a child, found by its hash."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from ..tracking import connect, experiment_id
from ..tracking.delivery import cause
from ..tracking.mlflow_run import WEIGHTS
from ..tracking.names import mlflow_name

__all__ = ["Store", "evaluations", "search_runs"]

LOGGER = logging.getLogger(__name__)


def search_runs(client: MlflowClient, experiment: str, condition: str) -> list[Run]:
    """Return the runs of an experiment (its id) that fulfil a condition in MLflow's syntax, the newest first."""
    most = 50_000  # runs of one answer, the limit of MLflow
    return list(client.search_runs([experiment], condition, max_results=most, order_by=["attributes.start_time DESC"]))


def evaluations(
    client: MlflowClient, experiment: str, trainings: Iterable[Run], checksum: str, fold: str
) -> dict[str, Run]:
    """Return the newest finished evaluation of each of some trainings: id of its run -> run of the evaluation.

    Args:
        client: of MLflow.
        experiment: its id.
        trainings: of a grid.
        checksum: of the data; evaluations of other data and weights (an earlier state of `model.pt` among them), and
            those that deviate from their training (`Evaluation.deviation`), do not count.
        fold: likewise.
    """
    wanted = f"tags.role = 'evaluation' and tags.data_checksum = '{checksum}'"
    found = search_runs(client, experiment, f"{wanted} and tags.fold = '{fold}' and tags.weights = 'model.pt'")
    done = [run for run in reversed(found) if run.info.status == "FINISHED" and "overrides" not in run.data.tags]
    weights = {run.info.run_id: run.data.tags.get(WEIGHTS, "") for run in trainings}  # earlier versions state none
    of = [(str(run.data.tags.get("mlflow.parentRunId")), run.data.params.get(WEIGHTS, ""), run) for run in done]
    return {parent: run for parent, digest, run in of if parent in weights and digest.startswith(weights[parent])}


class Store:
    """The parent run of a grid and its children.

    Args:
        uri: tracking URI.
        experiment: MLflow's name for the trainings of the bundle.
        tags: identify the parent: `grid` (the scale), `bundle` and `data_checksum`.
        facts: further tags of a new parent; `fold` is the one that is evaluated.
    """

    def __init__(self, uri: str, experiment: str, tags: Mapping[str, str], facts: Mapping[str, str]) -> None:
        self.checksum, self.fold = tags["data_checksum"], facts["fold"]
        self.client: MlflowClient = connect(uri)
        self.experiment_id = experiment_id(self.client, uri, experiment)
        found = self._search(" and ".join(f"tags.{name} = '{value}'" for name, value in tags.items()))
        self._tags = {**tags, **facts}
        self._found: str | None = found[0].info.run_id if found else None

    @cached_property
    def parent(self) -> str:
        """Id of the parent run, which is created if there is none."""
        if self._found is None:
            name = f"grid {self._tags['grid']}"
            self._found = self.client.create_run(self.experiment_id, run_name=name, tags=self._tags).info.run_id
        return self._found

    def _search(self, condition: str) -> list[Run]:
        return search_runs(self.client, self.experiment_id, condition)

    def finished(self) -> dict[str, str]:
        """Return the children that are finished and evaluated, hash -> id of the run."""
        children = self._children() if self._found else []
        done = evaluations(self.client, self.experiment_id, children, self.checksum, self.fold)
        finished = [run for run in children if run.info.status == "FINISHED" and run.info.run_id in done]
        return {run.data.tags["run_hash"]: run.info.run_id for run in finished}

    def plan(self, cells: Mapping[str, Mapping[str, Any]], total: int) -> None:
        """Open the grid and record its runs; results of an earlier form of the grid no longer count.

        A training of a search may become a result.

        Args:
            cells: hash -> cell of the runs that are known.
            total: number of runs; a search decides the hashes of the others.
        """
        self.client.update_run(self.parent, status="RUNNING")
        for run in self._children():
            tags = run.data.tags
            if tags["run_hash"] in cells:
                wanted = self.tags(cells[tags["run_hash"]], "result", tags["run_hash"])
            else:
                wanted = {"role": "superseded"} if tags.get("role") == "result" else {}
            for name, value in wanted.items():
                if tags.get(mlflow_name(name)) != value:
                    self.client.set_tag(run.info.run_id, mlflow_name(name), value)
        self.client.set_tag(self.parent, "planned", str(total))

    def _children(self) -> list[Run]:
        """Return the trainings of the grid; other runs may have been put below it by hand."""
        found = self._search(f"tags.`mlflow.parentRunId` = '{self.parent}'")
        return [run for run in found if "run_hash" in run.data.tags]

    def other_experiment(self, run_id: str) -> str:
        """Return the name of the experiment of a run; empty if it is that of the grid, or MLflow does not answer."""
        with suppress(MlflowException):
            found = self.client.get_run(run_id).info.experiment_id
            return "" if found == self.experiment_id else str(self.client.get_experiment(found).name)
        return ""

    def tags(self, cell: Mapping[str, Any], role: str, run_hash: str) -> dict[str, str]:
        """Return the tags of a child: what identifies it, and one for each axis of the grid."""
        axes = {name: value if isinstance(value, str) else json.dumps(value) for name, value in cell.items()}
        known = {"mlflow.parentRunId": self.parent, "cell": json.dumps(cell), "role": role, "run_hash": run_hash}
        return {**axes, **known}

    def close(self, status: str) -> None:
        """End the parent run; a fault of MLflow is a warning, since the trainings are over."""
        try:
            self.client.set_terminated(self.parent, status)
        except MlflowException as error:
            LOGGER.warning("MLflow did not record the end of the grid: %s", cause(error))
