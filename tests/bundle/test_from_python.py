"""What a notebook gives: classes and functions instead of their names, and numbers of numpy."""

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow, create_workflow
from monai.bundle import run as monai_run

CONFIG = """
network: unet
networks: {unet: {_target_: torch.nn.Identity}}
initialize:
  - {_target_: common.bundle.settings.check_settings, choices: {network: networks}}
run: ["$print(@networks, @network)"]
"""


class Net(torch.nn.Module):
    """A network of the user."""

    def __init__(self, out_channels: int, width: int = 8) -> None:
        super().__init__()
        self.channels = (width, out_channels)


def build(out_channels: int, width: int = 8) -> Net:
    return Net(out_channels, width)


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "configs" / "train.yaml"
    path.parent.mkdir()
    path.write_text(CONFIG)
    return str(path)


@pytest.mark.parametrize("target", [Net, build, f"{__name__}.Net"])
@pytest.mark.parametrize("form", [monai_run, create_workflow, ConfigWorkflow])
def test_a_component_may_be_given_by_its_class_or_function(config: str, form: Any, target: Any):
    mine = {"_target_": target, "_mode_": "callable", "_desc_": "mine", "out_channels": 4}
    workflow = form(config_file=config, **{"networks::mine": mine, "network": "mine"})
    if form is not monai_run:
        workflow.initialize()
        assert workflow.parser.get_parsed_content("networks::mine")().channels == (8, 4)
    with pytest.raises((RuntimeError, KeyError)) as raised:
        workflow = form(config_file=config, **{"networks::mine": {**mine, "widht": 4}, "network": "mine"})
        workflow.initialize()
    assert "Did you mean --networks::mine::width?" in str(raised.value.__cause__)
