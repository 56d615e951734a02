"""Each result without epochs is one finished run."""

import math
from pathlib import Path

from mlflow import MlflowClient

from common.tracking import log_finished_run


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
