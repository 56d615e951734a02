"""The workflow trains with a teacher: wired, resumed to the bit after a kill, and the same in two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import forked
import pytest
import torch

BUNDLE = Path("bundles/echo_inter_domain")
TRAIN = f"{BUNDLE}/configs/train.yaml"
TINY = {"image_size": 32, "batch_size": 8, "epochs": 4, "tracking_uri": "none", "consistency": 1.0}
pytestmark = pytest.mark.slow


def words(config: str = TRAIN, **settings: object) -> list[str]:
    given = {"config_file": config, "bundle_root": BUNDLE, **TINY, **settings}
    return ["monai.bundle", "run", *(word for name, value in given.items() for word in (f"--{name}", str(value)))]


def run(folder: Path, **settings: object) -> Any:
    done = forked.run(words(**settings), cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return torch.load(folder / str(settings["output_dir"]) / "last.pt", weights_only=True), done.stdout


def test_the_teacher_is_validated_and_kept_if_it_predicts(folder: Path):
    dropout = {"dropout": 0.5, "dropout_layers": "all_but_first_two"}
    last, _ = run(folder, **dropout, predict_with="teacher", epochs=2, output_dir="runs/mt")
    other, _ = run(folder, **dropout, predict_with="student", epochs=2, output_dir="runs/ms")
    for one, two in ((last, other), (other, last)):  # the same training: only what is kept by which name differs
        torch.testing.assert_close(one["network"], two["mean_teacher"], rtol=0, atol=0)
    assert any(not torch.equal(value, last["mean_teacher"][name]) for name, value in last["network"].items())
    for name, predictor in (("mt", "teacher"), ("ms", "student")):
        record = json.loads((folder / "runs" / name / "model.json").read_text())
        assert record["predict_with"] == predictor
        assert record["architecture"]["_dropout_"] == {"rate": 0.5, "layers": "all_but_first_two"}
    evaluate = ["monai.bundle", "run", "--config_file", f"{BUNDLE}/configs/evaluate.yaml", "--bundle_root", str(BUNDLE)]
    evaluate += ["--checkpoint", "runs/mt/model.pt", "--tracking_uri", "none"]
    assert forked.run(evaluate, cwd=folder).returncode == 0


def test_a_dataset_of_which_every_class_is_withheld_teaches_by_consistency(folder: Path):
    hidden = {"withheld": "{'unity_like': ['lv_cavity', 'lv_myocardium', 'left_atrium']}", "epochs": 1}
    settings = {**hidden, "consistency_ramp": "[0.0, 0.1]"}
    last, output = run(folder, **settings, output_dir="runs/unlabelled")
    assert ["unity_like", "-", "-", "-", "-", "14"] in [line.split() for line in output.splitlines()]
    alone, _ = run(folder, **settings, train_on="camus_like", output_dir="runs/alone")
    assert any(not torch.equal(value, alone["network"][name]) for name, value in last["network"].items())


def test_a_killed_training_resumes_to_the_student_and_teacher_of_an_uninterrupted_one(folder: Path):
    settings = {"dropout": 0.5, "predict_with": "teacher"}
    whole, _ = run(folder, **settings, output_dir="runs/whole")
    killed = folder / "runs" / "killed"
    command = [sys.executable, "-m", *words(**settings, output_dir="runs/killed")]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 200
        while not (killed / "last.pt").is_file():
            assert process.poll() is None, "the training ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert 1 <= torch.load(killed / "last.pt", weights_only=True)["epoch"] < 4
    resumed, _ = run(folder, **settings, output_dir="runs/killed", resume="true")
    assert resumed.pop("settings") == whole.pop("settings")
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)


def test_two_processes_have_the_student_and_teacher_of_one(folder: Path):
    tiny = {"epochs": 3, "batch_size": 28, "consistency_ramp": "[0.0, 0.1]", "networks::unet::norm": "instance"}
    tiny |= {"learning_rate": 0.01}
    one, _ = run(folder, **tiny, output_dir="runs/one")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    both = f"['{TRAIN}','{BUNDLE}/configs/multi_gpu_train.yaml']"
    result = subprocess.run(
        [*torchrun, *words(both, **tiny, output_dir="runs/two")],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    two = torch.load(folder / "runs/two/last.pt", weights_only=True)
    for name in ("network", "mean_teacher"):
        torch.testing.assert_close(two[name], one[name], atol=1e-6, rtol=1e-4)
    moved = max(float((one["network"][name] - value).abs().max()) for name, value in one["mean_teacher"].items())
    assert moved > 1e-4, "a teacher that equals the student shows nothing"
