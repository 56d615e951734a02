"""What a notebook gives: classes and functions instead of their names, numbers of numpy, and words for booleans."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigWorkflow, create_workflow
from monai.bundle import run as monai_run

from common.configuration import switch

CONFIG = """
network: unet
networks: {unet: {_target_: torch.nn.Identity}}
seed: 0
rate: 0.1
sizes: [1, 2]
resume: false
run_name: null
written:
  {seed: "@seed", rate: "@rate", sizes: "@sizes", resume: "@resume", run_name: "@run_name", twice: "$@seed * 2"}
initialize:
  - _target_: common.bundle.settings.check_settings
    choices: {network: networks}
    limits: {seed: [0], rate: [0]}
    names: [run_name]
  - "@given"
  - _target_: common.engines.save_configuration
    folder: FOLDER
    configuration: {_target_: common.configuration.running}
given: {_target_: common.bundle.given.given_names}
run: ["$print(@networks, @network, @written)", "$print('given:', @given)"]
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
    path.write_text(CONFIG.replace("FOLDER", str(tmp_path)))
    return str(path)


@pytest.mark.parametrize("target", [Net, build, f"{__name__}.Net"])
@pytest.mark.parametrize("form", [monai_run, create_workflow, ConfigWorkflow])
def test_a_component_may_be_given_by_its_class_or_function(config: str, form: Any, target: Any):
    mine = {"_target_": target, "_mode_": "callable", "_desc_": "mine", "out_channels": 4}
    workflow = form(config_file=config, **{"networks::mine": mine, "network": "mine"})
    if form is not monai_run:
        workflow.initialize()
        assert workflow.parser.get_parsed_content("networks::mine")().channels == (8, 4)


@pytest.mark.parametrize("target", [Net, build, f"{__name__}.Net"])
def test_it_is_written_by_its_name_as_part_of_what_was_run(config: str, target: Any):
    mine = {"_target_": target, "_mode_": "callable", "out_channels": 4}
    workflow = create_workflow(config_file=config, **{"networks::mine": mine, "network": "mine"})
    stored = yaml.safe_load((Path(config).parents[1] / "config.yaml").read_text())
    name = target if isinstance(target, str) else f"{__name__}.{target.__name__}"
    assert stored["networks"]["mine"] == {**mine, "_target_": name}
    assert workflow.parser["networks::mine::_target_"] == name


@pytest.mark.parametrize("target", [lambda out_channels: Net(out_channels), partial(Net, width=2)])
def test_what_has_no_name_in_other_processes_stays_itself(config: str, target: Any):
    given = {"networks::mine": {"_target_": target, "out_channels": 4}, "network": "mine"}
    workflow = create_workflow(config_file=config, **given)
    assert workflow.parser["networks::mine::_target_"] is target
    assert workflow.parser.get_parsed_content("networks::mine").channels[1] == 4


@pytest.mark.parametrize("form", [create_workflow, ConfigWorkflow])
@pytest.mark.parametrize("target", [Net, build, f"{__name__}.Net"])
def test_a_misspelt_argument_of_it_is_refused(config: str, form: Any, target: Any):
    given = {"networks::mine": {"_target_": target, "_mode_": "callable", "widht": 4}, "network": "mine"}
    with pytest.raises((RuntimeError, KeyError)) as raised:
        form(config_file=config, **given).initialize()
    assert "Did you mean --networks::mine::width?" in str(raised.value.__cause__)


@pytest.mark.parametrize("form", [create_workflow, ConfigWorkflow])
def test_numbers_of_numpy_are_those_of_python(config: str, form: Any):
    given = {"seed": np.int64(3), "rate": np.float32(0.5), "sizes": [np.int32(8), np.int32(9)], "resume": np.True_}
    workflow = form(config_file=config, **given, run_name=np.int64(7))
    workflow.initialize()
    written = workflow.parser.get_parsed_content("written")
    assert repr(written) == "{'seed': 3, 'rate': 0.5, 'sizes': [8, 9], 'resume': True, 'run_name': 7, 'twice': 6}"
    stored = yaml.safe_load((Path(config).parents[1] / "config.yaml").read_text())
    assert (stored["seed"], stored["rate"], stored["sizes"], stored["resume"]) == (3, 0.5, [8, 9], True)


@pytest.mark.parametrize("form", [create_workflow, ConfigWorkflow])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": np.float64(2.5)}, r"^--seed: expected a whole number, got 2\.5\.$"),
        ({"seed": np.int64(-1)}, r"^--seed: expected at least 0, got -1\.$"),
        ({"rate": np.float32("nan")}, r"^--rate: expected a finite number, got nan\.$"),
        ({"rate": np.True_}, r"^--rate: expected a number, like its default 0\.1, got True\.$"),
    ],
)
def test_wrong_numbers_of_numpy_are_refused_as_those_of_python(
    config: str, form: Any, given: dict[str, Any], message: str
):
    with pytest.raises((RuntimeError, KeyError)) as raised:
        form(config_file=config, **given).initialize()
    assert re.search(message, str(raised.value.__cause__))


@pytest.mark.parametrize("form", [monai_run, create_workflow, ConfigWorkflow])
def test_a_run_knows_the_names_of_what_it_was_given(config: str, form: Any, capsys: pytest.CaptureFixture[str]):
    workflow = form(config_file=config, **{"written::rate": "$@rate * 2", "seed": 0, "sizes": [3]})
    if workflow is not None:
        workflow.initialize()
        (Path(config).parent / "mine.yaml").write_text("written: {rate: $@rate * 2}")  # not of this run
        (Path(config).parent / "history.json").write_text("[{}]")
        workflow.run()
    assert capsys.readouterr().out.splitlines()[-1] == "given: ['sizes', 'written::rate']"


def test_an_expression_may_be_a_number_of_numpy(config: str):
    workflow = create_workflow(config_file=config, seed="$__import__('numpy').int64(3)")
    assert workflow.parser.get_parsed_content("seed") == 3


@pytest.mark.parametrize("form", [create_workflow, ConfigWorkflow])
def test_true_and_false_are_no_text(config: str, form: Any):
    workflow = form(config_file=config, **{"resume": "true", "networks::unet::inplace": "False"})
    workflow.initialize()
    assert workflow.parser.get_parsed_content("written")["resume"] is True
    assert workflow.parser["networks::unet::inplace"] is False


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), (False, False), ("true", True), ("False", False), ("TRUE", True)]
)
def test_a_switch_is_read_from_text(value: bool | str, expected: bool):
    assert switch(value) is expected


@pytest.mark.parametrize("value", ["yes", "", "0", "None"])
def test_what_is_neither_true_nor_false_is_refused(value: str):
    with pytest.raises(ValueError, match=rf"expected true or false, got '{value}'"):
        switch(value)


RUNS = """
epochs: 3
rate: 0.1
initialize: [{_target_: common.bundle.settings.check_settings}]
run:
  - {_target_: common.bundle.overrides.check_accepted}
  - $print('ran', @epochs, @rate)
"""


def test_settings_that_were_not_checked_are_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (config := tmp_path / "train.yaml").write_text(RUNS)
    message = r"the settings were not checked: leave out --init_id, or call initialize\(\) before run\(\)"
    with pytest.raises(RuntimeError) as raised:
        ConfigWorkflow(str(config), epoch=1).run()
    assert re.search(message, str(raised.value.__cause__))
    with pytest.raises(RuntimeError) as raised:
        monai_run(init_id="nothing", config_file=str(config), epoch=1)
    assert re.search(message, str(raised.value.__cause__))
    monai_run(config_file=str(config), epochs=1)
    assert capsys.readouterr().out.count("ran") == 1


@pytest.mark.parametrize(("name", "value"), [("epochs", 1), ("rate", 0.5), ("epoch", 1)])
def test_settings_that_change_after_their_check_are_checked_again(tmp_path: Path, name: str, value: Any):
    (config := tmp_path / "train.yaml").write_text(RUNS)
    workflow = create_workflow(config_file=str(config))
    workflow.run()
    workflow.parser[name] = value
    workflow.parser.ref_resolver.reset()
    with pytest.raises(RuntimeError) as raised:
        workflow.run()
    cause = str(raised.value.__cause__)
    assert re.search(rf"^--{name} was changed after initialize\(\), which checks it: call initialize\(\) again", cause)
    if name != "epoch":
        workflow.initialize()
        workflow.run()
