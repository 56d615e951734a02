"""The workflow trains two networks: wired, resumed to the bit after a kill, used, and the same in two processes."""

import json
from pathlib import Path
from typing import Any

import forked
import pytest
import torch
from inter_domain_training import BUNDLE, check_killed_and_resumed, train, train_in_two_processes

TINY = {"image_size": 64, "batch_size": 8, "epochs": 3, "cotrain": "true"}
TINY |= {"partner": "attention_unet", "networks::attention_unet::channels": [8, 16, 32], "pseudo_label_weight": 1.0}
TINY |= {
    "networks::attention_unet::strides": [2, 2],
    "networks::unet::channels": [8, 16],
    "networks::unet::strides": [2],
}
pytestmark = pytest.mark.slow


def run(folder: Path, **settings: object) -> dict[str, Any]:
    return train(folder, **TINY | settings)[0]


@pytest.mark.parametrize("predict_with", ["student", "partner", "both"])
def test_the_weights_of_what_predicts_describe_themselves(folder: Path, predict_with: str):
    last = run(folder, predict_with=predict_with, epochs=1, output_dir=f"runs/{predict_with}")
    record = json.loads((folder / "runs" / predict_with / "model.json").read_text())
    kinds = [one["_target_"].split(".")[-1] for one in record["architecture"].get("networks", [record["architecture"]])]
    expected = {"student": ["UNet"], "partner": ["AttentionUnet"], "both": ["UNet", "AttentionUnet"]}[predict_with]
    assert kinds == expected
    assert record["network"] == ("attention_unet" if predict_with == "partner" else "unet")
    assert bool(last["co_training"]) == (predict_with != "both")
    evaluate = ["monai.bundle", "run", "--config_file", f"{BUNDLE}/configs/evaluate.yaml", "--bundle_root", str(BUNDLE)]
    evaluate += ["--checkpoint", f"runs/{predict_with}/model.pt", "--tracking_uri", "none"]
    done = forked.run(evaluate, cwd=folder)
    assert done.returncode == 0, done.stderr


def test_a_partner_of_this_package_is_built_and_evaluated(folder: Path):
    small = {"networks::swin_unet::embed_dim": 24, "networks::swin_unet::depths": [1, 1], "partner": "swin_unet"}
    run(folder, **small, epochs=1, predict_with="partner", output_dir="runs/swin")
    evaluate = ["monai.bundle", "run", "--config_file", f"{BUNDLE}/configs/evaluate.yaml", "--bundle_root", str(BUNDLE)]
    done = forked.run([*evaluate, "--checkpoint", "runs/swin/model.pt", "--tracking_uri", "none"], cwd=folder)
    assert done.returncode == 0, done.stderr


def test_a_killed_training_resumes_to_both_networks_of_an_uninterrupted_one(folder: Path):
    check_killed_and_resumed(folder, **TINY)


def test_two_processes_have_both_networks_of_one(folder: Path):
    tiny = {"epochs": 2, "batch_size": 28, "learning_rate": 0.01, "cut": "false", "partner": "unet"}
    tiny |= {"networks::unet::norm": "instance"}
    one = run(folder, **tiny, output_dir="runs/one")
    two = train_in_two_processes(folder, **TINY | tiny, output_dir="runs/two")
    for name in ("network", "co_training"):
        torch.testing.assert_close(two[name], one[name], atol=1e-6, rtol=1e-4)
    assert any(not torch.equal(value, one["co_training"][name]) for name, value in one["network"].items())
