"""measure.yaml of a bundle for another organ: nothing in its outputs mentions a heart."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
import yaml
from dicom_files import bundled
from measuring import write_dicom
from monai.bundle import ConfigParser
from PIL import Image

from common.bundle.publish import publish

ROOT = Path(__file__).parents[2]
CLASSES = ["background", "kidney", "liver"]
HEART = re.compile(r"heart|ventric|\batri|lv_|\bviews?\b|\bphases?\b|ejection|echo", re.IGNORECASE)


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (60, 45), np.uint8)


@pytest.fixture(scope="module")
def abdomen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with random weights for two organs, made of the workflow of another one."""
    bundle = tmp_path_factory.mktemp("bundles") / "abdomen_segmentation"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "models").mkdir()
    config = yaml.safe_load((ROOT / "bundles/sector_segmentation/configs/measure.yaml").read_text())
    config |= {"runs_dir": "runs", "bundle_root": str(bundle)}
    (bundle / "configs" / "measure.yaml").write_text(yaml.safe_dump(config))
    (bundle / "configs" / "metadata.json").write_text(json.dumps({"version": "3.1.4"}))
    torch.manual_seed(0)
    parser = ConfigParser({**config, "classes": CLASSES, "image_size": 32, "network": "unet"})
    network = parser.get_parsed_content("networks::unet")().eval()
    bias = [value for name, value in network.named_parameters() if name.endswith("bias")][-1]
    with torch.no_grad():  # random weights would prefer one class everywhere
        bias -= network(torch.from_numpy(picture()).float()[None, None, :32, :32] / 255).mean(dim=(0, 2, 3))
    torch.save(network.state_dict(), bundle / "models" / "model.pt")
    record = {
        "activation": "softmax",
        "classes": CLASSES,
        "image_size": 32,
        "network": "unet",
        "loss": "any",
    }
    (bundle / "models" / "model.json").write_text(json.dumps(record))
    return bundle


def run(bundle: Path, folder: Path, **settings: object) -> tuple[int, str]:
    words = ["--config_file", str(bundle / "configs" / "measure.yaml"), "--bundle_root", str(bundle)]
    words += [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    result = forked.run(["monai.bundle", "run", *words], cwd=folder)
    return result.returncode, result.stdout + result.stderr


@pytest.mark.slow
def test_another_organ_is_segmented_and_measured(abdomen: Path, tmp_path: Path):
    source = tmp_path / "in"
    source.mkdir()
    Image.fromarray(picture()).save(source / "a.png")
    write_dicom(source / "b.dcm", np.zeros((256, 256), np.uint8))
    shutil.copy(bundled("CT_small.dcm"), source / "c.dcm")
    code, output = run(abdomen, tmp_path, input="in", output="out")
    assert code == 0, output
    labels = np.asarray(Image.open(tmp_path / "out" / "a_seg.png"))
    assert labels.shape == (60, 45)
    assert len(np.unique(labels)) > 1, "there is something to measure"
    with (tmp_path / "out" / "measurements.csv").open(newline="") as file:
        rows = {row["scan"]: row for row in csv.DictReader(file)}
    for value, name in ((1, "kidney"), (2, "liver")):
        assert float(rows["a.png"][f"{name}_pixels (pixels)"]) == (labels == value).sum()
        assert rows["b.dcm"][f"{name}_area (mm²)"] != ""
        assert rows["c.dcm"][f"{name}_area (mm²)"] != ""
    assert json.loads((tmp_path / "out" / "measurements.json").read_text())["made_by"]["algorithm"] == (
        "abdomen_segmentation 3.1.4"
    )
    written = [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".json", ".csv", ".dcm")]
    assert len(written) == 6
    for path in written:
        assert not HEART.search(path.read_text(errors="ignore")), path
    printed = output[output.index("Measurements") :]
    assert "3 scans: " in printed
    assert not HEART.search(printed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 64}, r"was trained with image_size 32, not 64; .* use --image_size 32"),
        ({"find_sector": "true", "sector_bundle": "nowhere"}, r"--sector_bundle: nowhere/models/model.pt is missing"),
        ({"patient": "{sex: F}"}, r"--patient is not a setting of this bundle"),
        ({"input": "nothing"}, r"nothing is missing"),
    ],
)
def test_what_contradicts_the_weights_or_is_missing_stops_the_run(
    abdomen: Path, tmp_path: Path, settings: dict[str, object], message: str
):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    code, output = run(abdomen, tmp_path, **{"input": "a.png", "output": "out", **settings})
    assert code != 0
    assert re.search(message, output), output
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_published_bundle_measures_from_another_folder(tmp_path: Path):
    published = tmp_path / "bundles" / "echo_segmentation"
    publish(ROOT / "bundles" / "echo_segmentation", published)
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (60, 45), np.uint8)).save(tmp_path / "a_ED.png")
    words = ["--config_file", str(published / "configs" / "measure.json"), "--bundle_root", str(published)]
    words += ["--input", "a_ED.png", "--output", "out"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", *words],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert (
        "sector_segmentation has no weights: the ultrasound sector is found by geometry alone"
        in result.stdout + result.stderr
    )
    record = json.loads((tmp_path / "out" / "a_ED.json").read_text())
    assert record["made"]["algorithm"].startswith("echo_segmentation ")
    assert any("not found by geometry, and no network was asked" in note for note in record["notes"])
    assert (tmp_path / "out" / "measurements.csv").read_text().startswith("study,method,beats,lv_ef (%)")
