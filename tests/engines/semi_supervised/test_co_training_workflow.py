"""The workflow trains two networks: wired, used, and resumed to the bit after a kill."""

import json
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
TINY = {"image_size": 64, "batch_size": 8, "epochs": 3, "tracking_uri": "none", "cotrain": "true"}
TINY |= {"partner": "attention_unet", "networks::attention_unet::channels": [8, 16, 32], "pseudo_label_weight": 1.0}
TINY |= {
    "networks::attention_unet::strides": [2, 2],
    "networks::unet::channels": [8, 16],
    "networks::unet::strides": [2],
}
pytestmark = pytest.mark.slow


def words(config: str = TRAIN, **settings: object) -> list[str]:
    given = {"config_file": config, "bundle_root": BUNDLE, **TINY, **settings}
    return ["monai.bundle", "run", *(word for name, value in given.items() for word in (f"--{name}", str(value)))]


def run(folder: Path, **settings: object) -> dict[str, Any]:
    done = forked.run(words(**settings), cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return torch.load(folder / str(settings["output_dir"]) / "last.pt", weights_only=True)


@pytest.mark.parametrize("predict_with", ["student", "partner", "both"])
def test_the_weights_of_what_predicts_describe_themselves(folder: Path, predict_with: str):
    last = run(folder, predict_with=predict_with, epochs=1, output_dir=f"runs/{predict_with}")
    record = json.loads((folder / "runs" / predict_with / "model.json").read_text())
    kinds = [one["_target_"].split(".")[-1] for one in record["architecture"].get("networks", [record["architecture"]])]
    expected = {"student": ["UNet"], "partner": ["AttentionUnet"], "both": ["UNet", "AttentionUnet"]}[predict_with]
    assert kinds == expected
    assert bool(last["co_training"]) == (predict_with != "both")
    evaluate = ["monai.bundle", "run", "--config_file", f"{BUNDLE}/configs/evaluate.yaml", "--bundle_root", str(BUNDLE)]
    evaluate += ["--checkpoint", f"runs/{predict_with}/model.pt", "--tracking_uri", "none"]
    done = forked.run(evaluate, cwd=folder)
    assert done.returncode == 0, done.stderr


def test_a_killed_training_resumes_to_both_networks_of_an_uninterrupted_one(folder: Path):
    whole = run(folder, output_dir="runs/whole")
    killed = folder / "runs" / "killed"
    with subprocess.Popen([sys.executable, "-m", *words(output_dir="runs/killed")], cwd=folder) as process:
        deadline = time.monotonic() + 200
        while not (killed / "last.pt").is_file():
            assert process.poll() is None, "the training ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert 1 <= torch.load(killed / "last.pt", weights_only=True)["epoch"] < 3
    resumed = run(folder, output_dir="runs/killed", resume="true")
    assert resumed.pop("settings") == whole.pop("settings")
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)
