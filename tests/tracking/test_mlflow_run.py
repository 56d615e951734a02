"""Each training is one run, whatever happens to it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from ignite.engine import Events
from mlflow import MlflowClient
from mlflow.entities import Run
from tiny_training import SETTINGS, Tiny, stop_at

from common.engines import run_folder
from common.engines import train as run_training
from common.engines.run_folder import mark
from common.experiments.store import Store
from common.identity import fingerprint
from common.tracking import MLflowRun, tracking_uri
from common.tracking.delivery import backlog
from common.tracking.mlflow_run import OURS, checked_tags
from common.tracking.outbox import read_outbox, read_run, write_outbox, write_run

ROOT = Path(__file__).parents[2]
EXPERIMENT = "tiny"
RUN = "same_name"  # of every run: names need not be unique
METRICS = {"train_loss", "best_accuracy", "learning_rate", "images_per_second", "seconds"}


class Crash(Exception):
    """What ends a training in these tests."""


def train(
    folder: Path,
    uri: str,
    before: Callable[[Tiny], Sequence[Any]] = lambda _: (),
    parameters: dict[str, Any] = SETTINGS,
    **settings: Any,
) -> Tiny:
    run = MLflowRun(folder, uri, EXPERIMENT, RUN, parameters)
    return Tiny(folder, handlers=lambda tiny: [*before(tiny), run], **settings).run()


def run_of(folder: Path, client: MlflowClient) -> Run:
    return client.get_run(json.loads((folder / "mlflow_run.json").read_text())["run_id"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, uri: str) -> Path:
    """Folder of a finished training of two epochs."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "config.yaml").write_text("epochs: 2\n")
    train(folder, uri, parameters={**SETTINGS, "long": ["x" * 600] * 20})
    return folder


def test_a_finished_run_records_its_training(finished: Path, client: MlflowClient):
    run = run_of(finished, client)
    assert (run.info.status, run.info.run_name) == ("FINISHED", RUN)
    assert client.get_experiment(run.info.experiment_id).name == EXPERIMENT
    params = run.data.params
    assert params["loss"] == "cross_entropy"
    assert params["learning_rate"] == "0.1"
    assert json.loads(params["label_sets"]) == SETTINGS["label_sets"]
    assert params["version.torch"] == torch.__version__
    assert run.data.tags["folder"] == str(finished)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    assert run.data.tags["git_commit"].removesuffix("-modified") == (head or "unknown")
    assert "error" not in run.data.tags
    assert run.data.tags["weights_digest"] == fingerprint(finished / "model.pt")


def test_every_metric_of_every_epoch_is_logged_under_its_epoch(finished: Path, client: MlflowClient):
    rows = json.loads((finished / "history.json").read_text())
    run = run_of(finished, client)
    assert set(run.data.metrics) == {*METRICS, "accuracy"}
    for name in run.data.metrics:
        logged = [(item.step, item.value) for item in client.get_metric_history(run.info.run_id, name)]
        assert logged == [(row["epoch"], row[name]) for row in rows]


def test_the_files_of_the_training_are_artifacts(finished: Path, client: MlflowClient, tmp_path: Path):
    run = run_of(finished, client)
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names == {"config.yaml", "history.json", "model.json", "model.pt"}
    copy = client.download_artifacts(run.info.run_id, "model.pt", str(tmp_path))
    assert Path(copy).read_bytes() == (finished / "model.pt").read_bytes()


def test_two_trainings_of_one_name_are_two_runs(finished: Path, uri: str, client: MlflowClient, tmp_path: Path):
    train(tmp_path, uri, epochs=1)
    first, second = run_of(finished, client), run_of(tmp_path, client)
    assert first.info.run_id != second.info.run_id
    assert first.info.experiment_id == second.info.experiment_id
    assert len(client.get_metric_history(first.info.run_id, "train_loss")) == 2
    assert len(client.get_metric_history(second.info.run_id, "train_loss")) == 1


def test_a_crash_marks_its_run_and_the_next_training_has_its_own(uri: str, client: MlflowClient, tmp_path: Path):
    tmp_path = tmp_path / "run"
    mark(tmp_path)
    with pytest.raises(Crash, match="out of luck"):
        train(tmp_path, uri, stop_at(2, Crash("out of luck")), epochs=3)
    crashed = run_of(tmp_path, client)
    assert crashed.info.status == "FAILED"
    assert crashed.data.tags["error"] == "Crash: out of luck"
    assert [item.step for item in client.get_metric_history(crashed.info.run_id, "train_loss")] == [1]
    assert "history.json" in {item.path for item in client.list_artifacts(crashed.info.run_id)}
    run_folder(tmp_path, resume=False)
    train(tmp_path, uri, epochs=1)
    assert run_of(tmp_path, client).info.run_id != crashed.info.run_id
    assert client.get_run(crashed.info.run_id).info.status == "FAILED"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_an_interrupted_run_was_killed_and_did_not_fail(
    uri: str, client: MlflowClient, tmp_path: Path, error: BaseException
):
    with pytest.raises(type(error)):
        train(tmp_path, uri, stop_at(2, error), epochs=3)
    assert run_of(tmp_path, client).info.status == "KILLED"


def test_a_resumed_training_continues_its_run(uri: str, client: MlflowClient, tmp_path: Path):
    parameters = {**SETTINGS, "note": ["token=abc", "b"]}  # is stored without its secret
    with pytest.raises(Crash):
        train(tmp_path, uri, stop_at(3, Crash()), parameters, epochs=4)
    before = run_of(tmp_path, client)
    train(tmp_path, uri, parameters=parameters, epochs=4, resume=True)
    after = run_of(tmp_path, client)
    assert after.info.run_id == before.info.run_id
    assert after.info.status == "FINISHED"
    assert after.data.params == before.data.params
    assert after.data.params["note"] == '["token=***", "b"]'
    history = client.get_metric_history(after.info.run_id, "train_loss")
    assert [item.step for item in history] == [1, 2, 3, 4]
    assert [item.value for item in history] == [
        r["train_loss"] for r in json.loads((tmp_path / "history.json").read_text())
    ]


def test_a_resumed_training_that_ends_well_has_no_error(uri: str, client: MlflowClient, tmp_path: Path):
    with pytest.raises(Crash):
        train(tmp_path, uri, stop_at(2, Crash("full")), epochs=3)
    assert run_of(tmp_path, client).data.tags["error"] == "Crash: full"
    train(tmp_path, uri, epochs=3, resume=True)
    run = run_of(tmp_path, client)
    assert run.info.status == "FINISHED"
    assert "error" not in run.data.tags


def test_a_training_without_best_weights_failed(uri: str, client: MlflowClient, tmp_path: Path):
    tiny = Tiny(tmp_path, handlers=lambda _: [MLflowRun(tmp_path, uri, EXPERIMENT, RUN, SETTINGS)], val_interval=3)
    with pytest.raises(ValueError, match="no epoch of this training has a mean Dice"):
        run_training(tiny.trainer, tiny.evaluator, tmp_path)
    run = run_of(tmp_path, client)
    assert run.info.status == "FAILED"
    assert "no epoch of this training has a mean Dice" in run.data.tags["error"]
    assert [item.step for item in client.get_metric_history(run.info.run_id, "train_loss")] == [1, 2]


def test_a_resumed_training_says_that_its_run_stays_in_its_experiment(
    uri: str, client: MlflowClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    train(tmp_path, uri, epochs=1)
    again = MLflowRun(tmp_path, uri, "another", RUN, SETTINGS)
    Tiny(tmp_path, handlers=lambda _: [again], epochs=2, resume=True).run()
    assert f"the MLflow run stays in the experiment '{EXPERIMENT}', where it began" in caplog.text
    assert client.get_experiment(run_of(tmp_path, client).info.experiment_id).name == EXPERIMENT


def test_a_moved_training_keeps_its_run_and_a_copy_beside_its_original_gets_its_own(
    uri: str, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Crash):
        train(Path("first"), uri, stop_at(2, Crash()), epochs=3)
    before = run_of(Path("first"), client).info.run_id
    Path("first").rename("run")
    train(Path("run"), uri, epochs=2, resume=True)
    assert run_of(Path("run"), client).info.run_id == before
    outbox = read_outbox(Path("run"))
    assert outbox is not None
    write_outbox(Path("run"), replace(outbox, status="RUNNING"))
    write_run(Path("run"), {**(read_run(Path("run")) or {}), "status": "RUNNING"})  # as a kill leaves it
    client.update_run(before, status="RUNNING")
    shutil.copytree("run", "copy/run")
    monkeypatch.chdir("copy")  # with a path that means the original elsewhere
    assert list(backlog(Path(), uri)) == []
    train(Path("run"), uri, epochs=3, resume=True)
    copy = run_of(Path("run"), client)
    assert (copy.info.run_id != before, copy.info.status) == (True, "FINISHED")
    assert [item.step for item in client.get_metric_history(copy.info.run_id, "train_loss")] == [1, 2, 3]
    original = client.get_run(before)
    assert original.info.status == "RUNNING", "it may still go on"
    assert original.data.tags["folder"] == f"{tmp_path}/run"
    assert [item.step for item in client.get_metric_history(before, "train_loss")] == [1, 2]
    train(tmp_path / "run", uri, epochs=3, resume=True)
    assert run_of(tmp_path / "run", client).info.run_id == before


def test_resuming_a_finished_training_adds_nothing(uri: str, client: MlflowClient, tmp_path: Path):
    train(tmp_path, uri, epochs=1)
    before = run_of(tmp_path, client)
    train(tmp_path, uri, epochs=1, resume=True)
    after = run_of(tmp_path, client)
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "FINISHED")
    assert len(client.get_metric_history(after.info.run_id, "train_loss")) == 1


def test_a_training_that_starts_anew_has_no_epochs_of_the_one_before(uri: str, client: MlflowClient, tmp_path: Path):
    with pytest.raises(Crash):
        train(tmp_path, uri, stop_at(2, Crash()), epochs=3)
    for name in ("last.pt", "model.pt", "model.json"):  # as on a full disk
        (tmp_path / name).unlink()
    with pytest.raises(Crash):
        train(tmp_path, uri, stop_at(1, Crash()), {**SETTINGS, "learning_rate": 0.2}, epochs=3, resume=True)
    assert not (tmp_path / "history.json").exists()
    run = run_of(tmp_path, client)
    assert run.data.params["learning_rate"] == "0.2"
    assert client.get_metric_history(run.info.run_id, "train_loss") == []


def test_a_resumed_training_whose_run_is_gone_gets_a_new_one(
    uri: str, client: MlflowClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    train(tmp_path, uri, epochs=1)
    (tmp_path / "mlflow_run.json").write_text(json.dumps({"run_id": "0" * 32, "tracking_uri": uri}))
    train(tmp_path, uri, epochs=2, resume=True)
    assert f"MLflow run {'0' * 32} is not at {uri}" in caplog.text
    assert run_of(tmp_path, client).info.status == "FINISHED"


def test_a_parameter_of_any_type_is_logged_as_text(uri: str, client: MlflowClient, tmp_path: Path):
    train(tmp_path, uri, parameters={"device": torch.device("cpu")}, epochs=1)
    run = run_of(tmp_path, client)
    assert (run.info.status, run.data.params["device"]) == ("FINISHED", '"cpu"')


def test_what_stopped_the_training_is_raised_even_if_mlflow_fails_too(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: Any) -> None:
        raise ConnectionError("no server")

    monkeypatch.setattr(MlflowClient, "set_tag", fail)
    with pytest.raises(Crash, match="first cause"):
        train(tmp_path, uri, stop_at(1, Crash("first cause")))


def test_an_undefined_metric_is_left_out(uri: str, client: MlflowClient, tmp_path: Path):
    class Undefined:
        def attach(self, engine: Any) -> None:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)

        def __call__(self, engine: Any) -> None:
            row = {**engine.state.history[-1], "accuracy": float("nan")}
            (tmp_path / "history.json").write_text(json.dumps([row]))

    train(tmp_path, uri, lambda _: [Undefined()], epochs=1)
    assert set(run_of(tmp_path, client).data.metrics) == METRICS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mlflow.runName", "'mlflow.runName' is a name that MLflow uses itself; choose another."),
        *((name, f"'{name}' is a name that this project uses itself; choose") for name in ("role", "outbox", "fold")),
        (2, "expected names of one character or more, got 2."),
        ("", "expected names of one character or more, got ''."),
    ],
)
def test_a_tag_that_has_a_meaning_is_refused_before_anything_is_written(tmp_path: Path, name: str, message: str):
    with pytest.raises(ValueError, match=f"^--tags: {message}"):
        MLflowRun(tmp_path / "run", "none", EXPERIMENT, RUN, {}, {"purpose": "thesis", name: "x"})
    assert not any(tmp_path.iterdir())


def test_a_date_is_a_tag():
    assert checked_tags(yaml.safe_load("{day: 2024-05-01, part: 3}")) == {"day": "2024-05-01", "part": "3"}


def test_the_tags_of_runs_are_refused_by_hand_and_kept_from_a_grid(finished: Path, client: MlflowClient):
    written = run_of(finished, client).data.tags.keys()
    assert {name for name in written if not name.startswith("mlflow.")} <= OURS
    cell = {"method": "CCE", "fold": 1}  # an axis may have any name
    store = SimpleNamespace(parent="0" * 32)
    tags = Store.tags(store, cell, "result", "c0ffee")  # type: ignore[arg-type]
    assert checked_tags(tags) == tags
    for lost in ("run_hash", "cell"):
        with pytest.raises(ValueError, match=r"^--tags: "):
            checked_tags({name: value for name, value in tags.items() if name != lost})


def test_the_environment_names_the_server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert tracking_uri("sqlite:///mlflow.db") == "http://server:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert tracking_uri("sqlite:///mlflow.db") == "sqlite:///mlflow.db"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert tracking_uri("sqlite:///mlflow.db") == "sqlite:///mlflow.db"


def test_artifacts_are_beside_the_database_and_nothing_is_written_elsewhere(
    uri: str, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    train(tmp_path / "run", uri, epochs=1)
    assert list(elsewhere.iterdir()) == []
    place = Path(uri.removeprefix("sqlite:///")).parent / "artifacts" / EXPERIMENT
    assert run_of(tmp_path / "run", client).info.artifact_uri.startswith(place.as_uri())


SCRIPT = """
import signal
import sys
from pathlib import Path
from tiny_training import SETTINGS, Tiny
from common.engines import run_folder
from common.tracking import MLflowRun
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it, and so do its children
folder, uri, experiment, epochs = Path(sys.argv[1]), *sys.argv[2:]
run = MLflowRun(folder, uri, experiment, "same_name", SETTINGS)
Tiny(folder, epochs=int(epochs), handlers=lambda _: [run]).run()
"""


def start(folder: Path, uri: str, experiment: str, epochs: int) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", SCRIPT, str(folder), uri, experiment, str(epochs)]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.robust
def test_parallel_trainings_of_one_name_are_two_runs(uri: str, client: MlflowClient, tmp_path: Path):
    folders = [tmp_path / name for name in ("a", "b")]
    processes = [start(folder, uri, "parallel", 3) for folder in folders]  # a new experiment: both try to make it
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    runs = [run_of(folder, client) for folder in folders]
    assert runs[0].info.run_id != runs[1].info.run_id
    assert runs[0].info.experiment_id == runs[1].info.experiment_id
    for run in runs:
        assert run.info.status == "FINISHED"
        assert [item.step for item in client.get_metric_history(run.info.run_id, "train_loss")] == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.robust
def test_ctrl_c_kills_the_run_and_keeps_what_it_did(uri: str, client: MlflowClient, tmp_path: Path):
    process = start(tmp_path, uri, EXPERIMENT, 100_000)
    deadline = time.monotonic() + 120
    while not (tmp_path / "model.pt").is_file():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in output
    run = run_of(tmp_path, client)
    assert run.info.status == "KILLED"
    assert {"history.json", "model.pt"} <= {item.path for item in client.list_artifacts(run.info.run_id)}
