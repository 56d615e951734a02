"""MLflow never decides over a training: whatever fails, the training ends well and its history is handed in later."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from epochs import EXPERIMENT, assert_complete, runs_of, train, warnings_of
from mlflow import MlflowClient

from common.tracking import courier, log_finished_run
from common.tracking.__main__ import main
from common.tracking.delivery import folder_lock
from common.tracking.outbox import Outbox, read_outbox, read_rows, read_run, write_outbox, write_run

CALLS = (
    *("get_experiment_by_name", "search_runs", "create_run", "update_run", "get_metric_history", "log_batch"),
    *("set_terminated", "log_artifact"),
)


class Away(Exception):
    """What the client raises in these tests."""


@pytest.fixture
def fail_from() -> Iterator[Callable[[float, bool], dict[str, int]]]:
    """Let the client fail from its n-th request on, before or after the server has carried it out."""
    with pytest.MonkeyPatch.context() as patch:

        def start(first: float, carried_out: bool) -> dict[str, int]:
            count = {"requests": 0}

            def failing(original: Callable[..., Any]) -> Callable[..., Any]:
                def call(*words: Any, **named: Any) -> Any:
                    count["requests"] += 1
                    if count["requests"] < first:
                        return original(*words, **named)
                    if carried_out:
                        original(*words, **named)
                    raise Away("the server is gone")

                return call

            patch.undo()
            for name in CALLS:
                patch.setattr(MlflowClient, name, failing(getattr(MlflowClient, name)))
            return count

        yield start


def hand_in(runs: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["tracking", "hand-in", str(runs)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.mark.parametrize("carried_out", [False, True])
def test_a_server_that_dies_at_any_request_ends_no_training(
    uri: str,
    client: MlflowClient,
    tmp_path: Path,
    fail_from: Callable[[float, bool], dict[str, int]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    carried_out: bool,
):
    requests = fail_from(float("inf"), carried_out)
    train(tmp_path / "healthy" / "run", uri)
    assert requests["requests"] >= len(CALLS) - 1  # the next loop sees them all
    for number in range(1, requests["requests"] + 1):
        folder = tmp_path / str(number) / "run"
        caplog.clear()
        made = fail_from(number, carried_out)
        train(folder, uri)
        if made["requests"] < number:  # epochs that end while a request runs are handed in together
            break
        (warning,) = warnings_of(caplog.records)
        assert str(folder) in warning
        assert "the server is gone" in warning
        assert f"hand-in {folder.parent}" in warning
        fail_from(float("inf"), False)
        assert hand_in(folder.parent, monkeypatch) == 0
        assert_complete(client, folder)
    assert number >= len(CALLS) - 1


def test_the_next_training_beside_it_hands_in_what_is_missing(
    uri: str, client: MlflowClient, tmp_path: Path, fail_from: Callable[[float, bool], dict[str, int]]
):
    first, second = tmp_path / "first", tmp_path / "second"
    evaluation = first / "evaluations" / "phantom-test"
    evaluation.mkdir(parents=True)
    fail_from(4, False)
    train(first, uri)
    assert log_finished_run(evaluation, uri, EXPERIMENT, "evaluation", {}, {"test/mean_dice": 0.5}) is None
    fail_from(float("inf"), False)
    train(second, uri)
    for folder in (first, second):
        assert_complete(client, folder)
    (run,) = runs_of(client, evaluation)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"test/mean_dice": 0.5})
    assert run.data.tags["mlflow.parentRunId"] == runs_of(client, first)[0].info.run_id


def test_a_training_resumed_while_mlflow_is_back_is_complete(
    uri: str, client: MlflowClient, tmp_path: Path, fail_from: Callable[[float, bool], dict[str, int]]
):
    def stop(epoch: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    fail_from(6, False)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, uri, epochs=4, each=stop)
    fail_from(float("inf"), False)
    train(tmp_path, uri, epochs=4, done=2)
    assert_complete(client, tmp_path, epochs=4)


def killed(folder: Path, status: str = "RUNNING") -> None:
    """Leave a folder as a process does that was killed: its run is open, and nobody holds its lock."""
    outbox = read_outbox(folder)
    assert outbox is not None
    write_outbox(folder, type(outbox)(**{**vars(outbox), "status": status, "ended": None}))


def test_a_run_whose_process_was_killed_is_closed(
    uri: str, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "run"
    train(folder, uri)
    killed(folder)
    client.update_run(read_run(folder)["run_id"], status="RUNNING")
    with folder_lock(folder):  # its process lives
        assert hand_in(tmp_path, monkeypatch) == 0
        assert runs_of(client, folder)[0].info.status == "RUNNING"
    assert hand_in(tmp_path, monkeypatch) == 0
    (run,) = runs_of(client, folder)
    assert run.info.status == "KILLED"
    assert len(client.get_metric_history(run.info.run_id, "train_loss")) == 2


@pytest.mark.parametrize("status", ["RUNNING", "KILLED", "FAILED"])
def test_a_training_that_went_on_without_mlflow_is_handed_in_as_it_ended(
    uri: str, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str
):
    folder = tmp_path / "run"
    train(folder, uri)
    killed(folder, status)
    run = read_run(folder)
    write_run(folder, {**run, "status": status})
    client.update_run(run["run_id"], status=status)

    def hand_in_beside(_: int) -> None:
        assert hand_in(tmp_path, monkeypatch) == 0
        assert runs_of(client, folder)[0].info.status == status, "its process lives"

    train(folder, "none", epochs=4, done=2, each=hand_in_beside)
    assert hand_in(tmp_path, monkeypatch) == 0
    assert_complete(client, folder, epochs=4)


def test_other_settings_without_mlflow_in_the_folder_of_a_killed_training_are_no_epochs_of_its_run(
    uri: str, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "run"
    train(folder, uri, epochs=1)
    killed(folder)
    train(folder, "none", parameters={"loss": "adaptive_bce"})
    assert hand_in(tmp_path, monkeypatch) == 0
    runs = {one.data.params["loss"]: one.info for one in runs_of(client, folder)}
    epochs = {loss: len(client.get_metric_history(info.run_id, "train_loss")) for loss, info in runs.items()}
    assert epochs == {"marginal": 1, "adaptive_bce": 2}
    assert runs["adaptive_bce"].status == "FINISHED"


@pytest.mark.parametrize("content", [None, "", '{"run_id": "12'])
def test_a_resume_before_the_first_checkpoint_adopts_the_run_even_without_its_file(
    uri: str, client: MlflowClient, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None
):
    train(tmp_path, uri)
    killed(tmp_path)
    if content is None:
        (tmp_path / "mlflow_run.json").unlink()
    else:
        (tmp_path / "mlflow_run.json").write_text(content)
    train(tmp_path, uri)
    assert_complete(client, tmp_path)
    assert ("mlflow_run.json is not readable" in caplog.text) == (content is not None)


def test_other_settings_in_the_folder_of_a_killed_training_are_a_run_of_their_own(
    uri: str, client: MlflowClient, tmp_path: Path
):
    train(tmp_path, uri)
    killed(tmp_path)
    run = read_run(tmp_path)
    (tmp_path / "mlflow_run.json").write_text(json.dumps({**run, "status": "RUNNING"}))
    client.update_run(run["run_id"], status="RUNNING")
    train(tmp_path, uri, parameters={"loss": "adaptive_bce"})
    states = {one.data.params["loss"]: one.info.status for one in runs_of(client, tmp_path)}
    assert states == {"marginal": "KILLED", "adaptive_bce": "FINISHED"}


def test_another_server_gets_the_whole_history(uri: str, client: MlflowClient, other: str, tmp_path: Path):
    folder = tmp_path / "run"
    train(folder, uri, epochs=1)
    train(folder, other, epochs=3, done=1)
    assert_complete(MlflowClient(other), folder, epochs=3)
    assert [run.info.status for run in runs_of(client, folder)] == ["FINISHED"]


def test_a_deleted_experiment_is_named_with_its_restore_command(
    other: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    train(tmp_path / "runs" / "before", other)
    client = MlflowClient(other)
    number = client.get_experiment_by_name(EXPERIMENT).experiment_id

    def delete(epoch: int) -> None:
        if epoch == 1:
            while (read_run(tmp_path / "runs" / "during") or {}).get("epochs") != 1:
                time.sleep(0.01)
            client.delete_experiment(number)

    train(tmp_path / "runs" / "during", other, each=delete)
    train(tmp_path / "runs" / "after", other)
    texts = list(warnings_of(caplog.records))
    assert len(texts) == 2
    for text in texts:
        assert f"the experiment '{EXPERIMENT}' is deleted; restore it: mlflow experiments restore -x {number}" in text
    client.restore_experiment(number)
    train(tmp_path / "runs" / "restored", other)
    for name in ("before", "during", "after", "restored"):
        assert_complete(client, tmp_path / "runs" / name)


def test_a_store_that_takes_no_files_is_named_and_the_run_is_finished(
    other: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "artifacts").write_text("a file, where a folder should be")
    train(tmp_path / "run", other)
    (text,) = warnings_of(caplog.records)
    assert f"the artifact store at file://{tmp_path}/artifacts/" in text
    assert [run.info.status for run in runs_of(MlflowClient(other), tmp_path / "run")] == ["FINISHED"]


@pytest.mark.parametrize("uri", ["none", "", None, "None"])
def test_no_mlflow_at_all_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str | None):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    train(tmp_path / "run", uri)
    assert log_finished_run(tmp_path / "run", uri, EXPERIMENT, "name", {}, {}) is None
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"history.json"}
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("uri", ["./mlruns", "http://me:secret@127.0.0.1:1", "nonsense://x", "sqlite:////proc/no/x.db"])
def test_an_address_without_mlflow_is_one_warning_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, uri: str
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    train(tmp_path / "run", uri)
    assert len(list(warnings_of(caplog.records))) == 1
    written = "".join(path.read_text() for path in (tmp_path / "run").iterdir())
    assert "secret" not in caplog.text + written
    assert list((tmp_path / "here").iterdir()) == []


def test_a_locked_database_does_not_stop_a_training(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("common.tracking.client.LOCKED", 0.1)
    blocker = sqlite3.connect(other.removeprefix("sqlite:///"))
    blocker.execute("BEGIN EXCLUSIVE")
    train(tmp_path / "run", other)
    blocker.rollback()
    (text,) = warnings_of(caplog.records)
    assert "other.db: database is locked" in text
    train(tmp_path / "next", other)
    assert_complete(MlflowClient(other), tmp_path / "run")


def test_a_server_that_never_answers_holds_up_only_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    silent = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            silent.wait(20)

        log_message = None

    monkeypatch.setattr(courier, "PATIENCE", 0.5)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        train(tmp_path / "run", f"http://127.0.0.1:{server.server_port}")
        (text,) = warnings_of(caplog.records)
        assert "no answer within 0.5 s" in text
    finally:
        silent.set()
        server.shutdown()
        server.server_close()


def test_a_full_disk_is_one_warning(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def full(path: Path, _: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("common.tracking.outbox.write_text", full)
    train(tmp_path / "run", uri)
    (text,) = warnings_of(caplog.records)
    assert "No space left on device" in text


@pytest.mark.parametrize("name", ["lv (cavity)", "LV+RV", "GE:Vivid", "höhle", "..", "a" * 300])
def test_names_with_any_character_are_recorded(uri: str, client: MlflowClient, tmp_path: Path, name: str):
    metrics = {f"dice/{name}/{name}": 0.5}
    run_id = log_finished_run(tmp_path, uri, name, name, {name: name}, metrics, tags={name: name})
    run = client.get_run(run_id)
    assert client.get_experiment(run.info.experiment_id).name == name
    assert list(run.data.metrics.values()) == [0.5]
    assert list(run.data.params.values()) == [name]
    place = Path(uri.removeprefix("sqlite:///")).parent / "artifacts"
    assert len(run.info.artifact_uri.removeprefix(place.as_uri()).strip("/").split("/")) == 3  # experiment, run, files


@pytest.mark.parametrize("content", [b"3", b"[1]", b'[{"loss": 1}]', b"\xff", b'[{"epoch": "x"}]'])
def test_a_damaged_history_counts_as_none(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture):
    (tmp_path / "history.json").write_bytes(content)
    assert read_rows(tmp_path) == []
    assert "history.json is damaged" in caplog.text
    (tmp_path / "history.json").write_text('[{"epoch": 1, "train_loss": 0.5, "note": "mine"}]')
    assert read_rows(tmp_path) == [{"epoch": 1, "train_loss": 0.5}]


@pytest.mark.parametrize(
    "edit", [{"parameters": 3}, {"metrics": [1]}, {"started": "now"}, {"inputs": None}, {"name": 1}]
)
def test_a_damaged_outbox_does_not_stop_the_others(
    uri: str, tmp_path: Path, edit: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        token = f"{tmp_path.name}/{name}"
        outbox = Outbox(token, uri, EXPERIMENT, name, 1000, "FINISHED", 2000)
        write_outbox(tmp_path / name, outbox)
    path = tmp_path / "a/mlflow_outbox.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **edit}))
    assert hand_in(tmp_path, monkeypatch) == 0
    assert read_run(tmp_path / "b") is not None


def test_a_training_hands_in_its_neighbours_and_no_runs_of_other_projects(
    uri: str,
    client: MlflowClient,
    tmp_path: Path,
    fail_from: Callable[[float, bool], dict[str, int]],
    monkeypatch: pytest.MonkeyPatch,
):
    fail_from(1, False)
    neighbour, deeper, elsewhere = tmp_path / "runs/a", tmp_path / "runs/project/runs/b", tmp_path / "runs/c"
    for folder, place in ((neighbour, uri), (deeper, uri), (elsewhere, f"sqlite:///{tmp_path}/other.db")):
        train(folder, place)
    monkeypatch.undo()
    fail_from(float("inf"), False)
    train(tmp_path / "runs/own", uri)
    assert_complete(client, neighbour)
    assert_complete(client, tmp_path / "runs/own")
    assert read_run(deeper) is None
    assert read_run(elsewhere) is None
