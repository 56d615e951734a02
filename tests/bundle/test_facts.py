"""What follows the facts of a workflow cannot be another on its own."""

from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser, ConfigWorkflow, create_workflow

from common.bundle.changed import changed_settings, check_changes
from common.bundle.facts import check_facts
from common.bundle.overrides import with_overrides

CONFIGS = Path(__file__).parents[2] / "bundles/echo_segmentation/configs"
SWAPPED = ["background", "lv_myocardium", "lv_cavity", "left_atrium"]


def check(workflow: str, given: dict[str, Any]) -> None:
    file = dict(ConfigParser.load_config_file(CONFIGS / f"{workflow}.yaml"))
    check_facts(file, with_overrides(file, given))


@pytest.mark.parametrize(
    ("workflow", "given", "message"),
    [
        ("pseudo_label", {"labels::classes": SWAPPED}, r"^--labels::classes follows the weights; leave it out\.$"),
        ("pseudo_label", {"inferer::activation": "sigmoid"}, r"^--inferer::activation follows the weights"),
        ("pseudo_label", {"training::data::fold": "test"}, r"^--training::data::fold is training here.*; leave it out"),
        ("evaluate", {"handlers::1::classes": SWAPPED}, r"^--handlers::1::classes follows the weights"),
        ("evaluate", {"labels#classes": SWAPPED}, r"^--labels::classes follows the weights"),
        ("evaluate", {"label_sets::classes": SWAPPED}, r"^--label_sets::classes follows the weights"),
        ("evaluate", {"dataset::image_size": 64}, r"^--dataset::image_size follows the weights"),
        ("evaluate", {"key_metric::mean_dice::classes": SWAPPED}, r"^--key_metric::mean_dice::classes follows the we"),
        ("evaluate", {"other_metrics::ece::activation": "sigmoid"}, r"^--other_metrics::ece::activation follows"),
        ("evaluate", {"model::weights": "$None"}, r"^--model::weights follows the weights"),
        ("evaluate", {"items::fold": "training"}, r"^--items::fold follows fold; set --fold instead"),
        ("evaluate", {"items::folders": "other"}, r"^--items::folders follows data; set --data instea"),
        ("measure", {"inferer::inferer::activation": "sigmoid"}, r"^--inferer::inferer::activation follows the weight"),
        ("measure", {"results::classes": SWAPPED}, r"^--results::classes follows the weights"),
        ("inference", {"inferer::activation": "sigmoid"}, r"^--inferer::activation follows activation; set --activati"),
        ("train", {"training_data::data::fold": "test"}, r"^--training_data::data::fold is training her"),
        (
            "train",
            {"train::preprocessing::transforms::1::label_sets": {"_target_": "common.label_sets.LabelSets"}},
            r"^--train::preprocessing::transforms::1::label_sets follows labels; leave it out\.$",
        ),
        ("train", {"validate::key_metric::mean_dice::classes": SWAPPED}, r"mean_dice::classes follows classes; set --"),
        ("train", {"validate::dataset::image_size": 64}, r"^--validate::dataset::image_size follows image_size; set -"),
        ("train", {"image_shape": [64, 64]}, r"^--image_shape follows image_size; set --image_size instead\.$"),
        ("train", {"training_labels": "@labels"}, r"^--training_labels follows labels; leave it out\.$"),
        ("train", {"normalisation": "grey value / 127"}, r"^--normalisation says how the data are prepared, .*leave"),
        ("train", {"spacing": [1, 1]}, r"^--spacing says how the data are prepared, and the record would repeat it; l"),
        ("train", {"train::trainer::max_epochs": 4}, r"^--train::trainer::max_epochs follows epochs; set --epochs"),
        ("train", {"networks::unet::out_channels": 5}, r"^--networks::unet::out_channels follows classes; set --clas"),
        ("evaluate", {"image_shape": [64, 64]}, r"^--image_shape follows the weights; leave it out\.$"),
        (
            "evaluate",
            {"other_metrics::hd95_mm::score::spacing": [1, 1]},
            r"^--other_metrics::hd95_mm::score::spacing follows dataset; leave it out\.$",
        ),
        # stock components, too
        (
            "inference",
            {"preprocessing::transforms::3::spatial_size": [64, 64]},
            r"^--preprocessing::transforms::3::spatial_size follows image_size; set --image_size instead\.$",
        ),
        (
            "inference",
            {"preprocessing::transforms::4::a_max": 127.0},
            r"^--preprocessing::transforms::4::a_max is 255\.0 here, and the weights were trained so; leave it out\.$",
        ),
        ("inference", {"preprocessing::transforms::4::clip": False}, r"::clip is True here, and the weights were"),
        ("inference", {"preprocessing::transforms::3::mode": "nearest"}, r"::mode is bilinear here, and the weights"),
        ("inference", {"postprocessing::transforms::1::softmax": False}, r"^--postpro.*::softmax follows activation; "),
        ("inference", {"network_def::out_channels": 9}, r"^--network_def::out_channels follows classes; set --classes"),
        # a whole component, of this project
        ("evaluate", {"inferer": {"_target_": "common.engines.inferer_for", "activation": "sigmoid"}}, r"^--inferer::"),
        (
            "evaluate",
            {"key_metric": {"mean_dice": {"_target_": "common.metrics.ImageScores", "classes": SWAPPED}}},
            r"^--key_metric::mean_dice::classes follows the weights",
        ),
    ],
)  # fmt: skip
def test_what_follows_a_fact_cannot_be_set_on_its_own(workflow: str, given: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        check(workflow, given)


VOLUMES = CONFIGS.parents[1] / "ct_partial_overlap/configs"


@pytest.mark.parametrize(
    ("workflow", "given", "message"),
    [
        ("train", {"spacing": [6, 6, 6]}, r"^--spacing says how the data are prepared"),
        ("train", {"spacing": None}, r"^--spacing says how the data are prepared"),
        ("train", {"normalisation": {"window": None, "mean": 0, "sd": 1}}, r"^--normalisation says how the data are"),
        ("train", {"intensity": "$mine"}, r"^--intensity follows "),
        ("evaluate", {"intensity": "$mine"}, r"^--intensity follows "),
        ("evaluate", {"intensity::folders": "other"}, r"^--intensity::folders follows data; set --data instead"),
        ("pseudo_label", {"image_shape": [8, 8, 8]}, r"^--image_shape follows the weights; leave it out"),
    ],
)
def test_what_volumes_are_cannot_be_set(workflow: str, given: dict[str, Any], message: str):
    file = dict(ConfigParser.load_config_file(VOLUMES / f"{workflow}.yaml"))
    with pytest.raises(ValueError, match=message):
        check_facts(file, with_overrides(file, given))


@pytest.mark.parametrize("config", [{"spacing": [6, 6, 6]}, {"normalisation": {"window": [-9, 9]}}])
def test_what_weights_without_a_record_need_may_be_stated(config: dict[str, Any]):
    file = dict(ConfigParser.load_config_file(VOLUMES / "evaluate.yaml"))
    check_facts(file, with_overrides(file, config))


@pytest.mark.parametrize(
    ("workflow", "given"),
    [
        ("evaluate", {"inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16], "activation": "sigmoid"}}),
        ("evaluate", {"dataset": {"_target_": "mine.Dataset", "image_size": 64, "data": "@data"}}),
        ("evaluate", {"dataset": "$mine(@labels)", "classes": SWAPPED, "image_size": 64, "fold": "training"}),
        ("evaluate", {"inferer::activation": "@activation", "networks::unet::act": "tanh"}),
        ("evaluate", {"run": ["$print(1)"], "dataloader::batch_size": 2}),
        ("train", {"image_size": 64, "train::dataset::image_size": 64, "optimizer::momentum": 0.5}),
        ("train", {"train::inferer": {"_target_": "mine.Inferer", "activation": "sigmoid"}, "optimizer::lr": 0.1}),
        ("train", dict(ConfigParser.load_config_file(CONFIGS / "multi_gpu_train.yaml"))),
    ],
)
def test_components_of_your_own_and_all_else_may_be_set(workflow: str, given: dict[str, Any]):
    check(workflow, given)


@pytest.mark.parametrize(
    ("overlays", "message"),
    [
        (["seed: 1\n", "leraning_rate: 0.5\n"], r"--leraning_rate is not .* Did you mean --learning_rate\?"),
        (["augmentation::scal: 0.1\n"], r"--augmentation::scal is not .* Did you mean --augmentation::scale\?"),
        (["augmentation: {scal: 0.1}\n"], r"--augmentation::scal is not .* Did you mean --augmentation::scale\?"),
        (["augmentation: {scale: 0.1}\n"], r"--augmentation: expected a component .*, set augmentation::scale\.$"),
        (["epochs: three\n"], r"--epochs: expected a number"),
        (["loss: margnal\n"], r"--loss: expected one of"),
        (["train::dataset::image_size: 32\n"], r"--train::dataset::image_size follows image_size; set --image_size"),
        (["losses::mine: {_target_: torch.nn.L1Loss, reducton: sum}\n"], r"reducton .* --losses::mine::reduction\?"),
    ],
)  # fmt: skip
def test_further_files_are_checked_as_settings_are(tmp_path: Path, overlays: list[str], message: str):
    files = [str(CONFIGS / "train.yaml")]
    for number, text in enumerate(overlays):
        (tmp_path / f"{number}.yaml").write_text(text)
        files.append(str(tmp_path / f"{number}.yaml"))
    with pytest.raises(RuntimeError) as raised:
        create_workflow(config_file=files, workflow_type="train")
    with pytest.raises(ValueError, match=message):
        raise raised.value.__cause__ or raised.value


def test_a_file_that_the_workflow_would_replace_is_refused(tmp_path: Path):
    mine, other = tmp_path / "mine.yaml", tmp_path / "other.yaml"
    mine.write_text("loss: adaptive_bce\n")
    other.write_text("_mine: 1\n")
    with pytest.raises(RuntimeError) as raised:
        create_workflow(config_file=[str(mine), str(CONFIGS / "train.yaml")], workflow_type="train")
    assert "mine.yaml comes before" in str(raised.value.__cause__)
    assert "train.yaml, which replaces its --loss; give it after that." in str(raised.value.__cause__)
    create_workflow(config_file=[str(other), str(CONFIGS / "train.yaml")], workflow_type="train")


def test_several_processes_and_a_loss_of_your_own_are_accepted(tmp_path: Path):
    train, mine = CONFIGS / "train.yaml", tmp_path / "mine.yaml"
    mine.write_text("losses::mine: {_target_: torch.nn.L1Loss}\nloss: mine\nimages: {camus: 3}\nseed: $1 + 1\n")
    file = dict(ConfigParser.load_config_files(train))
    for more in (CONFIGS / "multi_gpu_train.yaml", mine):
        joined = dict(ConfigParser.load_config_files([train, more]))
        changed = dict(changed_settings([file], joined))
        assert len(changed) > 3
        check_changes(file, joined, changed)
        check_facts(file, joined)


@pytest.mark.parametrize(
    "files",
    [
        ["evaluate.yaml", "multi_gpu_train.yaml"],
        ["multi_gpu_train.yaml", "evaluate.yaml"],
        ["multi_gpu_train.yaml", "train.yaml"],
        ["pseudo_label.yaml", "multi_gpu_train.yaml"],
    ],
)
def test_the_file_for_several_processes_follows_that_of_a_training(files: list[str]):
    with pytest.raises(RuntimeError) as raised:
        create_workflow(config_file=[str(CONFIGS / name) for name in files], workflow_type="train")
    with pytest.raises(ValueError, match=r"^multi_gpu_train\.yaml changes train\.yaml alone, and comes after it: give"):
        raise raised.value.__cause__ or raised.value


@pytest.mark.parametrize("given", [{"training_data::data::fold": "test"}, {"validate::dataset::image_size": 64}])
def test_a_workflow_object_is_checked_as_the_command_line(given: dict[str, Any]):
    with pytest.raises(RuntimeError) as raised:
        ConfigWorkflow(str(CONFIGS / "train.yaml"), workflow_type="train", **given).initialize()
    with pytest.raises(ValueError, match=f"^--{next(iter(given))} "):
        raise raised.value.__cause__ or raised.value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"augmentation": {"_target_": "common.transforms.RandAugmentd", "scael": 0.1}},
            r"--augmentation::scael is not .* Did you mean --augmentation::scale\?",
        ),
        (
            {"networks": {"unet": {"_target_": "UNet", "_mode_": "callable", "num_res_unts": 2}}},
            r"--networks::unet::num_res_unts is not .* Did you mean --networks::unet::num_res_units\?",
        ),
        ({"augmentation": {"scale": 0.1}}, r"expected a component with a _target_"),
        ({"learning_rate": float("inf")}, r"^--learning_rate: expected a finite number, got inf\.$"),
        ({"label_dropout": 1.5}, r"^--label_dropout is 1\.5, expected at most 1\.$"),
        ({"optimizer::momentum": 2}, r"^--optimizer::momentum is 2, expected at most 1\.$"),
        ({"validate::dataloader::batch_size": 0}, r"^--validate::dataloader::batch_size: expected at least 1, got 0"),
        ({"initial_weights": False}, r"^--initial_weights: expected text, .*, got False"),
        ({"network": ["unet"]}, r"^--network: expected one of unet, .* got \['unet'\]"),
        ({"run_name": "a\nb"}, r"^--run_name: expected one line of printable characters, got 'a\\nb'"),
        ({"run_name": "a\0b"}, r"^--run_name: expected one line of printable characters"),
    ],
)  # fmt: skip
def test_settings_from_python_that_cannot_be_are_refused(given: dict[str, Any], message: str):
    with pytest.raises(RuntimeError) as raised:
        create_workflow(config_file=str(CONFIGS / "train.yaml"), workflow_type="train", **given)
    with pytest.raises(ValueError, match=message):
        raise raised.value.__cause__ or raised.value
