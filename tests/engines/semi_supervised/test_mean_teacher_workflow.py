"""The workflow trains with a teacher: wired, resumed to the bit after a kill, and the same in two processes."""

import json
from pathlib import Path
from typing import Any

import forked
import pytest
import torch
from inter_domain_training import BUNDLE, check_killed_and_resumed, train, train_in_two_processes

TINY = {"image_size": 32, "batch_size": 8, "epochs": 4, "consistency": 1.0}
pytestmark = pytest.mark.slow


def run(folder: Path, **settings: object) -> tuple[dict[str, Any], str]:
    return train(folder, **TINY | settings)


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
    check_killed_and_resumed(folder, **TINY, dropout=0.5, predict_with="teacher")


def test_two_processes_have_the_student_and_teacher_of_one(folder: Path):
    tiny = {"epochs": 3, "batch_size": 28, "consistency_ramp": "[0.0, 0.1]", "networks::unet::norm": "instance"}
    tiny |= {"learning_rate": 0.01}
    one, _ = run(folder, **tiny, output_dir="runs/one")
    two = train_in_two_processes(folder, **TINY | tiny, output_dir="runs/two")
    for name in ("network", "mean_teacher"):
        torch.testing.assert_close(two[name], one[name], atol=1e-6, rtol=1e-4)
    moved = max(float((one["network"][name] - value).abs().max()) for name, value in one["mean_teacher"].items())
    assert moved > 1e-4, "a teacher that equals the student shows nothing"
