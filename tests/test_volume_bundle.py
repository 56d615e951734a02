"""A bundle of volumes, run as its users run it, on drawn pelves."""

import json
import subprocess
import sys
import time
from pathlib import Path

import forked
import nibabel as nib
import numpy as np
import pytest
import torch

pytestmark = pytest.mark.slow
BUNDLE = Path("bundles/ct_partial_overlap")
TINY = {"data": "data/pelvis", "image_size": [16, 16, 16], "patches": 4, "epochs": 4, "tracking_uri": "none"}


def words(workflow: str, **settings: object) -> list[str]:
    start = ["monai.bundle", "run", "--config_file", f"{BUNDLE}/configs/{workflow}.yaml", "--bundle_root", str(BUNDLE)]
    return start + [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def run(folder: Path, workflow: str, **settings: object) -> str:
    result = forked.run(words(workflow, **settings), cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def refused(folder: Path, command: list[str]) -> str:
    result = forked.run(command, cwd=folder)
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """Prepared pelves of ten patients in each domain, and a training with a Mean Teacher."""
    drawn = forked.run(["common.datasets", "pelvis", "data/pelvis", "--patients", "10", "--spacing", "8"], cwd=folder)
    assert drawn.returncode == 0, drawn.stderr
    run(folder, "train", **TINY, run_name="whole", consistency=1.0, dropout=0.5)
    return folder


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"runs/ct_partial_overlap/{name}/last.pt", weights_only=True)["network"]


def test_the_record_states_what_a_volume_has_to_be(trained: Path):
    record = json.loads((trained / "runs/ct_partial_overlap/whole/model.json").read_text())
    provenance = json.loads((trained / "data/pelvis/provenance.json").read_text())
    assert record["image_size"] == [16, 16, 16]
    assert record["spacing"] == [8.0, 8.0, 8.0] == provenance["spacing"]
    assert record["normalisation"] == {"window": [-200, 200], **provenance["intensity"]}


def test_a_killed_training_goes_on_to_the_same_weights(trained: Path):
    command = words("train", **TINY, run_name="killed", consistency=1.0, dropout=0.5, resume=True)
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=trained, stderr=subprocess.DEVNULL)
    last = trained / "runs/ct_partial_overlap/killed/last.pt"
    deadline = time.monotonic() + 300
    while not last.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -9, "it was killed before its end"
    result = forked.run(command, cwd=trained)
    assert result.returncode == 0, result.stderr
    whole = weights(trained, "whole")
    assert all(torch.equal(value, whole[name]) for name, value in weights(trained, "killed").items())


def test_whole_volumes_are_evaluated_and_completed_by_a_teacher(trained: Path):
    place = {"data": "data/pelvis", "run_name": "whole"}
    run(trained, "evaluate", **place, tracking_uri="none")
    (table,) = trained.glob("runs/ct_partial_overlap/whole/evaluations/pelvis-*-test-*/dice.csv")
    rows = table.read_text().splitlines()
    assert sum("pelvis_prone" in row for row in rows) >= 2, "the test fold keeps every annotation"
    run(trained, "pseudo_label", **place, out="data/completed", pseudo_labels_among="all")
    items = json.loads((trained / "data/completed/datalist.json").read_text())
    (prone,) = [item for item in items if item["image"].endswith("pelvis_prone_0000.nii")]
    label, own = (
        np.asarray(nib.load(trained / path).dataobj)
        for path in (f"data/completed/{prone['label']}", "data/pelvis/labels/pelvis_prone_0000.nii")
    )
    for value in (1, 2, 3):  # annotated in the prone domain: as they were
        np.testing.assert_array_equal(label == value, own == value)
    assert prone["completed"]


def test_volumes_of_other_voxels_and_pictures_are_refused(trained: Path):
    drawn = ["common.datasets", "pelvis", "data/coarse", "--patients", "10", "--spacing", "12"]
    assert forked.run(drawn, cwd=trained).returncode == 0
    coarse = refused(trained, words("evaluate", data="data/coarse", run_name="whole", tracking_uri="none"))
    assert "(12.0, 12.0, 12.0)] mm, the network was trained at [8.0, 8.0, 8.0]" in coarse
    assert "prepare them with --spacing 8 8 8" in coarse
    hearts = {**TINY, "data": "data/phantom", "classes": "[background, lv_cavity, lv_myocardium, left_atrium]"}
    assert "hold no volumes" in refused(trained, words("train", **hearts, exchanged=[], withheld={}))
    echo = "bundles/echo_segmentation"
    checkpoint = "runs/ct_partial_overlap/whole/model.pt"
    command = ["monai.bundle", "run", "--config_file", f"{echo}/configs/evaluate.yaml", "--bundle_root", echo]
    said = refused(trained, [*command, "--data", "data/phantom", "--checkpoint", checkpoint])
    assert "not grey value / 255; use other weights" in said


def test_a_new_bundle_of_volumes_trains_at_once(trained: Path):
    classes = ["bladder", "rectum", "uterus", "bones", "left_femoral_head", "right_femoral_head"]
    new = [
        "common.bundle",
        "new",
        "pelvis_ct",
        "--like",
        "ct_partial_overlap",
        "--folder",
        "mine",
        "--classes",
        *classes,
    ]
    made = forked.run(new, cwd=trained)
    assert made.returncode == 0, made.stderr
    own = [word.replace(str(BUNDLE), "mine/pelvis_ct") for word in words("train", **{**TINY, "epochs": 1})]
    result = forked.run(own, cwd=trained)
    assert result.returncode == 0, result.stderr
    assert list(trained.glob("runs/pelvis_ct/*/model.json"))
