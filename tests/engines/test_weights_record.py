"""Weights are used as they were trained, and their logits are read as their loss states."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from torch import nn

from common.engines import activation_of, check_explicit_network, read_record, weights_record
from common.engines.weights_record import NORMALISATION
from common.identity import settings_digest
from common.losses import AdaptiveBCELoss, MarginalLoss, SumLoss

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(ROOT.glob("bundles/*/models/model.pt"))
RECORD: dict[str, Any] = {
    "activation": "softmax",
    "classes": ["background", "lv"],
    "image_size": 64,
    "network": "unet",
    "loss": "mine",
}
NOTHING = {"activation": None, "classes": None, "image_size": None, "network": None}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "model.json").write_text(json.dumps(RECORD))
    (tmp_path / "model.pt").touch()
    return tmp_path / "model.pt"


def test_what_is_not_stated_comes_from_the_record(weights: Path):
    assert weights_record(weights, NOTHING) == weights_record(str(weights), {}) == RECORD
    assert weights_record(weights, {**NOTHING, "image_size": 64, "spacing": 0.5}) == {**RECORD, "spacing": 0.5}


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"image_size": 160}, r"model\.pt was trained with image_size 64, not 160; leave .*, use --image_size 64, or "),
        ({"activation": "sigmoid"}, r"trained with activation softmax, not sigmoid; .* use --activation softmax"),
        ({"image_size": 8, "network": "swin"}, r"network unet, not swin; .* use --image_size 64 --network unet, or"),
        ({"classes": ["background"]}, r"use --classes \"\['background', 'lv'\]\", or choose other weights \(--chec"),
    ],
)  # fmt: skip
def test_a_stated_value_must_not_contradict_the_record(weights: Path, stated: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        weights_record(weights, {**NOTHING, **stated})


def test_weights_without_a_record_need_their_facts_in_one_line_and_take_them_by_hand(weights: Path):
    weights.with_name("model.json").write_text(json.dumps({"network": "unet"}))
    message = (
        r"^.*model\.pt has no record that says its image_size \(model\.json\)\. State what it lacks: "
        r"--classes \"\[background, \.\.\.\]\", --image_size PIXELS, --activation softmax [^\n]+ or sigmoid [^\n]+\.$"
    )
    with pytest.raises(ValueError, match=message):
        read_record(weights)["image_size"]
    weights.with_name("model.json").unlink()
    with pytest.raises(ValueError, match=r"says its classes .*--network NAME \(with --networks::NAME::ARGUMENT VALUE"):
        read_record(weights)["classes"]
    stated = {**NOTHING, "activation": "sigmoid", "image_size": 160}
    assert weights_record(weights, stated) == {"activation": "sigmoid", "image_size": 160}


@pytest.mark.parametrize("workflow", ["evaluate", "pseudo_label"])
@pytest.mark.parametrize("fact", ["spacing", "normalisation"])
def test_every_fact_of_the_record_that_a_workflow_takes_is_compared(weights: Path, workflow: str, fact: str):
    config = ConfigParser.load_config_file(ROOT / "bundles/ct_partial_overlap/configs" / f"{workflow}.yaml")
    right = {"spacing": [8.0, 8.0, 8.0], "normalisation": {"window": [-200, 200], "mean": 15.9, "sd": 38.9}}
    wrong = {"spacing": [6, 6, 6], "normalisation": {"window": [-1000, 1000], "mean": 0, "sd": 300}}[fact]
    weights.with_name("model.json").write_text(json.dumps({**RECORD, **right}))
    wanted = {"weights": str(weights), **{name: config[name] for name in ("trained", "record")}}
    wanted |= {name: config[name] for name in [*NOTHING, "loss", *right]}
    parser = ConfigParser(wanted | {fact: right[fact]})
    assert parser.get_parsed_content("record")[fact] == right[fact]
    with pytest.raises(RuntimeError) as raised:
        ConfigParser(wanted | {fact: wrong}).get_parsed_content("record")
    assert f"was trained with {fact} {right[fact]}, not {wrong}; leave the setting out, use" in str(
        raised.value.__cause__
    )


@pytest.mark.parametrize(
    ("volumes", "given", "message"),
    [
        (False, "z-score", r"^expected normalisation to be grey value / 255, got 'z-score', by hand; correct it, or"),
        (False, {"window": None, "mean": 0, "sd": 1}, r"^expected normalisation to be grey value / 255, got \{"),
        (True, NORMALISATION, r"^expected normalisation to be window, mean and sd, got 'grey value / 255', by hand"),
        (True, {"mean": 0}, r"^expected normalisation to be .* or window, mean and sd, got \{'mean': 0\}, by hand"),
    ],
)
def test_a_normalisation_by_hand_is_one_that_the_images_can_have(
    tmp_path: Path, volumes: bool, given: object, message: str
):
    (tmp_path / "foreign.pt").touch()
    with pytest.raises(ValueError, match=message):
        weights_record(tmp_path / "foreign.pt", {"normalisation": given}, volumes)


def test_images_that_were_normalised_in_another_way_are_refused(weights: Path):
    weights.with_name("model.json").write_text(json.dumps({**RECORD, "normalisation": NORMALISATION}))
    assert read_record(weights)["normalisation"] == NORMALISATION
    weights.with_name("model.json").write_text(json.dumps({**RECORD, "normalisation": "z-score"}))
    with pytest.raises(
        ValueError, match=r"trained with normalisation z-score, not grey value / 255; use other weights"
    ):
        read_record(weights)
    settings = yaml.safe_load((ROOT / "common/workflows/settings.yaml").read_text())
    assert settings["normalisation"] == NORMALISATION


def test_weights_of_volumes_are_not_those_of_pictures(weights: Path):
    path = weights.with_name("model.json")
    path.write_text(json.dumps({**RECORD, "normalisation": NORMALISATION}))
    assert read_record(weights, volumes=False) == read_record(weights)
    with pytest.raises(ValueError, match=r"was trained on pictures \(.*\), not on volumes; use other weights"):
        read_record(weights, volumes=True)
    path.write_text(json.dumps({**RECORD, "normalisation": {"window": None, "mean": 0.0, "sd": 1.0}}))
    assert read_record(weights, volumes=True) == read_record(weights)
    with pytest.raises(ValueError, match=r"with normalisation \{.*\}, not grey value / 255; use other weights"):
        read_record(weights, volumes=False)


def test_the_last_state_of_a_training_has_the_record_of_its_best(weights: Path):
    weights.with_name("last.pt").touch()
    assert read_record(weights.with_name("last.pt")) == RECORD


@pytest.mark.parametrize("name", ["model.pt", "last.pt"])
def test_a_checkpoint_of_another_training_is_refused(weights: Path, name: str):
    record = {**RECORD, "training": settings_digest({"classes": "one"})}
    weights.with_name("model.json").write_text(json.dumps(record))
    for classes, message in (("one", None), ("another", rf"{name} is of another training than its folder")):
        torch.save({"settings": {"classes": classes}}, weights.with_name("last.pt"))
        with pytest.raises(ValueError, match=message) if message else nullcontext():
            read_record(weights.with_name(name))


@pytest.mark.parametrize("name", ["model.pt", "last.pt"])
def test_facts_by_hand_do_not_contradict_the_configuration_of_the_training(weights: Path, name: str):
    weights.with_name("model.json").unlink(missing_ok=True)
    torch.save({}, weights.with_name("last.pt"))
    weights.with_name("config.yaml").write_text(yaml.safe_dump({"classes": ["background", "lv"], "image_size": 64}))
    given = {"classes": ["background", "lv"], "activation": "softmax", "image_size": None}
    assert weights_record(weights.with_name(name), given)["classes"] == given["classes"]
    with pytest.raises(ValueError, match=r"config\.yaml beside .* says classes \['background', 'lv'\], not \['lv', "):
        weights_record(weights.with_name(name), {**given, "classes": ["lv", "background"]})


def test_each_file_of_weights_has_its_own_record(weights: Path):
    other = weights.with_name("epoch.7.pt")
    other.touch()
    other.with_suffix(".json").write_text(json.dumps({**RECORD, "activation": "sigmoid"}))
    assert weights_record(other, {})["activation"] == "sigmoid"
    assert weights_record(weights, {})["activation"] == "softmax"


def test_the_error_for_missing_weights_explains_how_to_get_them(tmp_path: Path):
    message = r"Train first, or choose other weights with --checkpoint .* or --run_name NAME; .*--bundle_root FOLDER"
    with pytest.raises(FileNotFoundError, match=message):
        weights_record(tmp_path / "model.pt", {})


def test_weights_are_shipped():
    assert {path.parents[1].name for path in SHIPPED} >= {"echo_segmentation", "sector_segmentation"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parents[1].name)
def test_shipped_weights_have_the_record_of_their_bundle(path: Path):
    settings = yaml.safe_load((path.parents[1] / "configs" / "train.yaml").read_text())
    record = weights_record(path, {name: settings[name] for name in ("classes", "image_size", "network")})
    assert record["activation"] == "softmax"
    assert record["loss"] in settings["losses"]
    assert set(record) == set(settings["record"]) - {"seen"} | {"training", "weights"}  # older than `seen`
    assert record["normalisation"] == NORMALISATION
    explicit = ConfigParser(yaml.safe_load((path.parents[1] / "configs" / "inference.yaml").read_text()))
    network = explicit.get_parsed_content("network_def")
    check_explicit_network(path, {name: settings[name] for name in ("classes", "image_size")}, network)


def test_a_damaged_record_is_named(tmp_path: Path):
    (tmp_path / "model.pt").touch()
    (tmp_path / "model.json").write_text('{"activation": "soft')
    with pytest.raises(ValueError, match=r"model\.json is not readable JSON .*; copy it again with its weights"):
        weights_record(tmp_path / "model.pt", {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"model\.json is not a record of weights: expected names with values, got \[\]; copy it again"),
        ("x", r"expected names with values, got 'x'"),
        (None, r"expected names with values, got None"),
        ({**RECORD, "image_size": "64"}, r"model\.json is damaged: expected image_size to be int, got '64'"),
        ({**RECORD, "image_size": True}, r"expected image_size to be int, got True"),
        ({**RECORD, "classes": "lv"}, r"expected classes to be list, got 'lv'; copy it again"),
        (
            {**RECORD, "activation": ["softmax"]},
            r"expected activation to be str, got \['softmax'\]",
        ),
        ({**RECORD, "network": None}, r"expected network to be str, got None"),
        (
            {**RECORD, "architecture": {"out_channels": 9}},
            r"expected 9 classes, as many as its network has out_channels",
        ),
        (
            {**RECORD, "image_size": -32},
            r"expected image_size to be a whole .* from 1 on, or .* of a volume, got -32; copy",
        ),
        ({**RECORD, "activation": "softmx"}, r"expected activation to be softmax or sigmoid, got 'softmx'; copy it"),
        (
            {**RECORD, "classes": ["background", "lv", "lv"]},
            r"expected classes to be .*, each once, got",
        ),
        (
            {**RECORD, "classes": ["background"]},
            r"expected classes to be 'background' and the names",
        ),
        (
            {**RECORD, "classes": ["background", 3]},
            r"expected classes to be .*, got \['background', 3\]",
        ),
        (
            {**RECORD, "spacing": [0.5, -1.0]},
            r"expected spacing to be positive numbers.* got \[0\.5, -1\.0\]",
        ),
        (
            {**RECORD, "spacing": {"pixdim": [3, 3, 3], "min_pixdim": [1, 1, 1], "max_pixdim": [2, 4, 4]}},
            r"expected spacing to be .*min_pixdim and max_pixdim.* got \{",
        ),
        (
            {**RECORD, "spacing": {"pixdim": [3, 3, 3], "min_pixdim": [1, 1, 1]}},
            r"expected spacing to be .* got \{",
        ),
    ],
)
def test_a_record_of_the_wrong_kind_is_named(weights: Path, content: object, message: str):
    weights.with_name("model.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        weights_record(weights, {**NOTHING, "image_size": 64})


@pytest.mark.parametrize(
    ("fact", "value"),
    [("image_size", "32"), ("image_size", 0), ("image_size", 32.5), ("activation", "tanh"), ("classes", ["lv", "la"])],
)
def test_impossible_facts_given_by_hand_are_refused(weights: Path, fact: str, value: object):
    weights.with_name("model.json").unlink()
    by_hand = {name: RECORD[name] for name in ("activation", "classes", "image_size", "network")}
    assert weights_record(weights, by_hand) == by_hand
    with pytest.raises(ValueError, match=rf"^expected {fact} to be .*, got .*, by hand; correct it, or choose other"):
        weights_record(weights, {**by_hand, fact: value})


def test_the_loss_states_how_its_logits_are_read():
    assert activation_of(MarginalLoss()) == "softmax"
    assert activation_of(AdaptiveBCELoss()) == "sigmoid"
    assert activation_of(SumLoss([AdaptiveBCELoss(), AdaptiveBCELoss(True)], [1.0, 1.0])) == "sigmoid"
    assert activation_of(torch.compile(AdaptiveBCELoss())) == "sigmoid"


def test_a_loss_that_does_not_state_it_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"CrossEntropyLoss does not state .* attribute: activation = 'softmax' if"):
        activation_of(nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match=r"MSELoss does not state how its logits are read"):
        SumLoss([MarginalLoss(), nn.MSELoss()], [1.0, 1.0])
    wrong = MarginalLoss()
    wrong.activation = "tanh"
    with pytest.raises(ValueError, match=r"MarginalLoss does not state .* \(its activation is 'tanh'\)"):
        activation_of(wrong)


def test_a_sum_refuses_losses_that_read_the_logits_differently():
    message = r"read the logits alike, got MarginalLoss \(softmax\), AdaptiveBCELoss \(sigmoid\)"
    with pytest.raises(ValueError, match=message):
        SumLoss([MarginalLoss(), AdaptiveBCELoss()], [1.0, 1.0])
    nested = [SumLoss([MarginalLoss()], [1.0]), SumLoss([AdaptiveBCELoss()], [1.0])]
    with pytest.raises(ValueError, match=r"got SumLoss \(softmax\), SumLoss \(sigmoid\)"):
        SumLoss(nested, [1.0, 1.0])


@pytest.mark.parametrize("edited", [{"image_size": 32}, {"classes": ["background", "la"]}])
def test_a_record_that_the_configuration_beside_it_contradicts_is_refused(weights: Path, edited: dict[str, Any]):
    config = {**RECORD, "activation": "$@trained"}
    weights.with_name("config.yaml").write_text(yaml.safe_dump(config))
    assert read_record(weights) == RECORD
    weights.with_name("model.json").write_text(json.dumps({**RECORD, **edited}))
    (name,) = edited
    with pytest.raises(
        ValueError, match=rf"model\.json says {name} .*, not .* as config\.yaml beside it: one was edited"
    ):
        read_record(weights)
    weights.with_name("config.yaml").write_text("classes: [")
    read_record(weights)
