"""Weights of a bundle of volumes, used as its users use them: measured, and in MONAI's programs, on drawn pelves."""

import csv
import json
import shutil
from pathlib import Path

import forked
import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigWorkflow
from monai.bundle.properties import InferProperties

pytestmark = pytest.mark.slow
CT = "bundles/ct_partial_overlap"
SMALL = {"data": "data/pelvis", "image_size": [24, 24, 24], "patches": 20, "epochs": 32, "tracking_uri": "none"}
LEARNED = {1: ("bladder", 0.7), 2: ("rectum", 0.35), 4: ("bones", 0.2)}  # relative errors after 320 steps


def words(bundle: str, workflow: str, **settings: object) -> list[str]:
    start = ["monai.bundle", "run", "--config_file", f"{bundle}/configs/{workflow}.yaml", "--bundle_root", bundle]
    return start + [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def run(folder: Path, bundle: str, workflow: str, ok: bool = True, **settings: object) -> str:
    result = forked.run(words(bundle, workflow, **settings), cwd=folder)
    assert (result.returncode == 0) == ok, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """A working directory with prepared pelves, a short training, and a folder of three of its patients."""
    drawn = forked.run(["common.datasets", "pelvis", "data/pelvis", "--patients", "10", "--spacing", "8"], cwd=folder)
    assert drawn.returncode == 0, drawn.stderr
    run(folder, CT, "train", **SMALL, loss="marginal_dice_ce", learning_rate=0.05, run_name="short")
    (folder / "patients").mkdir()
    for number in range(3):
        shutil.copy(folder / f"data/pelvis/images/pelvis_supine_000{number}.nii", folder / "patients")
    return folder


CHECKPOINT = {"checkpoint": "runs/ct_partial_overlap/short/model.pt"}


def test_measured_millilitres_are_those_of_the_label_map_in_the_right_place(trained: Path):
    run(trained, CT, "measure", **CHECKPOINT, input="patients", output="out")
    with (trained / "out" / "measurements.csv").open(newline="") as file:
        rows = {row["scan"]: row for row in csv.DictReader(file)}
    assert len(rows) == 3
    for name, row in rows.items():
        image = nib.load(trained / "data/pelvis/labels" / name)
        truth = np.asarray(image.dataobj)
        found = nib.load(trained / "out" / name.replace(".nii", "_seg.nii.gz"))
        np.testing.assert_array_equal(found.affine, image.affine)
        for value, (organ, error) in LEARNED.items():
            volume = (np.asarray(found.dataobj) == value).sum() * 8.0**3 / 1000
            assert float(row[f"{organ}_volume (ml)"]) == pytest.approx(volume), (name, organ)
            drawn = (truth == value).sum() * 8.0**3 / 1000
            assert volume == pytest.approx(drawn, rel=error), (name, organ)
        bones = np.asarray(found.dataobj) == 4
        assert 2 * (bones & (truth == 4)).sum() / (bones.sum() + (truth == 4).sum()) > 0.7, "in the right place"
        assert "bones: cut off by the edge of the scan" in row["flags"]
    record = json.loads((trained / "out" / "pelvis_supine_0000.json").read_text())
    stated = json.loads((trained / "runs/ct_partial_overlap/short/model.json").read_text())
    assert record["made"]["weights"] == stated["weights"]
    assert record["made"]["algorithm"].startswith("ct_partial_overlap ")
    again = run(trained, CT, "measure", **CHECKPOINT, input="patients", output="out")
    assert "0/3" not in again, "nothing is segmented again"


def test_what_contradicts_the_weights_stops_a_measurement_in_one_line(trained: Path):
    for own, message in (
        ({"spacing": "[2,2,2]"}, "was trained with spacing [8.0, 8.0, 8.0], not [2, 2, 2]"),
        ({"image_size": "[16,16,16]"}, "was trained with image_size [24, 24, 24], not [16, 16, 16]"),
        ({"classes": "[background, bladder]"}, "was trained with classes ["),
        ({"find_sector": "true"}, "--find_sector is not a setting of this bundle"),
        ({"input": "data/phantom"}, "expected NIfTI, MetaImage or NRRD volumes, or folders of CT, MR or PET slices"),
    ):
        said = run(trained, CT, "measure", ok=False, **{**CHECKPOINT, "input": "patients", "output": "refused", **own})
        assert message in said, said
        assert "Traceback" not in said
    assert not (trained / "refused").exists()
    echo = "bundles/echo_segmentation"
    said = run(trained, echo, "measure", ok=False, **CHECKPOINT, input="patients")
    assert "not grey value / 255; use other weights" in said


def test_inference_gives_the_label_maps_that_measuring_gives(trained: Path):
    given = {**CHECKPOINT, "dataset_dir": "patients", "pattern": "*.nii"}
    run(trained, CT, "inference", **given, output_dir="inferred")
    run(trained, CT, "measure", **CHECKPOINT, input="patients", output="all", smallest_piece=0)
    for name in ("pelvis_supine_0000", "pelvis_supine_0001", "pelvis_supine_0002"):
        inferred, measured = (nib.load(trained / one / f"{name}_seg.nii.gz") for one in ("inferred", "all"))
        np.testing.assert_allclose(inferred.affine, measured.affine, atol=1e-5)
        assert (np.asarray(inferred.dataobj) != np.asarray(measured.dataobj)).mean() < 1e-3


def test_a_new_bundle_with_weights_of_its_own_is_complete(trained: Path, monkeypatch: pytest.MonkeyPatch):
    organs = ["bladder", "rectum", "uterus", "bones", "left_femoral_head", "right_femoral_head"]
    new = ["common.bundle", "new", "pelvis_ct", "--like", "ct_partial_overlap", "--folder", "mine", "--classes"]
    made = forked.run([*new, *organs], cwd=trained)
    assert made.returncode == 0, made.stderr
    for name in ("model.pt", "model.json"):
        shutil.copy(trained / "runs/ct_partial_overlap/short" / name, trained / "mine/pelvis_ct/models")
    assert forked.run(["common.bundle", "complete", "mine/pelvis_ct"], cwd=trained).returncode == 0
    run(trained, "mine/pelvis_ct", "measure", input="patients/pelvis_supine_0000.nii", output="own")
    assert (trained / "own" / "pelvis_supine_0000_seg.nii.gz").is_file()
    monkeypatch.chdir(trained)
    config = yaml.safe_load(Path("mine/pelvis_ct/configs/inference.yaml").read_text())
    assert config["spacing"] == [8.0, 8.0, 8.0]
    for workflow in ("inference", "measure"):
        place = {"bundle_root": "mine/pelvis_ct", "output_dir": "runs/properties"}
        place |= {"input": "patients"} if workflow == "measure" else {"dataset_dir": "patients"}
        files = f"mine/pelvis_ct/configs/{workflow}.yaml"
        bundle = ConfigWorkflow(files, workflow_type="infer", logging_file=False, **place)
        bundle.initialize()
        assert bundle.check_properties() == []
        if workflow == "inference":
            assert [name for name in InferProperties if getattr(bundle, name) is None] == []
            assert isinstance(bundle.parser.get_parsed_content("network"), torch.nn.Module)
