"""Grids on Ray that run, skip, fail, are killed and continue, on one node and on two."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest
import torch
import yaml
from drawn_sites import DRAWN, prepare_sites
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(folder: Path) -> Path:
    """A working directory with a bundle whose grid has four short trainings, one of them a teacher."""
    (folder / "bundles").unlink()
    shutil.copytree(ROOT / "bundles", folder / "bundles")
    bundle = folder / "bundles" / "tiny"
    shutil.copytree(ROOT / "bundles" / "echo_inter_domain", bundle)
    path = bundle / "configs" / "experiments.yaml"
    content = yaml.safe_load(path.read_text())
    content["scales"] = {
        "tiny": {
            "settings": {"epochs": 3, "image_size": 32, "batch_size": 8},
            "grid": [{"method": ["CCE", "aCCE", "pseudo-labels"], "network": ["unet"], "seed": [0]}],
        },
        "searching": {
            "settings": {"epochs": 3, "image_size": 32, "batch_size": 8},
            "search": {"learning_rate": [1e-6, 0.1]},
            "grid": [{"method": ["CCE"], "network": ["unet"], "seed": [0, 1]}],
        },
        "failing": {
            "settings": {"epochs": 1, "image_size": 32, "batch_size": 8},
            "grid": [{"method": ["CCE"], "learning_rate": [0.1, 1e30], "network": ["unet"], "seed": [0]}],
        },
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def words(scale: str, *more: str) -> list[str]:
    return ["common.experiments", "run", "bundles/tiny", "--scale", scale, "--data", "data/phantom", *more]


def logged_to(runs: str) -> dict[str, str]:
    return os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{runs}.db"}


def run(project: Path, scale: str, runs: str, *more: str) -> "subprocess.CompletedProcess[str]":
    return forked.run(words(scale, *more), cwd=project, env=logged_to(runs))


def evaluated(client: MlflowClient) -> list[tuple[Run, Run]]:
    """Return the trainings of the grids that have an evaluation, each with it."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = {run.info.run_id: run for run in client.search_runs(experiments)}
    tested = [run for run in found.values() if run.data.tags.get("role") == "evaluation"]
    return [(found[run.data.tags["mlflow.parentRunId"]], run) for run in tested]


def results(project: Path, runs: str) -> dict[str, str]:
    """Return cell -> digest of the best weights of the finished trainings."""
    client = MlflowClient(f"sqlite:///{project / runs}.db")
    found = {}
    for one, evaluation in evaluated(client):
        rows = Path(client.download_artifacts(evaluation.info.run_id, "dice.csv")).read_text()
        assert all(f"{name}_like" in rows for name in ("camus", "unity", "echonet", "clinic")), "tested on everything"
        weights = torch.load(client.download_artifacts(one.info.run_id, "model.pt"), weights_only=True)
        found[one.data.tags["cell"]] = hashlib.sha256(
            b"".join(w.numpy().tobytes() for w in weights.values())
        ).hexdigest()
    return found


def put_aside(project: Path, name: str) -> None:
    """Move the folders of the trainings away, so that the next grid starts from nothing."""
    (project / "runs").rename(project / f"runs_{name}")


@pytest.fixture(scope="module")
def whole(project: Path) -> dict[str, str]:
    """The results of the grid without interruption."""
    done = run(project, "tiny", "whole", "--workers", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "3 results, 0 of them from earlier runs" in done.stdout
    again = run(project, "tiny", "whole", "--workers", "2")
    assert "3 results, 3 of them from earlier runs" in again.stdout, again.stderr[-3000:]
    found = results(project, "whole")
    put_aside(project, "whole")
    return found


def test_every_cell_has_its_result(whole: dict[str, str]):
    cells = [json.loads(cell) for cell in whole]
    assert sorted(cell["method"] for cell in cells) == ["CCE", "aCCE", "pseudo-labels", "teacher"]
    # a teacher of three epochs finds nothing to fill in: its student may be the naive network, and only that
    assert len({weights for cell, weights in whole.items() if "pseudo" not in cell}) == 3, "no two are the same"


@pytest.mark.robust
def test_a_killed_grid_continues_and_ends_the_same(project: Path, whole: dict[str, str]):
    command = [sys.executable, "-m", *words("tiny", "--workers", "1")]
    process = subprocess.Popen(
        command, cwd=project, env=logged_to("killed"), start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not list(project.glob("runs/**/evaluations/*/evaluation.json")):  # one of them is finished
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(3)  # Ray's own processes notice
    done = run(project, "tiny", "killed", "--workers", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    assert results(project, "killed") == whole
    put_aside(project, "killed")


@pytest.mark.robust
def test_two_nodes_give_the_results_of_one(project: Path, whole: dict[str, str]):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        done = run(project, "tiny", "nodes", "--address", cluster.address)
        assert done.returncode == 0, done.stderr[-3000:]
    finally:
        cluster.shutdown()
    assert results(project, "nodes") == whole
    put_aside(project, "nodes")


@pytest.mark.robust
def test_a_cluster_that_does_not_answer_is_named(project: Path):
    done = run(project, "failing", "nowhere", "--address", "ray://127.0.0.1:1")
    assert done.returncode != 0
    assert "run: no Ray cluster answers at ray://127.0.0.1:1 (" in done.stderr
    assert "set RAY_AUTH_MODE=token" in done.stderr


def test_a_failure_is_reported_and_does_not_stop_the_rest(project: Path):
    done = run(project, "failing", "failing", "--workers", "1")
    assert done.returncode != 0
    assert "1 results, 0 of them from earlier runs" in done.stdout
    assert "CCE_learning_rate1e+30_unet_seed0" in done.stdout
    assert "FloatingPointError: the loss of epoch 1 is nan; try a lower --learning_rate" in done.stdout
    assert "1 trainings failed; run the same command to repeat them" in done.stderr


def test_a_search_decides_for_every_seed_and_its_best_is_a_result(project: Path):
    for before in ("0", "2"):
        done = run(project, "searching", "searching", "--workers", "1")
        assert done.returncode == 0, done.stderr[-3000:]
        assert f"2 results, {before} of them from earlier runs" in done.stdout
    client = MlflowClient(f"sqlite:///{project}/searching.db")
    found = [training for training, _ in evaluated(client)]
    first = [one for one in found if json.loads(one.data.tags["cell"])["seed"] == 0]
    best = max(
        first, key=lambda one: max(score.value for score in client.get_metric_history(one.info.run_id, "mean_dice"))
    )
    rate = best.data.params["learning_rate"]
    logged = sorted((one.data.tags["role"], one.data.tags["cell"], one.data.params["learning_rate"]) for one in found)
    cells = [{"method": "CCE", "network": "unet", "seed": seed} for seed in (0, 1)]
    loser = 0.1 if float(rate) < 0.1 else 1e-6
    assert logged == [
        ("result", json.dumps(cells[0]), rate),
        ("result", json.dumps(cells[1]), rate),
        ("search", json.dumps({**cells[0], "learning_rate": loser}), str(loser)),
    ]


def test_a_grid_runs_on_described_folders_without_an_edit(project: Path):
    """A teacher trains on the complete site, its pseudo-labels complete the other."""
    folders = prepare_sites(project, {"clinic": list(DRAWN), "lv_only": ["lv_cavity"]})
    command = ["common.experiments", "run", "bundles/tiny", "--scale", "tiny", "--data", *folders, "--workers", "2"]
    settings = ["--train_on", "['clinic', 'lv_only']", "--epochs", "1", "--learning_rate=0.01"]
    for before in ("0", "3"):
        done = forked.run([*command, *settings], cwd=project, env=logged_to("own"))
        assert done.returncode == 0, done.stdout + done.stderr[-3000:]
        assert f"3 results, {before} of them from earlier runs" in done.stdout
    client = MlflowClient(f"sqlite:///{project}/own.db")
    found = [training for training, _ in evaluated(client)]
    params = {json.loads(one.data.tags["cell"])["method"]: one.data.params for one in found}
    assert {one["epochs"] for one in params.values()} == {"1"}
    assert {method: json.loads(one["datasets"].replace("'", '"')) for method, one in params.items()} == {
        "CCE": ["clinic", "lv_only"],
        "aCCE": ["clinic", "lv_only"],
        "teacher": ["clinic"],
        "pseudo-labels": ["clinic", "lv_only"],
    }


def test_a_grid_runs_once_at_a_time(project: Path):
    (project / "runs/echo_inter_domain/failing").mkdir(parents=True, exist_ok=True)
    with FileLock(project / "runs/echo_inter_domain/failing/grid.lock"):
        done = run(project, "failing", "failing")
    assert done.returncode != 0
    assert "another process runs this grid" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "bundles/tiny", "--scale", "demo"],
            "expected a scale of ['tiny', 'searching', 'failing'], got 'demo'",
        ),
        (["run", "bundles/nothing"], "experiments.yaml is missing"),
        (["run", "bundles/tiny", "--scale", "tiny"], "draws no phantom; name data with --data"),
        (["run", "bundles/tiny", "--scale", "tiny", "--data", "nowhere"], "nowhere is not a prepared dataset"),
        (words("tiny", "--train_on", "clinic")[1:], "train_on names 'clinic', which is not in the data: ['camus_like'"),
        (words("tiny", "--epoch", "3")[1:], "--epoch is not a setting of this bundle. Did you mean --epochs?"),
        (words("tiny", "--seed", "3")[1:], "--seed has no effect: every training of scale 'tiny' states its own"),
        (["report", "bundles/tiny", "--epochs", "3"], "unrecognized arguments: --epochs 3"),
    ],
)
def test_wrong_requests_end_in_one_line(project: Path, arguments: list[str], message: str):
    done = forked.run(["common.experiments", *arguments], cwd=project)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("whole")
def test_the_results_are_reported(project: Path):
    report = ["common.experiments", "report", "bundles/tiny", "--scale", "tiny", "--out", "page"]
    shown = forked.run(report, cwd=project, env=logged_to("whole"))
    assert shown.returncode == 0, shown.stderr[-3000:]
    page = project / shown.stdout.strip().splitlines()[-1]
    assert "<img" in page.read_text()
