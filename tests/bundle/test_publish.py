"""The published form of a bundle runs from anywhere, without this repository, and gives the same numbers."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import pytest
import torch
import yaml

from common.bundle.publish import LEFT_OUT, publish, reached

ROOT = Path(__file__).parents[2]
ECHO = ROOT / "bundles" / "echo_segmentation"


def test_nothing_of_this_repository_is_left_in_a_published_bundle(tmp_path: Path):
    out = tmp_path / "echo_segmentation"
    copied = publish(ECHO, out)
    assert len(copied) > 10
    files = [*out.glob("scripts/**/*.py"), *out.glob("configs/*.json")]
    assert (out / "scripts" / "losses" / "marginal.py") in files
    for file in files:
        # a dotted name of the package, or an import of it
        assert not re.search(r"^\s*(from|import) common|common\.\w+\.\w+", file.read_text(), re.MULTILINE), file
    for name in ("LICENSE", "docs/README.md", "configs/metadata.json", "configs/logging.conf", "scripts/__init__.py"):
        assert (out / name).is_file(), name
    with pytest.raises(FileExistsError, match=r"echo_segmentation exists; remove it"):
        publish(ECHO, out)


def test_a_configuration_reaches_what_it_names_and_what_that_imports():
    names = {path.name for path in reached({"a": {"_target_": "common.transforms.EncodeLabelSetsd"}})}
    assert {"encode_label_sets.py", "label_sets.py", "__init__.py"} <= names
    assert "mlflow_run.py" not in names
    with pytest.raises(ValueError, match=r"common.nowhere.Thing is not a module of common"):
        reached(["common.nowhere.Thing"])


@pytest.mark.slow
def test_both_forms_train_to_the_same_weights_and_load_by_name(folder: Path, tmp_path: Path):
    out = tmp_path / "bundles" / "echo_segmentation"
    publish(ECHO, out)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shared = ["--data", str(folder / "data/phantom"), "--image_size", "32", "--batch_size", "8", "--epochs", "2"]
    shared += ["--output_dir", "runs/form"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def words(bundle: Path, name: str) -> list[str]:
        run = ["monai.bundle", "run", "--config_file", str(bundle / "configs" / name), "--bundle_root", str(bundle)]
        return [*run, *shared]

    complete = forked.run(words(ECHO, "train.yaml"), cwd=folder, env=environment)
    published = subprocess.run(
        [sys.executable, "-m", *words(out, "train.json")],
        cwd=elsewhere, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    for result in (complete, published):
        assert result.returncode == 0, result.stdout + result.stderr
    weights = (torch.load(cwd / "runs/form/model.pt", weights_only=True) for cwd in (folder, elsewhere))
    torch.testing.assert_close(*weights, rtol=0, atol=0)

    shutil.copyfile(elsewhere / "runs/form/model.pt", out / "models" / "model.pt")
    program = (
        "import monai.bundle, torch; "
        f"model = monai.bundle.load('echo_segmentation', bundle_dir={str(out.parent)!r}, workflow_type='inference'); "
        "print(type(model).__name__, tuple(model(torch.zeros(1, 1, 32, 32)).shape))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=elsewhere, env=environment, capture_output=True, text=True
    )
    assert "UNet (1, 4, 32, 32)" in result.stdout, result.stdout + result.stderr


def test_published_workflows_say_what_the_complete_ones_say(tmp_path: Path):
    out = tmp_path / "echo_segmentation"
    publish(ECHO, out)
    for path in ECHO.glob("configs/*.yaml"):
        if path.name not in LEFT_OUT:
            complete = yaml.safe_load(path.read_text())
            published = json.loads((out / "configs" / f"{path.stem}.json").read_text())
            assert list(published) == list(complete)
            assert published["classes"] == complete["classes"]
