"""The loss and the network that a workflow chooses have to exist."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.transforms
import pytest
from monai.bundle import ConfigParser, ConfigWorkflow, create_workflow
from monai.transforms import RandFlipd

from common.bundle.chosen import ON_BATCHES, check_batched, check_chosen
from common.bundle.complete import complete

CONFIGS = Path(__file__).parents[2] / "bundles"
BOTH = {"loss": "losses", "network": "networks"}


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            {"_target_": "mylos.Mine"},
            r"^losses::mine is mylos\.Mine, but mylos is missing; is its folder in PYTHON",
        ),
        (
            {"_target_": "chosen_loss.Nope", "weight": 1.0},
            r"^losses::mine is chosen_loss\.Nope, but chosen_loss has no Nope\. Did you mean Note\?$",
        ),
        ({"_target_": "torch.nn.L1Los"}, r"but torch\.nn has no L1Los\. Did you mean L1Loss\?$"),
        (
            {"_target_": "torch.nn.Sequential", "args": [{"_target_": "common.losses.MarginLoss"}]},
            r"^losses::mine::args::0 is common\.losses\.MarginLoss, but common\.losses has no MarginLoss\. Did you m",
        ),
    ],
)
def test_a_chosen_component_whose_code_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: dict[str, Any], message: str
):
    (tmp_path / "chosen_loss.py").write_text("class Note: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=message):
        check_chosen({"loss": "mine", "losses": {"mine": loss}}, BOTH)
    check_chosen({"loss": "mine", "losses": {"mine": {"_target_": "chosen_loss.Note"}, "other": loss}}, BOTH)


@pytest.mark.parametrize("losses", [{}, {"mine": {"_target_": "torch.nn.L1Loss"}}])
def test_a_block_without_the_choice_is_refused_when_it_is_completed_and_when_it_runs(
    tmp_path: Path, losses: dict[str, Any]
):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/bundle.yaml").write_text(f"losses: {losses}\n")
    there = r"expected one of mine" if losses else r"but losses is empty"
    with pytest.raises(ValueError, match=rf"bundle\.yaml: loss is marginal, {there}\.$"):
        complete(tmp_path)
    train = CONFIGS / "echo_segmentation/configs/train.yaml"
    file = dict(ConfigParser.load_config_file(train))
    with pytest.raises(ValueError, match=rf"^--loss is marginal_dice_ce, {there}\.$"):
        check_chosen({**file, "loss": "marginal_dice_ce", "losses": losses}, BOTH)


@pytest.mark.parametrize(
    ("bundle", "given", "message"),
    [
        (
            "echo_segmentation",
            {"losses::marginal": {"_target_": "torch.nn.L1Los"}, "loss": "marginal"},
            r"^losses::marginal is torch",
        ),
        ("ct_partial_overlap", {"patches": 2.5}, r"^--patches: expected a whole number, got 2\.5\.$"),
        ("ct_partial_overlap", {"patches": 0}, r"^--patches: expected at least 1, got 0\.$"),
    ],
)
def test_a_training_stops_before_any_work(bundle: str, given: dict[str, Any], message: str):
    with pytest.raises(RuntimeError) as raised:
        create_workflow(config_file=str(CONFIGS / bundle / "configs/train.yaml"), workflow_type="train", **given)
    with pytest.raises(ValueError, match=message):
        raise raised.value.__cause__ or raised.value


class PerImage:
    """Give each image of a batch to a transform."""


FLIP = {"_target_": "RandFlipd", "keys": ["image", "label"]}
OF_BATCHES = [
    *("DeleteItemsd", "DeleteItemsDict", "SelectItemsd", "CopyItemsd", "ToDevice", "ToDeviced", "EnsureTypeD"),
    *("monai.transforms.ScaleIntensityRanged", "ThresholdIntensity", "common.transforms.RandFlipd"),
]


@pytest.mark.parametrize(
    "augmentation",
    [
        {"_target_": f"{__name__}.PerImage", "transform": FLIP},
        {"_target_": PerImage, "transform": FLIP},
        {"_target_": "Compose", "transforms": [{"_target_": f"{__name__}.PerImage", "transform": [FLIP]}]},
        *({"_target_": "Compose", "transforms": [{"_target_": target}]} for target in OF_BATCHES),
    ],
)
def test_what_treats_images_by_itself_or_asks_for_no_axes_may_transform_batches(augmentation: dict[str, Any]):
    check_batched({"augmentation": augmentation})


@pytest.mark.parametrize(
    "augmentation",
    [
        FLIP,
        {"_target_": RandFlipd, "keys": "image"},
        {"_target_": "monai.transforms.RandFlipDict", "keys": "image"},
        {"_target_": "Compose", "transforms": [{"_target_": "ToDeviced"}, {"_target_": "OneOf", "transforms": [FLIP]}]},
        [{"_target_": "Compose", "transforms": [{"_target_": f"{__name__}.PerImage", "transform": FLIP}, FLIP]}],
    ],
)
def test_what_takes_single_images_is_found_wherever_it_gets_batches(augmentation: Any):
    with pytest.raises(ValueError, match=r"^augmentation gets whole batches .*, but RandFlipd takes one image"):
        check_batched({"augmentation": augmentation})


def test_the_transforms_without_axes_are_those_of_monai_by_their_names():
    assert [getattr(monai.transforms, name).__name__ for name in ON_BATCHES] == list(ON_BATCHES)


MINE = {"_target_": "torch.nn.L1Loss"}


@pytest.mark.parametrize("form", [ConfigWorkflow, create_workflow])
@pytest.mark.parametrize("given", [{"losses": {"mine": MINE}}, {"losses::mine": MINE}])
def test_what_is_added_from_python_can_be_chosen(tmp_path: Path, form: Callable[..., Any], given: dict[str, Any]):
    config = {"loss": "ce", "losses": {"ce": MINE}, "run": ["$@losses[@loss]"]}
    check = {"_target_": "common.bundle.settings.check_settings", "choices": {"loss": "losses"}}
    (tmp_path / "train.json").write_text(json.dumps({**config, "initialize": [check]}))
    file = str(tmp_path / "train.json")
    form(config_file=file, **given, loss="mine").initialize()
    with pytest.raises((RuntimeError, KeyError), match="check_settings"):
        form(config_file=file, **given, loss="main").initialize()
