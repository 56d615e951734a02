"""Settings that a training would ignore, or take for others, are refused."""

import sys
from pathlib import Path

import fire
import pytest
from monai.bundle import ConfigParser
from monai.bundle import run as monai_run

from common.bundle.changed import changed_settings
from common.bundle.given import check_effect
from common.bundle.settings import check_given

TRAIN = Path(__file__).parents[2] / "bundles/echo_segmentation/configs/train.yaml"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset_dir", "elsewhere"], r"^--dataset_dir has no effect here; set --data instead\.$"),
        (
            [
                "--learning_rate",
                "0.5",
                "--optimizer",
                "{_target_: 'torch.optim.SGD', params: '$@model.parameters()', lr: 0.1}",
            ],
            r"^--learning_rate has no effect here; leave it out\.$",
        ),
        (
            ["--loss_function", "{_target_: 'common.losses.AdaptiveBCELoss'}"],
            r"^--loss_function: the record of the weights would say otherwise; use --loss, and --losses::NAME for",
        ),
        (
            ["--model", "$torch.nn.Identity()"],
            r"^--model: the record of the weights would say otherwise; use --network",
        ),
        (["--optimizer", "{_target_: torch.optim.Adam}"], r"^--optimizer: MONAI reads .* as text; put words with dots"),
        (["--partner", "attention_unet"], r"^--partner has no effect without --cotrain; set both, or leave it out\.$"),
        (["--cotrain", "false", "--cut", "false"], r"^--cut has no effect without --cotrain"),
        (["--teacher_decay", "0.9"], r"^--teacher_decay has no effect without --consistency"),
        (["--checkpointed::network", "@model"], r"^--checkpointed::network: a resumed training would differ; only fur"),
        (["--checkpointed", "{network: '@predictor'}"], r"^--checkpointed::optimizer: a resumed training would differ"),
        (["--runs_dir", ""], r"^--runs_dir: expected a value, got nothing\.$"),
        (["--digest", "abc"], r"^--digest: the record of the weights would say otherwise; use the settings themselves"),
        (
            ["--augmentation", "{_target_: RandFlipd, keys: [image, label], prob: 1.0, spatial_axis: 0}"],
            r"^augmentation gets whole batches .*, but RandFlipd takes one image .*common\.transforms",
        ),
        (
            [
                "--augmentation",
                "{_target_: Compose, transforms: [{_target_: 'monai.transforms.RandZoomd', keys: image}]}",
            ],
            r"^augmentation gets whole batches .*, but RandZoomd takes one image",
        ),
    ],
)
def test_a_training_refuses_what_it_would_ignore_or_take_for_another(
    monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
):
    command = ["run", "--config_file", str(TRAIN), *words]
    monkeypatch.setattr(sys, "argv", ["/lib/monai/bundle/__main__.py", *command])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(SystemExit, match=message):
        fire.Fire({"run": monai_run}, command=command)


def test_several_processes_are_part_of_the_identity_as_their_file_says_it():
    files = [str(TRAIN), str(TRAIN.with_name("multi_gpu_train.yaml"))]
    file, config = ConfigParser.load_config_file(files[0]), ConfigParser.load_config_files(files)
    changed = dict(changed_settings([file], config))
    assert "settings::processes" in changed
    check_effect(file, config, changed, ["run"])
    with pytest.raises(ValueError, match=r"^--settings::processes: the record of the weights would say otherwise"):
        check_effect(file, config, {**changed, "settings::processes": 1}, ["run"])


def test_an_empty_tracking_uri_is_none():
    config = {"tracking_uri": "sqlite:///runs/mlflow.db", "runs_dir": "runs"}
    check_given(config, {"tracking_uri": ""}, {}, {}, {}, [])
    with pytest.raises(ValueError, match=r"^--runs_dir: expected a value, got nothing"):
        check_given(config, {"runs_dir": ""}, {}, {}, {}, [])
