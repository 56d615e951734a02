"""What MLflow knows of a grid while it runs, when it is interrupted, and after its settings have changed."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from clinic import job, source
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from synthetic_grid import SyntheticGrid

from common.datasets.prepared.preparation import prepare
from common.experiments.reports.results import read_results
from common.experiments.run import _Work, run_grid
from common.experiments.training import Job
from common.tracking import experiment_id

ROOT = Path(__file__).parents[2]
AXES = {"method": {"marginal": {"loss": "marginal"}, "ce": {"loss": "categorical_ce"}}}
BEGIN = _Work.begin
DICE = {("clinic", "lv_cavity"): 0.9}


class Grid:
    """A grid whose trainings are invented: `run` calls `during` before each of them."""

    def __init__(self, folder: Path, uri: str, patch: pytest.MonkeyPatch) -> None:
        self.bundle, self.uri, self.folder = folder / "bundles" / folder.name, uri, folder
        configs = self.bundle / "configs"
        configs.mkdir(parents=True)
        content = yaml.safe_load((ROOT / "bundles/sector_segmentation/configs/train.yaml").read_text())
        content |= {"experiment": folder.name, "classes": ["background", "lv_cavity", "lv_myocardium"]}
        (configs / "train.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        jobs = (job(number, fold) for number, fold in enumerate(("training", "validation", "test")))
        prepare(source(*jobs), folder / "data", size=32, workers=1)
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.setattr(_Work, "begin", lambda _: None)
        patch.setattr(_Work, "carry_out", lambda work, jobs, _: self.carry_out(work, jobs))
        self.during: Callable[[Job], object] = lambda _: None
        self.work: Any = None
        self.place = ""  # id of the experiment of the trainings; empty: that of the grid

    def carry_out(self, work: Any, jobs: Sequence[Job]) -> None:
        """Stand for `_Work.carry_out`."""
        self.work = work
        written = SyntheticGrid.__new__(SyntheticGrid)
        written.client, written.parent, written.patients = work.store.client, work.store.parent, 2
        written.experiment_id = self.place or work.store.experiment_id
        for one in jobs:
            if one.hash not in work.finished:
                self.during(one)
                tags = {name: value for name, value in one.tags.items() if name not in ("cell", "mlflow.parentRunId")}
                cell = yaml.safe_load(one.tags["cell"])
                work.finished[one.hash] = written.add(cell, DICE, self.folder, checksum=one.checksum, **tags)

    def run(self, *grid: dict[str, Any], axes: dict[str, Any] = AXES, settings: dict[str, Any] | None = None, **scale):
        """Run a grid of some blocks."""
        whole = {"settings": {"epochs": 2, "image_size": 32, **(settings or {})}, "grid": [*grid], **scale}
        content = {"axes": axes, "scales": {"tiny": whole}}
        (self.bundle / "configs" / "experiments.yaml").write_text(yaml.safe_dump(content))
        return run_grid(self.bundle, "tiny", [Path("data")], 1, None)

    @property
    def parent(self) -> Run:
        return MlflowClient(self.uri).get_run(self.work.store.parent)

    @property
    def complete(self) -> str:
        results = read_results(self.uri, self.folder.name, "tiny")
        return f"{len(results.runs)} of {results.planned}"


@pytest.fixture
def grid(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Grid:
    return Grid(tmp_path, store, monkeypatch)


def test_results_of_earlier_settings_do_not_count_once_the_grid_runs_again(grid: Grid):
    cells = {"method": ["marginal", "ce"], "seed": [0]}
    assert grid.run(cells).finished == 2
    assert grid.complete == "2 of 2"
    seen = []
    grid.during = lambda _: seen.append(grid.complete) if grid.work.finished.keys() - before else None
    before = set(grid.work.finished)
    assert grid.run(cells, settings={"epochs": 3}).finished == 2
    assert seen == ["1 of 2"]
    assert grid.complete == "2 of 2"
    assert grid.run(cells).skipped == 2, "the earlier settings again"
    assert grid.complete == "2 of 2"


def test_while_a_search_runs_again_its_earlier_results_do_not_count(grid: Grid, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_Work, "best", lambda *_: {"learning_rate": 0.1})
    cells, search = {"method": ["marginal"], "seed": [0, 1]}, {"learning_rate": [0.1, 0.2]}
    assert grid.run(cells, search=search).finished == 2
    planned = []

    def roles() -> list[str]:
        return [run.data.tags["role"] for run in grid.work.store._children()]

    assert sorted(roles()) == ["result", "result", "search"]
    grid.during = lambda _: planned.append(roles().count("result"))
    grid.run(cells, search={"learning_rate": [0.1, 0.3]})
    assert planned == [0]
    assert sorted(roles()) == ["result", "result", "search", "search"]


def test_a_grid_that_gets_another_axis_goes_on(grid: Grid):
    cells = {"method": ["marginal", "ce"], "seed": [0]}
    grid.run(cells)
    assert grid.run({**cells, "label_dropout": [0.0]}).skipped == 2
    assert grid.parent.info.status == "FINISHED"
    assert "label_dropout" in read_results(grid.uri, grid.folder.name, "tiny").cell


def test_a_training_that_goes_on_in_a_renamed_experiment_is_no_result(grid: Grid):
    grid.place = experiment_id(MlflowClient(grid.uri), grid.uri, "2025")
    outcome = grid.run({"method": ["marginal"], "seed": [0]})
    assert outcome.finished == 0
    (reason,) = outcome.failed.values()
    assert "its MLflow run is in the experiment '2025', where it began: give that its name back" in reason
    assert grid.parent.info.status == "FAILED"


def test_runs_that_were_put_below_a_grid_by_hand_are_left_alone(grid: Grid):
    cells = {"method": ["marginal"], "seed": [0]}
    grid.run(cells)
    client, below = MlflowClient(grid.uri), {"mlflow.parentRunId": grid.work.store.parent}
    own = client.create_run(grid.work.store.experiment_id, tags=below).info.run_id
    client.set_terminated(own)
    assert grid.run(cells).skipped == 1
    assert client.get_run(own).data.tags.items() >= below.items()


def test_two_cells_with_the_same_settings_are_refused(grid: Grid):
    axes = {"method": {"ce": {"loss": "categorical_ce"}, "naive": {"loss": "categorical_ce", "label_dropout": 0.0}}}
    with pytest.raises(ValueError, match=r"^ce_seed0 and naive_seed0 have the same settings, .*; change"):
        grid.run({"method": ["ce", "naive"], "seed": [0]}, axes=axes)
    assert grid.work is None


def test_a_cell_that_two_blocks_have_counts_once(grid: Grid):
    blocks = [{"method": ["marginal"], "seed": [0, 1]}, {"method": ["marginal", "ce"], "seed": [0]}]
    assert grid.run(*blocks).finished == 3
    assert grid.complete == "3 of 3"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_grid_that_is_interrupted_is_closed(grid: Grid, number: signal.Signals):
    grid.during = lambda _: os.kill(os.getpid(), number)
    before = signal.getsignal(signal.SIGTERM)
    of_background = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            grid.run({"method": ["marginal"], "seed": [0]})
    finally:
        signal.signal(signal.SIGINT, of_background)
    assert grid.parent.info.status == "KILLED"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_grid_that_is_stopped_while_ray_starts_was_not_begun(grid: Grid, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_Work, "begin", BEGIN)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("common.experiments.run._start", lambda *_: sys.exit(15))  # as Ray's handler does on SIGTERM
    with pytest.raises(KeyboardInterrupt):
        grid.run({"method": ["marginal"], "seed": [0]})
    client = MlflowClient(grid.uri)
    experiment = client.get_experiment_by_name(grid.folder.name)
    assert client.search_runs([experiment.experiment_id]) == [], "not even open"


def test_a_grid_that_fails_is_closed(grid: Grid):
    def fail(_: Job) -> None:
        raise RuntimeError("no cluster")

    grid.during = fail
    with pytest.raises(RuntimeError, match="no cluster"):
        grid.run({"method": ["marginal"], "seed": [0]})
    assert grid.parent.info.status == "FAILED"


def test_mlflow_that_is_away_at_the_end_hides_no_results(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def away(*_: object) -> None:
        raise MlflowException("no answer")

    def add(*_: object, **__: object) -> str:
        for name in ("get_run", "set_terminated"):
            monkeypatch.setattr(MlflowClient, name, away)
        return "id"

    monkeypatch.setattr(SyntheticGrid, "add", add)
    assert grid.run({"method": ["marginal"], "seed": [0]}).finished == 1
    assert caplog.messages == ["MLflow did not record the end of the grid: no answer"]
