"""A training starts only from weights of the same classes, in the same order, and of the same network."""

import json
import logging
from pathlib import Path
from typing import Any

import forked
import pytest
import torch
import yaml
from torch import nn

from common.engines import check_initial_weights

ROOT = Path(__file__).parents[2]
RECORD = {"activation": "softmax", "classes": ["background", "lv", "la"], "image_size": 64, "network": "unet"}


def network(classes: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, classes, 1))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(network().state_dict(), tmp_path / "model.pt")
    (tmp_path / "model.json").write_text(json.dumps(RECORD))
    return tmp_path / "model.pt"


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            {"classes": ["background", "la", "lv"]},
            r"model\.pt were trained with classes \['background', 'lv', 'la'\], not \['background', 'la', 'lv'\]; "
            r"use other --initial_weights, or set --classes\.$",
        ),
        ({"classes": ["background", "lv", "kidney"]}, r"'la'\], not \['background', 'lv', 'kidney'\]"),
        ({"network": "swin"}, r"were trained with network unet, not swin; .* set --network\.$"),
        ({"classes": ["background"], "network": "swin"}, r"not \['background'\] and network unet, not swin; .* and --"),
    ],
)
def test_weights_of_other_classes_or_another_network_are_refused(weights: Path, own: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        check_initial_weights(weights, RECORD | own, network())


def test_the_same_weights_serve_another_image_size(weights: Path, caplog: pytest.LogCaptureFixture):
    check_initial_weights(str(weights), RECORD | {"image_size": 160}, network())
    assert caplog.records == []


def test_another_reading_of_the_logits_is_a_warning(weights: Path, caplog: pytest.LogCaptureFixture):
    check_initial_weights(weights, RECORD | {"activation": "sigmoid"}, network())
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    assert "trained with logits read by a softmax; this loss reads them by a sigmoid" in line.getMessage()


def test_weights_without_a_record_are_accepted_with_a_warning(weights: Path, caplog: pytest.LogCaptureFixture):
    weights.with_suffix(".json").unlink()
    check_initial_weights(weights, RECORD, network())
    assert "model.pt has no record: its classes and their order cannot be checked" in caplog.text


def test_weights_that_do_not_fit_are_refused_in_one_line(weights: Path):
    torch.save(network(5).state_dict(), weights)
    message = (
        r"does not fit this network: 2 of 4 tensors differ, the first is 1\.weight: "
        r"\(5, 4, 1, 1\) in the weights, \(3, 4, 1, 1\) in the network\. .*--network or --classes\.$"
    )
    with pytest.raises(ValueError, match=message):
        check_initial_weights(weights, RECORD, network())
    torch.save({"other.weight": torch.zeros(2)}, weights)
    with pytest.raises(ValueError, match=r"5 of 5 tensors differ, the first is 0\.weight: missing in the weights"):
        check_initial_weights(weights, RECORD, network())


def test_a_checkpoint_that_holds_a_network_is_read_as_the_loader_reads_it(weights: Path):
    torch.save({"network": network().state_dict(), "epoch": 3}, weights)
    check_initial_weights(weights, RECORD, network())


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_a_file_that_is_not_weights_is_named(weights: Path, content: bytes):
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.pt is not readable as weights \(.+\); use other --initial_weights"):
        check_initial_weights(weights, RECORD, network())


def test_a_list_of_tensors_is_not_weights(weights: Path):
    torch.save([torch.zeros(1)], weights)
    with pytest.raises(ValueError, match=r"is not readable as weights"):
        check_initial_weights(weights, RECORD, network())


def test_missing_weights_are_named_and_none_start_from_scratch(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"model\.pt is missing; --initial_weights expects the path of a"):
        check_initial_weights(tmp_path / "model.pt", RECORD, network())
    check_initial_weights(None, RECORD, network())


def test_a_training_checks_its_initial_weights_before_it_moves_or_writes_anything():
    for path in ROOT.glob("bundles/*/configs/train.yaml"):
        content = yaml.safe_load(path.read_text())
        steps = [step["_target_"] for step in content["run"] if isinstance(step, dict)]
        assert steps.index("common.engines.check_initial_weights") < steps.index("common.engines.train")
        assert content["train"]["handlers"][0]["_target_"] == "common.engines.RunFolder", "the first that writes"


@pytest.mark.slow
def test_weights_of_other_classes_stop_a_training_before_it_moves_an_earlier_one(folder: Path):
    bundle = "bundles/echo_segmentation"
    sizes = ["--image_size", "32", "--batch_size", "8", "--epochs", "1", "--output_dir", "runs/first"]
    words = ["monai.bundle", "run", "--config_file", f"{bundle}/configs/train.yaml", "--bundle_root", bundle, *sizes]
    assert forked.run(words, cwd=folder).returncode == 0
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "runs/first").iterdir()}
    swapped = "['background', 'lv_myocardium', 'lv_cavity', 'left_atrium']"
    for own, message in (
        (["--classes", swapped], f"not {swapped}; use other --initial_weights, or set --classes."),
        (["--network", "attention_unet"], "were trained with network unet, not attention_unet; "),
    ):
        result = forked.run([*words, "--initial_weights", "runs/first/model.pt", *own], cwd=folder)
        assert result.returncode != 0
        assert message in result.stderr
        assert "Traceback" not in result.stderr
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "runs/first").iterdir()} == before
    assert not list((folder / "runs").glob("first.previous*"))
