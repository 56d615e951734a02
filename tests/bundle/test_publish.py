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

import common
from common.bundle.complete import OVERLAY
from common.bundle.publish import LEFT_OUT, publish

ROOT = Path(__file__).parents[2]
ECHO = ROOT / "bundles" / "echo_segmentation"


def test_nothing_of_this_repository_is_left_in_a_published_bundle(tmp_path: Path):
    out = tmp_path / "echo_segmentation"
    publish(ECHO, out)
    files = [*out.glob("scripts/**/*.py"), *out.glob("configs/*.json")]
    assert (out / "scripts" / "losses" / "marginal.py") in files
    for file in files:
        # a dotted name of the package, or an import of it
        assert not re.search(r"^\s*(from|import) common|common\.\w+\.\w+", file.read_text(), re.MULTILINE), file
    for name in ("LICENSE", "docs/README.md", "configs/metadata.json", "configs/logging.conf", "scripts/__init__.py"):
        assert (out / name).is_file(), name
    with pytest.raises(FileExistsError, match=r"echo_segmentation exists; remove it"):
        publish(ECHO, out)


def test_a_published_run_states_the_version_of_its_code(tmp_path: Path):
    publish(ECHO, tmp_path / "out")
    for path in (tmp_path / "out" / "configs").glob("*.json"):
        if path.name not in ("metadata.json", "multi_gpu_train.json"):
            steps = [step for step in json.loads(path.read_text())["initialize"] if isinstance(step, dict)]
            (check,) = [step for step in steps if step["_target_"] == "scripts.bundle.settings.check_settings"]
            assert check["version"] == common.__version__


@pytest.mark.slow
def test_a_run_with_the_code_of_another_version_is_refused(tmp_path: Path):
    first, second = (tmp_path / name for name in ("first", "second"))
    for out in (first, second):
        publish(ECHO, out)
    code = first / "scripts" / "__init__.py"
    code.write_text(code.read_text().replace(common.__version__, "0.0.1"))
    program = f"""
import sys
sys.path.insert(0, {str(first)!r})
import scripts.losses
from monai.bundle import ConfigWorkflow
bundle = ConfigWorkflow({str(second / "configs/train.json")!r}, workflow_type="train", logging_file=False)
bundle.initialize()
bundle.run()
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode != 0
    versions = f"published with version {common.__version__} of its code, but version 0.0.1 is loaded"
    assert versions in result.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_published_copy_publishes_the_same(tmp_path: Path):
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    publish(ECHO, first)
    for bundle, out in ((".", second), (ECHO, third)):  # the published form, and one written in this repository
        words = [sys.executable, "-m", "scripts.bundle", "publish", str(bundle), str(out)]
        result = subprocess.run(words, cwd=first, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert contents(out) == contents(first)


def contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", ["echo_segmentation", "sector_segmentation", "annotation_consistency"])
def test_every_published_bundle_contains_this_package_byte_for_byte(name: str, tmp_path: Path):
    publish(ROOT / "bundles" / name, tmp_path / name)
    ours, copied = contents(ROOT / "common"), contents(tmp_path / name / "scripts")
    assert len(ours) > 100
    assert sorted(copied) == sorted(ours)
    assert copied == ours


def test_only_targets_and_expressions_are_rewritten(tmp_path: Path):
    bundle = tmp_path / "bundle"
    shutil.copytree(ROOT / "bundles" / "annotation_consistency", bundle)
    for path in bundle.glob("configs/*.yaml"):
        path.unlink()
    code = {
        "imports": ["$import common.losses as losses", "$import torch"],
        "loss": {"_target_": "common.losses.MarginalLoss", "weight": "$common.metrics.mean(common.losses.x)"},
        "others": [{"_target_": "torch.nn.L1Loss"}, {"_target_": "torch.common.losses.L1Loss"}, "$x.common.losses"],
    }
    plain = {
        "description": "Prepared by common.datasets",
        "command": ["python -m common.datasets", {"_desc_": "see common.losses"}],
        "common.losses": "@common.losses",
        "epochs": 3,
        "none": None,
        "initialize": ["$print('own')"],
    }
    (bundle / "configs" / "train.yaml").write_text(yaml.safe_dump({**code, **plain}))
    publish(bundle, tmp_path / "out")
    published = json.loads((tmp_path / "out" / "configs" / "train.json").read_text())
    assert published == {
        "imports": ["$import sys", "$import scripts.losses as losses", "$import torch"],
        "loss": {"_target_": "scripts.losses.MarginalLoss", "weight": "$scripts.metrics.mean(scripts.losses.x)"},
        "others": code["others"],
        **plain,
        "bundle_root": ".",
        "initialize": ["$sys.path.insert(1, str(@bundle_root))", "$print('own')"],
    }


def test_loggers_of_the_copied_package_are_configured(tmp_path: Path):
    publish(ECHO, tmp_path / "out")
    ours, published = ((root / "configs" / "logging.conf").read_text() for root in (ECHO, tmp_path / "out"))
    assert published == ours.replace("qualname=common\n", "qualname=scripts\n") != ours


@pytest.mark.slow
def test_two_published_bundles_load_in_one_process(tmp_path: Path):
    """They share `sys.modules["scripts"]`: the second takes what only it uses, the Swin-Unet, from the first."""
    names = ["annotation_consistency", "sector_segmentation", "echo_segmentation"]
    for name in names:
        publish(ROOT / "bundles" / name, tmp_path / name)
    program = f"""
import sys
import torch
from monai.bundle import ConfigParser, load
sys.path.insert(0, {str(tmp_path / names[0])!r})
import scripts.registration
for name in {names[1:]!r}:
    model = load(name, bundle_dir={str(tmp_path)!r}, workflow_type="inference")
    print("loaded", name, type(model).__name__, tuple(model(torch.zeros(1, 1, 32, 32)).shape))
parser = ConfigParser()
parser.read_config({str(tmp_path / "echo_segmentation" / "configs" / "train.json")!r})
parser.update({{"network": "swin_unet", "image_size": 64}})
network = parser.get_parsed_content("networks::swin_unet")
print("loaded", network.func.__module__, list(sys.modules["scripts"].__path__))
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert [line for line in result.stdout.splitlines() if line.startswith("loaded ")] == [
        "loaded sector_segmentation UNet (1, 2, 32, 32)",
        "loaded echo_segmentation UNet (1, 4, 32, 32)",
        f"loaded scripts.networks.swin_unet ['{tmp_path / names[0] / 'scripts'}']",
    ]


@pytest.mark.slow
def test_published_bundles_work_through_monais_python_interface(folder: Path, tmp_path: Path):
    names = ["echo_segmentation", "sector_segmentation"]
    for name in names:
        publish(ROOT / "bundles" / name, tmp_path / name)
    given = {"data": str(folder / "data/phantom"), "image_size": 32, "batch_size": 8, "output_dir": "site"}
    program = f"""
import os
from monai.bundle import create_workflow
from monai.fl.client import MonaiAlgo
from monai.fl.utils.exchange_object import ExchangeObject
echo, sector = {[str(tmp_path / name) for name in names]!r}
for bundle, given in ((echo, {{"bundle_root": echo}}), (sector, {{}})):
    workflow = create_workflow(config_file=f"{{bundle}}/configs/inference.json", workflow_type="infer", **given)
    print("loaded", type(workflow.network_def).__name__, type(workflow.inferer).__module__)
def client(**given):
    algorithm = MonaiAlgo(
        echo, config_train_filename="configs/train.json", config_evaluate_filename="configs/train.json",
        train_kwargs=given, eval_kwargs=dict(given), local_epochs=1, send_weight_diff=False,
    )
    algorithm.initialize()
    return algorithm
site = client(tracking_uri="sqlite:///site.db", **{given!r})
for _ in range(2):  # two rounds of federated learning are one training
    weights = site.get_weights().weights
    site.train(ExchangeObject(weights={{name: value.numpy().copy() for name, value in weights.items()}}))
print("loaded", "dice" in str(site.evaluate(ExchangeObject(weights=weights)).metrics))  # on the validation fold
print("loaded", [name for name in sorted(os.listdir()) if not name.startswith(".")], os.path.isfile("site/model.pt"))
try:
    client(epoch=1)
except RuntimeError as error:
    print("loaded", error.__cause__)
"""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=elsewhere, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    *lines, refused = [line for line in result.stdout.splitlines() if line.startswith("loaded ")]
    assert lines == [
        "loaded UNet scripts.engines.inferer",
        "loaded UNet scripts.engines.inferer",
        "loaded True",
        "loaded ['artifacts', 'site', 'site.db'] True",
    ]
    assert "--epoch is not a setting of this bundle. Did you mean --epochs?" in refused


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
    records = [json.loads((cwd / "runs/form/model.json").read_text()) for cwd in (folder, elsewhere)]
    assert records[0]["training"] == records[1]["training"], "both forms are the same training"

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


def test_published_workflows_keep_the_entries_of_the_complete_ones(tmp_path: Path):
    out = tmp_path / "echo_segmentation"
    publish(ECHO, out)
    for path in ECHO.glob("configs/*.yaml"):
        if path.name not in (*LEFT_OUT, OVERLAY):
            complete = yaml.safe_load(path.read_text())
            published = json.loads((out / "configs" / f"{path.stem}.json").read_text())
            assert list(published) == list(complete)
            assert published.get("classes") == complete.get("classes")


def test_the_published_difference_to_training_replaces_nothing_else(tmp_path: Path):
    """MONAI joins it with train.json, whose imports and folder stay."""
    publish(ECHO, tmp_path / "out")
    text = (ECHO / "configs" / OVERLAY).read_text().replace("_target_: common.", "_target_: scripts.")
    published = json.loads((tmp_path / "out" / "configs" / "multi_gpu_train.json").read_text())
    assert published == yaml.safe_load(text)
    assert published["device"]["_target_"] == "scripts.engines.join_processes"


def test_what_is_not_a_bundle_is_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a bundle: it has no LICENSE, docs"):
        publish(tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def with_weights(folder: Path, **record) -> Path:
    """Copy a bundle, with weights of a training that differs as the record says."""
    shutil.copytree(ECHO, folder)
    path = folder / "models" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **record}))
    return folder


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            {"activation": "sigmoid", "image_size": 32},
            r"configs/inference\.yaml says activation: softmax, image_size: 160, "
            r"but .*models/model\.json says activation: sigmoid, image_size: 32\. State .*bundle\.yaml",
        ),
        (
            {"classes": ["background", "kidney", "liver", "spleen"]},
            r"says classes: \['background', 'lv_cavity'.* says classes: .*kidney",
        ),
        (
            {"architecture": {"_target_": "torch.nn.Identity"}},
            r"models/model\.pt was trained with another network: Identity\(\), not UNet\(; .* --network_def::ARGUMENT",
        ),
    ],
)
def test_weights_that_were_trained_in_another_way_are_refused(tmp_path: Path, record: dict, message: str):
    bundle = with_weights(tmp_path / "bundle", **record)
    with pytest.raises(ValueError, match=message):
        publish(bundle, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_without_their_record_are_refused(tmp_path: Path):
    bundle = with_weights(tmp_path / "bundle")
    (bundle / "models" / "model.json").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"models/model\.pt has no record; copy model\.json of the training too"
    ):
        publish(bundle, tmp_path / "out")
    assert not (tmp_path / "out").exists()
