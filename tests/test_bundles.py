"""Every bundle, run as its users run it: `python -m monai.bundle run` in a folder of its own."""

import ast
import csv
import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import forked
import itk
import numpy as np
import pytest
import torch
import yaml
from killed import kill_after_an_epoch
from mlflow import MlflowClient
from monai.bundle import ComponentLocator, ConfigParser, ConfigWorkflow
from monai.bundle.properties import InferProperties
from monai.utils import optional_import
from PIL import Image

from common.bundle.complete import write_complete
from common.datasets.catalogue import dataset_names

ROOT = Path(__file__).parents[1]
BUNDLES = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/bundle.yaml"))
BY_HAND = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/register.yaml"))  # no training: one workflow
CONFIGS = [
    path
    for bundle in BUNDLES + BY_HAND
    for path in bundle.glob("configs/*.yaml")
    if path.name not in ("bundle.yaml", "experiments.yaml", "report.yaml")
]
ECHO = Path("bundles/echo_segmentation")
TINY = {"image_size": 32, "batch_size": 8, "epochs": 2}


def test_there_are_bundles():
    assert ROOT / ECHO in BUNDLES
    assert ROOT / "bundles/annotation_consistency" in BY_HAND


def command(workflow: str, **settings: object) -> list[str]:
    words = ["monai.bundle", "run", "--config_file", str(ECHO / "configs" / workflow), "--bundle_root", str(ECHO)]
    return words + [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def run(folder: Path, workflow: str, ok: bool = True, **settings: object) -> str:
    result = forked.run(command(workflow, **settings), cwd=folder)
    assert (result.returncode == 0) == ok, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """A finished training of four epochs."""
    run(folder, "train.yaml", **{**TINY, "epochs": 4}, output_dir="runs/whole")
    return folder / "runs" / "whole"


@pytest.mark.parametrize("bundle", BUNDLES + BY_HAND, ids=lambda path: path.name)
def test_the_complete_configurations_are_up_to_date(bundle: Path):
    assert write_complete(bundle, check=True) == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parents[1].name}/{path.name}")
def test_no_bundle_states_what_labels_mean(path: Path):
    """The prepared folders do; a bundle names its classes, and what it withholds or renames."""
    config = yaml.safe_load(path.read_text())
    stated = config.get("label_sets", {"_target_": "common.datasets.stated_label_sets"})
    assert stated["_target_"] == "common.datasets.stated_label_sets"
    assert set(config.get("withheld", {})) <= set(dataset_names())
    if isinstance(config.get("classes"), list):  # evaluation and pseudo-labels take those of the weights
        hidden = [name for names in config.get("withheld", {}).values() for name in names]
        assert set(hidden) < set(config["classes"])


@cache
def imported_by_common() -> set[str]:
    """Name the packages that published code imports."""
    return {
        name.split(".")[0]
        for path in (ROOT / "common").rglob("*.py")
        if "experiments" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }


@pytest.mark.parametrize("bundle", BUNDLES + BY_HAND, ids=lambda path: path.name)
def test_metadata_says_what_the_configuration_says(bundle: Path):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    facts = ["register.yaml"] if bundle in BY_HAND else ["inference.yaml", "train.yaml"]  # of its weights, if there are
    stated = [
        yaml.safe_load(path.read_text())["classes"] for name in facts if (path := bundle / "configs" / name).exists()
    ]
    classes = next(names for names in stated if type(names) is list)
    output = metadata["network_data_format"]["outputs"]["pred"]
    assert list(output["channel_def"].values()) == classes
    assert output["num_channels"] == len(classes)
    assert metadata["version"] in metadata["changelog"]
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    stated = metadata["required_packages_version"] | {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
    }
    assert {name: pinned[name] for name in stated} == stated
    packages = {"ignite": "pytorch-ignite", "PIL": "pillow", "yaml": "PyYAML"}
    needed = {packages.get(name, name) for name in imported_by_common()} & set(pinned)
    assert needed - set(stated) == set(), "what the published code imports"


@pytest.mark.parametrize("bundle", BUNDLES + BY_HAND, ids=lambda path: path.name)
def test_a_bundle_holds_the_files_that_the_model_zoo_asks_for(bundle: Path):
    for name in ("LICENSE", "configs/logging.conf", "docs/README.md", "docs/data_license.txt"):
        assert (bundle / name).is_file(), name


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parents[1].name}/{path.name}")
def test_every_component_of_a_configuration_exists(path: Path):
    locator = ComponentLocator()

    def targets(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            if "_target_" in node:
                yield node["_target_"]
            for value in node.values():
                yield from targets(value)
        elif isinstance(node, list):
            for value in node:
                yield from targets(value)

    found = list(targets(yaml.safe_load(path.read_text())))
    assert found
    for target in found:
        if "." in target:
            module, _, name = target.rpartition(".")
            assert optional_import(module, name=name)[1], target
        else:
            assert isinstance(locator.get_component_module_name(target), str), target


@pytest.mark.slow
def test_weights_are_used_with_what_their_data_meant(folder: Path, trained: Path):
    record = json.loads((trained / "model.json").read_text())
    assert record["datasets"] == ["camus_like", "echonet_like", "unity_like"]
    assert (record["renamed"], sorted(record["hidden"])) == ({}, ["left_atrium", "lv_myocardium"])
    weights = folder / "another.pt"
    weights.write_bytes((trained / "model.pt").read_bytes())
    weights.with_suffix(".json").write_text(json.dumps(record | {"renamed": {"lv_myocardium": "lv_cavity"}}))
    before = sorted(folder.iterdir())
    for workflow, given in (
        ("evaluate.yaml", {"checkpoint": weights}),
        ("pseudo_label.yaml", {"checkpoint": weights}),
        ("train.yaml", {**TINY, "initial_weights": weights, "learning_rate": 0.001}),
    ):
        said = run(folder, workflow, ok=False, **given)
        assert (
            f"lv_myocardium counted as lv_cavity in {weights}, not as lv_myocardium. Repeat that with --renamed" in said
        )
    assert sorted(folder.iterdir()) == before
    assert "logged in MLflow" in run(folder, "evaluate.yaml", checkpoint=weights, renamed="{}")
    hidden = {"left_atrium": record["seen"]["training"]}
    weights.with_suffix(".json").write_text(json.dumps(record | {"hidden": hidden}))
    said = run(folder, "pseudo_label.yaml", ok=False, checkpoint=weights)
    assert re.search(r"left_atrium of \d+ patients of 'camus_like', such as camus_like_\d+, was hidden from", said)


@pytest.mark.slow
def test_a_training_leaves_weights_history_pictures_and_a_run(trained: Path):
    assert {path.name for path in trained.iterdir()} >= {
        "model.pt", "model.json", "last.pt", "config.yaml", "history.json", "curves.png", "validation_examples.png"
    }  # fmt: skip
    rows = json.loads((trained / "history.json").read_text())
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert "dice/camus_like/left_atrium" in rows[-1]
    assert "dice/unity_like/left_atrium" not in rows[-1], "withheld from training and validation"
    run = json.loads((trained / "mlflow_run.json").read_text())
    client = MlflowClient(f"sqlite:///{trained.parents[1]}/runs/mlflow.db")
    logged = client.get_run(run["run_id"])
    assert logged.info.status == "FINISHED"
    assert logged.data.params["loss"] == "marginal"
    assert len(logged.data.params["data"]) == 64, "checksum of the data"
    history = client.get_metric_history(run["run_id"], "mean_dice")
    assert [(metric.step, metric.value) for metric in history] == [(row["epoch"], row["mean_dice"]) for row in rows]
    kept = client.get_run(run["run_id"]).data.metrics["best_mean_dice"]
    assert kept == max(row["mean_dice"] for row in rows)
    assert {item.path for item in client.list_artifacts(run["run_id"])} >= {"model.pt", "config.yaml", "curves.png"}


@pytest.mark.slow
def test_evaluation_scores_labels_that_training_lacked(folder: Path, trained: Path):
    before = {path: path.read_bytes() for path in trained.iterdir() if path.is_file()}
    output = run(folder, "evaluate.yaml", checkpoint="runs/whole/model.pt")  # nothing else is repeated
    assert "unity_like" in output
    assert {path: path.read_bytes() for path in trained.iterdir() if path.is_file()} == before
    (report,) = (trained / "evaluations").glob("phantom-*-test-*")
    with (report / "dice.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 3 + 10 * 2, (
        "two phases of two test patients in three domains and of ten in the external"
    )
    assert all(row["left_atrium"] != "" for row in rows if row["dataset"] == "unity_like")
    assert {f"{score}/lv_cavity" for score in ("hd95_mm", "asd_mm", "false_positives")} <= rows[0].keys()
    summary = json.loads((report / "summary.json").read_text())
    by_hand = np.mean([float(row["lv_cavity"]) for row in rows if row["dataset"] == "echonet_like"])
    assert summary["dice/echonet_like/lv_cavity"] == pytest.approx(by_hand, abs=1e-4)  # the table rounds to 4 digits
    training, own = (json.loads((path / "mlflow_run.json").read_text())["run_id"] for path in (trained, report))
    client = MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
    assert client.get_run(own).data.metrics["test/mean_dice"] == pytest.approx(summary["mean_dice"])
    assert client.get_run(own).data.tags["mlflow.parentRunId"] == training
    assert not any(name.startswith("test/") for name in client.get_run(training).data.metrics)


@pytest.mark.slow
@pytest.mark.robust
def test_a_killed_training_resumes_to_the_weights_of_an_uninterrupted_one(folder: Path, trained: Path):
    settings = {**TINY, "epochs": 4, "output_dir": "runs/killed"}
    killed = folder / "runs" / "killed"
    kill_after_an_epoch(command("train.yaml", **settings), folder, killed, epochs=4)
    run(folder, "train.yaml", **settings, resume="true")
    for name in ("model.pt", "last.pt"):
        whole, resumed = (torch.load(path / name, weights_only=True) for path in (trained, killed))
        assert resumed.pop("settings", None) == whole.pop("settings", None)
        torch.testing.assert_close(resumed, whole, rtol=0, atol=0)
    rows = json.loads((killed / "history.json").read_text())
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    client = MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
    experiment = client.get_experiment_by_name("echo_segmentation").experiment_id
    own = [one for one in client.search_runs([experiment]) if one.data.tags["folder"].endswith("runs/killed")]
    assert [one.info.status for one in own] == ["FINISHED"]


@pytest.mark.slow
def test_a_second_training_sets_the_first_aside(folder: Path):
    for _ in range(2):
        run(folder, "train.yaml", **{**TINY, "epochs": 1}, output_dir="runs/twice")
    assert (folder / "runs" / "twice" / "model.pt").is_file()
    assert (folder / "runs" / "twice.previous-1" / "model.pt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": 3}, r"--epoch is not a setting of this bundle. Did you mean --epochs\?"),
        ({"augmentation#scal": 1}, r"--augmentation#scal is not .* Did you mean --augmentation::scale\?"),
        ({"loss": "margnal"}, r"--loss: expected one of categorical_ce, .*marginal.*, got 'margnal'"),
        ({"epochs": "three"}, r"--epochs: expected a number, like its default \d+, got 'three'"),
        ({"data": "data/nowhere"}, r"data/nowhere is not a prepared dataset: it has no provenance.json"),
        ({"label_dropout": 1.5}, r"--label_dropout is 1.5, expected at most 1"),
        (
            {"withheld": "{'nobody': ['left_atrium']}"},
            r"withheld names 'nobody', which is not in the data: \['camus_like'",
        ),
        ({"train_on": "camus"}, r"train_on names 'camus', which is not in the data: .* Did you mean 'camus_like'\?"),
    ],
)
def test_a_wrong_setting_stops_the_run_with_one_clear_line(folder: Path, settings: dict[str, object], message: str):
    output = run(folder, "train.yaml", ok=False, **{**TINY, "output_dir": "runs/wrong", **settings})
    assert re.search(message, output), output
    assert "Traceback" not in output
    assert not (folder / "runs" / "wrong" / "last.pt").exists()


@pytest.mark.slow
def test_evaluation_without_weights_says_how_to_get_them(folder: Path):
    output = run(folder, "evaluate.yaml", ok=False, run_name="nothing")
    assert re.search(r"nothing/model.pt is missing\. Train first, or choose weights with --checkpoint PATH", output)
    assert "Traceback" not in output


@pytest.mark.slow
def test_every_loss_and_network_trains(folder: Path):
    config = yaml.safe_load((ROOT / ECHO / "configs" / "train.yaml").read_text())
    losses, networks = list(config["losses"]), list(config["networks"])
    assert len(losses) >= 5
    assert len(networks) >= 2
    choices = [{"loss": loss} for loss in losses[:-1]] + [
        {"network": network, "loss": losses[-1]} for network in networks
    ]
    for choice in choices:
        parser = ConfigParser()
        parser.read_config(ROOT / ECHO / "configs" / "train.yaml")
        output = folder / "runs" / "_".join(choice.values())
        output.mkdir(parents=True)
        parser.update({**TINY, **choice, "epochs": 1, "data": str(folder / "data/phantom"), "label_dropout": 0.3})
        parser.update({"output_dir": str(output), "tracking_uri": f"sqlite:///{folder}/runs/mlflow.db"})
        handlers = parser["train"]["handlers"]  # pictures take most of the time
        handlers[:] = [one for one in handlers if one["_target_"] != "common.tracking.Pictures"]
        trainer = parser.get_parsed_content("train::trainer")
        before = {name: value.clone() for name, value in parser.get_parsed_content("model").state_dict().items()}
        trainer.run()
        weights = torch.load(output / "model.pt", weights_only=True)
        assert all(value.isfinite().all() for value in weights.values()), choice
        assert any(not torch.equal(weights[name], before[name]) for name in before), choice


@pytest.mark.slow
@pytest.mark.usefixtures("trained")
def test_measuring_returns_to_the_geometry_of_the_input(folder: Path):
    source = folder / "scans"
    source.mkdir()
    pixels = np.zeros((60, 45), np.float32)  # rows, columns
    pixels[10:50, 5:30] = 128
    image = itk.image_view_from_array(pixels)
    image.SetSpacing((0.4, 0.3))
    itk.imwrite(image, str(source / "scan.nii.gz"))
    run(folder, "measure.yaml", input="scans", image_size=32, checkpoint="runs/whole/model.pt", output="out")
    result = itk.imread(str(folder / "out" / "scan_seg.nii.gz"))
    labels = itk.array_from_image(result)
    assert labels.squeeze().shape == pixels.shape
    assert tuple(result.GetSpacing())[:2] == pytest.approx((0.4, 0.3))
    assert set(np.unique(labels)) <= {0, 1, 2, 3}


@pytest.mark.slow
def test_measuring_sees_what_evaluation_sees(folder: Path):
    item = json.loads((folder / "data/phantom/datalist.json").read_text())[0]
    parser = ConfigParser()
    parser.read_config(ROOT / ECHO / "configs" / "train.yaml")
    torch.manual_seed(0)
    network = parser.get_parsed_content("network_def").eval()  # random weights see every detail
    torch.save(network.state_dict(), folder / "random.pt")
    settings = {
        "image_size": 32,
        "find_sector": "false",
        "augmented": "never",
        "smallest_piece": 0,
        "checkpoint": "random.pt",
        "activation": "softmax",
        "network": "unet",
        "classes": str(parser["classes"]),
    }
    run(folder, "measure.yaml", input=f"data/phantom/{item['image']}", output="out_png", **settings)
    (result,) = (folder / "out_png").glob("*_seg.png")
    pixels = torch.from_numpy(np.array(Image.open(folder / "data/phantom" / item["image"]))).float() / 255
    with torch.no_grad():
        expected = network(pixels[None, None]).argmax(dim=1)[0].numpy()
    assert len(np.unique(expected)) > 1, "there is something to compare"
    np.testing.assert_array_equal(np.array(Image.open(result)), expected)


@pytest.mark.slow
@pytest.mark.usefixtures("trained")
def test_a_training_can_start_from_the_weights_of_another(folder: Path):
    start = {"initial_weights": "runs/whole/model.pt", "learning_rate": 0, "weight_decay": 0, "epochs": 1}
    run(folder, "train.yaml", **{**TINY, **start}, output_dir="runs/tuned")
    weights, tuned = (torch.load(folder / "runs" / name / "model.pt", weights_only=True) for name in ("whole", "tuned"))
    parameters = [name for name in weights if "running" not in name and "batches" not in name]
    assert len(parameters) > 10
    torch.testing.assert_close(*({name: own[name] for name in parameters} for own in (tuned, weights)), rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("workflow", "kind"),
    [("train.yaml", "train"), ("evaluate.yaml", "infer"), ("inference.yaml", "infer"), ("measure.yaml", "infer")],
)
def test_the_workflows_have_monais_standard_properties(
    folder: Path, workflow: str, kind: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(folder)
    place = {} if workflow == "evaluate.yaml" else {"output_dir": "runs/properties"}
    settings = (
        {**TINY, **place} if kind == "train" else {**place, "image_size": 32, "checkpoint": "runs/whole/model.pt"}
    )
    bundle = ConfigWorkflow(str(ECHO / "configs" / workflow), workflow_type=kind, logging_file=False, **settings)
    bundle.initialize()
    assert bundle.check_properties() == []
    if workflow == "inference.yaml":
        assert [name for name in InferProperties if getattr(bundle, name) is None] == []
        assert isinstance(bundle.parser.get_parsed_content("network"), torch.nn.Module)


def test_the_environment_tells_where_mlflow_logs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    parser = ConfigParser()
    parser.read_config(ROOT / ECHO / "configs" / "train.yaml")
    assert parser.get_parsed_content("tracking_uri") == "sqlite:///elsewhere.db"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
