"""Each result without epochs is one finished run."""

import math
from pathlib import Path

import pytest
from mlflow import MlflowClient

from common.tracking import finished_run, log_finished_run
from common.tracking.courier import Courier
from common.tracking.delivery import handed_in


def test_parameters_metrics_and_files_are_one_finished_run(uri: str, client: MlflowClient, tmp_path: Path):
    for name in ("pairs.csv", "summary.json", "notes.txt"):
        (tmp_path / name).write_text(name)
    metrics = {"dice/start/lv": 0.5, "dice/start/la": math.nan}
    parameters = {"source": "camus", "pairs": 10, "classes": ["background", "lv"]}
    run_id = log_finished_run(tmp_path, uri, "finished", "a_result", parameters, metrics)
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "a_result")
    assert client.get_experiment(run.info.experiment_id).name == "finished"
    assert run.data.params == {"source": "camus", "pairs": "10", "classes": '["background", "lv"]'}
    assert run.data.metrics == {"dice/start/lv": 0.5}
    assert run.data.tags["folder"] == str(tmp_path)
    assert "git_commit" in run.data.tags
    assert {item.path for item in client.list_artifacts(run_id)} == {"pairs.csv", "summary.json"}


def test_a_repeated_result_replaces_its_numbers_in_the_same_run(uri: str, client: MlflowClient, tmp_path: Path):
    first = log_finished_run(tmp_path, uri, "finished", "a_result", {"fold": "test"}, {"dice": 0.5})
    again = log_finished_run(tmp_path, uri, "finished", "a_result", {"fold": "test"}, {"dice": 0.25})
    other = log_finished_run(tmp_path, uri, "finished", "a_result", {"fold": "validation"}, {"dice": 1.0})
    assert again == first != other
    assert client.get_run(first).data.metrics == {"dice": 0.25}
    assert client.get_run(other).info.status == "FINISHED"


def test_the_same_result_twice_at_once_is_one_run(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    words = (tmp_path, uri, "finished", "a_result", {"fold": "test"}, {"dice": 0.5})
    first = list[str | None]()

    class Overtaken(Courier):
        """Of a process that another one overtakes before it holds the folder."""

        def open(self) -> None:
            monkeypatch.setattr(finished_run, "Courier", Courier)
            first.append(log_finished_run(*words))
            super().open()

    monkeypatch.setattr(finished_run, "Courier", Overtaken)
    assert [log_finished_run(*words)] == first


def test_an_evaluation_whose_database_is_gone_is_logged_again(other: str, tmp_path: Path):
    words = ("finished", "a_result", {"fold": "test"}, {"dice": 0.5})
    database = Path(other.removeprefix("sqlite:///"))
    empty = database.read_bytes()
    first = log_finished_run(tmp_path, other, *words)
    database.write_bytes(empty)
    again = log_finished_run(tmp_path, other, *words)
    assert again not in (None, first)
    assert MlflowClient(other).get_run(again).data.metrics == {"dice": 0.5}


def test_a_run_that_was_deleted_is_not_said_to_be_logged(
    uri: str, client: MlflowClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    words = ("finished", "a_result", {"fold": "test"}, {"dice": 0.5})
    first = log_finished_run(tmp_path, uri, *words)
    client.delete_run(first)
    assert log_finished_run(tmp_path, uri, *words) is None
    assert f"the run 'a_result' is deleted; restore it: mlflow runs restore --run-id {first}" in caplog.text
    assert handed_in(tmp_path) is None
    client.restore_run(first)
    assert log_finished_run(tmp_path, uri, *words) == first == handed_in(tmp_path)
