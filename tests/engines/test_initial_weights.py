"""A training starts only from weights of the same classes, in the same order, and of the same network."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import forked
import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser
from torch import nn

from common.engines import check_place, initial_weights
from common.label_sets import LabelSets

ROOT = Path(__file__).parents[2]
RECORD = {"activation": "softmax", "classes": ["background", "lv", "la"], "network": "unet"}
COMPLETE = LabelSets(RECORD["classes"], {"clinic": {0: "background", 1: "lv", 2: "la"}})
LV_ALONE = LabelSets(RECORD["classes"], {"clinic": {0: "background", 1: "lv"}})


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
        initial_weights(weights, RECORD | own, network(), LV_ALONE)


def test_weights_are_read_with_the_digest_of_their_file(weights: Path, caplog: pytest.LogCaptureFixture):
    found, digest = initial_weights(str(weights), RECORD, network(), LV_ALONE)
    torch.testing.assert_close(found, torch.load(weights, weights_only=True), rtol=0, atol=0)
    assert digest == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert caplog.records == []


def test_another_reading_of_the_logits_needs_the_annotation_of_every_class(
    weights: Path, caplog: pytest.LogCaptureFixture
):
    other = RECORD | {"activation": "sigmoid"}
    with pytest.raises(ValueError, match=r"with activation softmax, not sigmoid; .*, or set --loss"):
        initial_weights(weights, other, network(), LV_ALONE)
    initial_weights(weights, other, network(), COMPLETE)
    assert "trained with logits read by a softmax; this loss reads them by a sigmoid" in caplog.text


@pytest.mark.parametrize(
    ("own", "warning"),
    [
        ({"spacing": [6.0, 6.0, 6.0]}, "with spacing [8.0, 8.0, 8.0]; this training has [6.0, 6.0, 6.0]"),
        ({"spacing": None}, "with spacing [8.0, 8.0, 8.0]; this training has None"),
        (
            {"normalisation": {"window": [-50, 50], "mean": 0, "sd": 1}},
            "window [-200, 200]; this training has [-50, ",
        ),
        ({"normalisation": {"window": [-200, 200], "mean": 3, "sd": 9}}, ""),
        ({"spacing": [8, 8, 8]}, ""),
        (
            {"image_size": 16},
            "image_size 32; this training has 16, where structures have other sizes; set --image_size 32",
        ),
        ({"image_size": [16, 16, 16]}, ""),
    ],
)
def test_volumes_of_another_spacing_or_window_are_a_warning(
    weights: Path, caplog: pytest.LogCaptureFixture, own: dict[str, Any], warning: str
):
    record = RECORD | {
        "image_size": 32,
        "spacing": [8.0] * 3,
        "normalisation": {"window": [-200, 200], "mean": 1.0, "sd": 2.0},
    }
    weights.with_suffix(".json").write_text(json.dumps(record))
    initial_weights(weights, record | own, network(), LV_ALONE)
    assert warning in caplog.text
    assert bool(warning) == bool(caplog.records)


@pytest.mark.parametrize(
    ("own", "named"),
    [([2, 2, 3], False), ({"pixdim": [1.9, 2, 3]}, False), ([2, 2, 5], True), ({"pixdim": [1, 2, 3]}, True)],
)
def test_volumes_within_the_spacings_that_the_initial_weights_saw_are_no_warning(
    weights: Path, caplog: pytest.LogCaptureFixture, own: object, named: bool
):
    seen = {"pixdim": [2.0, 2.0, 3.0], "min_pixdim": [1.8, 1.8, 2.7], "max_pixdim": [2.2, 2.2, 3.3]}
    weights.with_suffix(".json").write_text(json.dumps(RECORD | {"spacing": seen}))
    initial_weights(weights, RECORD | {"spacing": own}, network(), LV_ALONE)
    assert ("trained on images with spacing" in caplog.text) is named


def test_a_training_compares_spacing_and_normalisation_with_its_initial_weights():
    config = ConfigParser.load_config_file(ROOT / "bundles/ct_partial_overlap/configs/train.yaml")
    stated = config["initial"]["stated"]
    assert (stated["spacing"], stated["normalisation"]) == ("@spacing", "@normalisation")


def test_weights_without_a_record_are_accepted_with_a_warning(weights: Path, caplog: pytest.LogCaptureFixture):
    weights.with_suffix(".json").unlink()
    initial_weights(weights, RECORD, network(), LV_ALONE)
    assert "model.pt has no record: its classes and their order cannot be checked" in caplog.text


def test_weights_that_do_not_fit_are_refused_in_one_line(weights: Path):
    torch.save(network(5).state_dict(), weights)
    message = (
        r"does not fit this network: 2 of 4 tensors differ, the first is 1\.weight: "
        r"\(5, 4, 1, 1\) in the weights, \(3, 4, 1, 1\) in the network\. .*--network or --classes\.$"
    )
    with pytest.raises(ValueError, match=message):
        initial_weights(weights, RECORD, network(), LV_ALONE)
    torch.save({"other.weight": torch.zeros(2)}, weights)
    with pytest.raises(ValueError, match=r"5 of 5 tensors differ, the first is 0\.weight: missing in the weights"):
        initial_weights(weights, RECORD, network(), LV_ALONE)


def test_weights_of_two_networks_are_refused_with_what_to_use_instead(weights: Path):
    record = RECORD | {"architecture": {"_target_": "MeanOfNetworks", "networks": [{}, {}]}}
    weights.with_suffix(".json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"Trained with two networks that predict together; use those of one \(--pred"):
        initial_weights(weights, RECORD, network(4), LV_ALONE)


def test_arguments_of_the_network_that_differ_are_named(weights: Path, caplog: pytest.LogCaptureFixture):
    then, now = ({"_target_": "UNet", "channels": [4, size], "act": act} for size, act in ((8, "relu"), (16, "prelu")))
    weights.with_suffix(".json").write_text(json.dumps(RECORD | {"architecture": then}))
    named = "trained with channels [4, 8], not [4, 16], act relu, not prelu"
    initial_weights(weights, RECORD | {"architecture": now}, network(), LV_ALONE)
    assert caplog.messages == [f"{weights} fits, but was {named}"]
    with pytest.raises(
        ValueError, match=re.escape(f"in the network. T{named[1:]}; use other --initial_weights, or set")
    ):
        initial_weights(weights, RECORD | {"architecture": now}, network(4), LV_ALONE)


def test_the_state_to_resume_from_is_checked_by_the_record_of_its_training(weights: Path):
    last = weights.with_name("last.pt")
    torch.save({"network": network().state_dict(), "epoch": 3}, last)
    found, _ = initial_weights(last, RECORD, network(), LV_ALONE)
    assert found.keys() == network().state_dict().keys()
    with pytest.raises(ValueError, match=r"last\.pt were trained with classes \['background', 'lv', 'la'\], not "):
        initial_weights(last, RECORD | {"classes": ["background", "la", "lv"]}, network(), LV_ALONE)


def test_missing_weights_are_named_and_none_start_from_scratch(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"model\.pt is missing; --initial_weights expects the path of weights"):
        initial_weights(tmp_path / "model.pt", RECORD, network(), LV_ALONE)
    assert initial_weights(None, RECORD, network(), LV_ALONE) == (None, None)


@pytest.mark.slow
def test_weights_of_other_classes_stop_a_training_before_it_moves_an_earlier_one(folder: Path):
    bundle = "bundles/echo_segmentation"
    sizes = ["--image_size", "32", "--batch_size", "8", "--epochs", "1", "--output_dir", "runs/first"]
    words = ["monai.bundle", "run", "--config_file", f"{bundle}/configs/train.yaml", "--bundle_root", bundle, *sizes]
    assert forked.run(words, cwd=folder).returncode == 0
    (folder / "weights").mkdir()
    for name in ("model.pt", "model.json"):
        shutil.copy(folder / "runs/first" / name, folder / "weights")
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "runs/first").iterdir()}
    swapped = "['background', 'lv_myocardium', 'lv_cavity', 'left_atrium']"
    for own, message in (
        (["--loss", "adaptive_bce"], "were trained with activation softmax, not sigmoid; "),
        (["--classes", swapped], f"not {swapped}; use other --initial_weights, or set --classes."),
        (["--network", "attention_unet"], "were trained with network unet, not attention_unet; "),
        (["--initial_weights", "runs/first/model.pt"], "lies in the folder of the training that starts from it; "),
    ):
        result = forked.run([*words, "--initial_weights", "weights/model.pt", *own], cwd=folder)
        assert result.returncode != 0
        assert message in result.stderr
        assert "Traceback" not in result.stderr
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "runs/first").iterdir()} == before
    assert not list((folder / "runs").glob("first.previous*"))


@pytest.mark.slow
def test_a_fine_tuning_that_is_cut_resumes_to_the_weights_of_an_uninterrupted_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(folder)

    def tune(output: str, cut: bool = False, resume: bool = False) -> Mapping[str, Any]:
        parser = ConfigParser()
        parser.read_config("bundles/echo_segmentation/configs/train.yaml")
        parser.update({"image_size": 32, "batch_size": 8, "epochs": 2, "train_on": ["unity_like"]})
        parser.update({"initial_weights": "start.pt", "output_dir": output, "resume": resume})
        handlers = parser["train"]["handlers"]
        handlers[:] = [one for one in handlers if "tracking" not in one["_target_"]]
        Path(output).mkdir(exist_ok=True)
        engine = parser.get_parsed_content("train::trainer")
        if cut:
            engine.add_event_handler(Events.EPOCH_STARTED(once=2), lambda _: engine.terminate())
        engine.run()
        return torch.load(f"{output}/last.pt", weights_only=True)

    parser = ConfigParser()
    parser.read_config("bundles/echo_segmentation/configs/train.yaml")
    torch.save(parser.get_parsed_content("network_def").state_dict(), "start.pt")
    whole = tune("whole")
    assert tune("cut", cut=True)["epoch"] == 1
    resumed = tune("cut", resume=True)
    assert whole["epoch"] == 2
    assert whole["optimizer"]["param_groups"][0]["initial_lr"] == 0.01
    torch.testing.assert_close(resumed["network"], whole["network"], rtol=0, atol=0)


def test_a_training_does_not_set_aside_the_weights_that_it_starts_from(weights: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "link"):
        with pytest.raises(
            ValueError,
            match=r"^\S+model\.pt lies in the folder of the training .* --run_name or --output_dir\.$",
        ):
            check_place(weights, folder)
    check_place(str(weights), tmp_path / "model")
    check_place(None, tmp_path)
