"""The configuration for other programs: the network as a component, and nothing that it does not need."""

import json
from pathlib import Path

import pytest
import yaml

from common.bundle.self_contained import self_contained

ROOT = Path(__file__).parents[2]
NETWORKS = """networks:
  small:  # three weights
    _target_: UNet

    channels: [1, 2]
  flow: {_target_: UNet, channels: [1], _mode_: callable}
  large:
    _target_: my.Large
    _mode_: callable
    _disabled_: "$@network != 'large'"
    size: "@image_size"
"""


def joined(network: str, run: str = "run: [$@evaluator]\n") -> dict[str, object]:
    blocks = {
        "epochs": "epochs: 3  # @network is not used here\n",
        "network": f"network: {network}  # one of the names under `networks`\n",
        "image_size": "image_size: 8\n",
        "networks": NETWORKS,
        "evaluator": 'evaluator: {network: "@network"}  # not @epochs\n',
        "run": run,
        "": "# the end\n",
    }
    return dict(yaml.safe_load(self_contained(list(blocks.items()))))


def test_the_chosen_network_becomes_a_component_and_a_module():
    found = joined("small")
    assert found["network_def"] == {"_target_": "UNet", "channels": [1, 2]}
    assert found["network"] == "$@network_def.to(@device)"
    assert found.keys() == {"network", "network_def", "evaluator", "run"}


def test_what_the_network_needs_is_kept_and_it_is_not_disabled():
    found = joined("large")
    assert found["network_def"] == {"_target_": "my.Large", "size": "@image_size"}
    assert found["image_size"] == 8
    assert joined("flow")["network_def"] == {"_target_": "UNet", "channels": [1]}


def test_a_network_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"network: expected one of small, flow, large, got 'huge'"):
        joined("huge")


@pytest.mark.parametrize("name", ["echo_segmentation", "sector_segmentation"])
def test_inference_holds_what_it_needs_and_no_more(name: str):
    bundle = ROOT / "bundles" / name
    config = yaml.safe_load((bundle / "configs" / "inference.yaml").read_text())
    assert not config.keys() & {"losses", "networks", "augmentation", "epochs", "withheld", "data", "runs_dir"}
    text = json.dumps(config)
    assert "_meta_" not in text
    assert '"%' not in text, "no macros"
    record = json.loads((bundle / "models" / "model.json").read_text())
    for setting in ("activation", "classes", "image_size"):
        assert config[setting] == record[setting], "what other programs read is what the weights need"
    own = [transform for transform in config["preprocessing"]["transforms"] if "common." in json.dumps(transform)]
    assert own == []
    ours = {"echo_segmentation": "sector.mask.MaskSectord", "sector_segmentation": "sector.grey_image.GreyImaged"}
    assert config["masking"] == {"_target_": f"common.datasets.{ours[name]}", "keys": "image"}
