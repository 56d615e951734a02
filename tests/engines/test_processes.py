"""Several processes share one training; anything else under torchrun stops in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import forked
import pytest
import torch
from mlflow import MlflowClient

from common.engines import check_processes, divides_equally, handlers_of_process, rank, share_of_batch
from common.identity import changes, training_settings

CONFIGS = Path("bundles/echo_segmentation/configs")
BOTH = f"['{CONFIGS}/train.yaml','{CONFIGS}/multi_gpu_train.yaml']"


def words(config: str, **settings: object) -> list[str]:
    given = {"config_file": config, "bundle_root": CONFIGS.parent, **settings}
    return ["monai.bundle", "run", *(word for name, value in given.items() for word in (f"--{name}", str(value)))]


@pytest.mark.parametrize(("images", "message"), [(15, "expected a multiple of that, got 15"), (0, "got 0")])
def test_images_that_cannot_be_shared_are_refused(monkeypatch: pytest.MonkeyPatch, images: int, message: str):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert share_of_batch(16) == 8
    with pytest.raises(ValueError, match=message):
        share_of_batch(images)


def test_a_workflow_and_the_number_of_processes_must_agree(monkeypatch: pytest.MonkeyPatch):
    check_processes(shares=False)
    with pytest.raises(ValueError, match=r"multi_gpu_train\.yaml is for torchrun: torchrun --nproc_per_node 2"):
        check_processes(shares=True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    check_processes(shares=True)
    with pytest.raises(ValueError, match=r"torchrun started 2 processes that would each do the same; run this without"):
        check_processes(shares=False)


def test_a_rank_that_a_job_script_exports_changes_no_draw_of_one_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RANK", "3")
    assert rank() == 0
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert rank() == 3


def test_the_number_of_processes_is_part_of_the_identity():
    alone, two, four = (training_settings({"train": {}}, "c0ffee", processes=number) for number in (1, 2, 4))
    assert alone == training_settings({"train": {}}, "c0ffee")
    assert changes(two, four) == "processes: 2 then, 4 now"


def test_images_that_are_one_batch_are_shared_equally_or_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert divides_equally(6, batch_size=8)
    assert divides_equally(9, batch_size=8)
    with pytest.raises(ValueError, match=r"^5 training images are one batch, which 2 processes cannot share equally; "):
        divides_equally(5, batch_size=8)


def test_handlers_that_only_write_run_in_the_first_process(monkeypatch: pytest.MonkeyPatch):
    class Writes:
        main_process_only = True

    class Computes:
        pass

    handlers, network = [Writes(), Computes()], torch.nn.Identity()
    assert handlers_of_process(handlers, network)[1:] == handlers
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert handlers_of_process(handlers, network)[1:] == handlers[1:]


@pytest.mark.parametrize("workflow", ["train", "evaluate", "inference", "measure", "pseudo_label"])
def test_other_workflows_stop_under_torchrun_before_any_work(folder: Path, workflow: str):
    before = sorted(folder.rglob("*"))
    several = {**os.environ, "WORLD_SIZE": "2", "RANK": "0"}
    result = forked.run(words(f"{CONFIGS}/{workflow}.yaml"), cwd=folder, env=several)
    assert result.returncode == 1
    assert "torchrun started 2 processes" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert sorted(folder.rglob("*")) == before


@pytest.mark.slow
def test_two_processes_train_what_one_trains(folder: Path):
    tiny = {"image_size": 32, "epochs": 1, "batch_size": 42, "label_dropout": 0.5, "loss": "marginal_dice_ce"}
    tiny |= {"networks::unet::norm": "instance", "experiment": "shared"}
    assert forked.run(words(f"{CONFIGS}/train.yaml", **tiny, output_dir="runs/one"), cwd=folder).returncode == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    two = [*torchrun, *words(BOTH, **tiny, output_dir="runs/two")]
    result = subprocess.run(two, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("best mean Dice") == 1, "one process speaks"
    one, other = (torch.load(folder / "runs" / name / "last.pt") for name in ("one", "two"))
    step = 0.1 * 1.9  # learning rate, and Nesterov's first step
    for name, value in one["network"].items():
        torch.testing.assert_close(other["network"][name], value, atol=step * 1e-5, rtol=0)
    names, rows = [], []
    for name in ("one", "two"):
        names.append({path.name for path in (folder / "runs" / name).iterdir()})
        (row,) = json.loads((folder / "runs" / name / "history.json").read_text())
        rows.append({key: value for key, value in row.items() if "second" not in key})
    assert names[0] == names[1]
    assert rows[0] == pytest.approx(rows[1], rel=1e-4)
    client = MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
    experiment = client.get_experiment_by_name("shared")
    assert experiment is not None
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FINISHED"] * 2
