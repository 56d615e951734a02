"""Each result without epochs is one finished run."""

import math
from pathlib import Path

from mlflow import MlflowClient

from common.tracking import log_finished_run, log_to_run


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


def test_later_metrics_are_added_to_the_same_run(uri: str, client: MlflowClient, tmp_path: Path):
    run_id = log_finished_run(tmp_path, uri, "finished", "a_result", {}, {})
    assert log_to_run(tmp_path, {"later": 1.0}) is True
    assert client.get_run(run_id).data.metrics == {"later": 1.0}
