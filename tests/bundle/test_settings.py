"""Settings from the command line and from Python: what is unknown or cannot be stops the run."""

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fire
import pytest
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow, create_workflow
from monai.bundle import run as monai_run
from monai.fl.client import MonaiAlgo

import common
from common.bundle.settings import _report, check_settings, command_words
from common.configuration import check_overrides, given_settings

CONFIG = """
epochs: 50
learning_rate: 0.1
val_interval: 1
resume: false
data: data/phantom
run_name: "$'run' + str(@epochs)"
note: null
tags: {}
classes: [background, lv]
withheld: {}
images: {}
renamed: {}
train_on: []
loss: marginal
record: {classes: "@classes"}
doubled: "$@epochs * 2"
losses:
  marginal: {_target_: torch.nn.L1Loss}
  adaptive_bce: {_target_: torch.nn.MSELoss}
optimizer: {_target_: torch.optim.SGD, lr: 0.1}
checkpointed: {loss_function: "@loss", optimizer: "@optimizer"}
train:
  handlers:
    - {_target_: common.engines.History, folder: runs}
initialize:
  - _target_: common.bundle.settings.check_settings
    choices: {loss: losses}
    limits: {epochs: [1], val_interval: [1, epochs], learning_rate: [0]}
    names: [run_name]
run:
  - _target_: common.engines.save_configuration
    folder: FOLDER
    configuration: {_target_: common.configuration.running}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "configs" / "train.yaml"
    path.parent.mkdir()
    path.write_text(CONFIG.replace("FOLDER", str(tmp_path)))
    path.with_name("overlay.yaml").write_text("train::handlers::0::folder: elsewhere\n")  # for use beside train.yaml
    return path


def check(config: Path | str, *words: str) -> None:
    """Run a configuration as the command line does."""
    command = ["run", "--config_file", str(config), *words]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["/lib/monai/bundle/__main__.py", *command])
        fire.Fire({"run": monai_run}, command=command)


@pytest.fixture(autouse=True)
def _restore_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def test_the_words_of_another_program_are_ignored(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pytest", "--epoch", "3"])
    assert command_words() is None
    check_settings()
    monkeypatch.setattr(sys, "argv", ["/lib/monai/bundle/__main__.py", "run", "--label-dropout", "1e3", "--on"])
    assert command_words() == {"label_dropout": "1e3", "on": "True"}


def test_a_file_of_arguments_counts_and_the_command_line_wins(tmp_path: Path, config: Path):
    arguments = tmp_path / "arguments.yaml"
    arguments.write_text(yaml.safe_dump({"config_file": str(config), "epochs": 7, "learning_rate": 0.5}))
    check("None", "--args_file", str(arguments), "--epochs", "3")
    stored = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert (stored["epochs"], stored["learning_rate"]) == (3, 0.5)
    arguments.write_text(yaml.safe_dump({"config_file": str(config), "epoch": 7}))
    with pytest.raises(SystemExit, match=r"--epoch is not a setting of this bundle. Did you mean --epochs\?"):
        check("None", "--args_file", str(arguments))


@pytest.mark.parametrize(
    "words",
    [
        ["--epochs", "3", "--learning_rate", "1", "--resume", "true", "--loss", "adaptive_bce"],
        ["--resume"],
        ["--resume=False"],
        ["--data", "['a', 'b']"],
        ["--note", "anything"],
        ["--classes", "[background, la]"],
        ["--doubled", "7"],
        ["--epochs", "$2 + 1"],
        ["--learning_rate", "@epochs"],
        ["--optimizer::lr", "0.5"],
        ["--optimizer#lr", "0.5"],
        ["--optimizer::momentum", "0.9"],  # an argument that the component has but the configuration does not list
        ["--optimizer::betas", "[0.9,0.99]", "--optimizer#_target_", "torch.optim.Adam"],
        ["--losses::marginal::_disabled_", "true"],
        ["--train::handlers::0::folder", "elsewhere"],
        ["--losses::marginal::_target_", "torch.nn.HuberLoss"],
        ["--run_name", "2024"],
        ["--run_name", "'1e3'"],
        ["--run_name", "läuf 1 [a]"],
        ["--tags", "{purpose: thesis}"],
        ["--val_interval", "7", "--epochs", "7"],
        ["--learning_rate", "0"],
        ["--checkpointed::rates", "@learning_rate"],  # a reference among references
        ["--checkpointed#optimizer_of_teacher", "@learning_rate"],
        ["--optimizer::lr", "@##learning_rate", "--tags", "{version: '@_meta_::version'}"],
    ],
)
def test_known_settings_may_be_set(config: Path, words: list[str]):
    before = yaml.safe_load(config.read_text())
    check(config, *words)
    assert given_settings(words)
    assert (yaml.safe_load((config.parents[1] / "config.yaml").read_text()) == before) == (words == ["--resume=False"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--epoch", "3"],
            r"--epoch is not a setting of this bundle. Did you mean --epochs\? Plain settings: epochs, ",
        ),
        (["--checkpointed::optimiser", "@epochs"], r"^--checkpointed::optimiser is not .* --checkpointed::optimizer\?"),
        (["--checkpointed::rates", "3"], r"^--checkpointed::rates is not a setting of this bundle"),
        (["--epoch=3"], r"--epoch is not a setting of this bundle. Did you mean --epochs\?"),
        (["--learningrate", "3"], r"--learningrate is not a setting .*Did you mean --learning_rate\?"),
        (["--zzzzzz", "3"], r"--zzzzzz is not a setting of this bundle. Plain settings: epochs, learning_rate, val_"),
        (["--resumed"], r"--resumed is not a setting of this bundle. Did you mean --resume\?"),
        # MONAI merges "+" in files only; on the command line it would add a setting that nothing reads
        (["--+withheld", "{'a': ['lv']}"], r"--\+withheld is not a setting of this bundle. Did you mean --withheld\?"),
        (["--losses::focal", "x"], r"--losses::focal is not a setting .*\. losses: marginal, adaptive_bce\."),
        (
            ["--optimizer#momentun", "0.9"],
            r"--optimizer#momentun is not .* Did you mean --optimizer::momentum\? optimizer: lr, params, momentum, ",
        ),
        (["--optimizer::betas", "[0.9,0.99]"], r"--optimizer::betas is not a setting of this bundle"),
        (["--loss", "margnal"], r"--loss: expected one of marginal, adaptive_bce, got 'margnal'\."),
        (["--loss", "3"], r"--loss: expected one of marginal, adaptive_bce, got 3\."),
        (["--epochs", "three"], r"--epochs: expected a number, like its default 50, got 'three'\."),
        (["--epochs"], r"--epochs: expected a number, like its default 50, got True\."),
        (["--learning_rate", "1e-3x"], r"--learning_rate: expected a number, like its default 0\.1, got '1e-3x'\."),
        (["--optimizer::lr", "fast"], r"--optimizer::lr: expected a number, like its default 0\.1, got 'fast'\."),
        (["--resume", "maybe"], r"--resume: expected true or false, got 'maybe'\."),
        (["--resume", "1"], r"--resume: expected true or false, got 1\."),
        (["--optimizer::maximize", "no"], r"^--optimizer::maximize: 'no' would be text, which .* write true or false"),
        (["--epochs", "0"], r"^--epochs: expected at least 1, got 0\.$"),
        (["--epochs", "2.5"], r"^--epochs: expected a whole number, got 2\.5\.$"),
        (["--epochs", "$5 / 2"], r"^--epochs: expected a whole number, got 2\.5\.$"),
        (["--learning_rate", "-1"], r"^--learning_rate: expected at least 0, got -1\.$"),
        (["--learning_rate", "$float('nan')"], r"^--learning_rate: expected a finite number, got nan\.$"),
        (["--val_interval", "5", "--epochs", "2"], r"^--val_interval is 5, expected at most --epochs, 2\.$"),
        (["--tags", "purpose=thesis"], r"--tags: expected names with values, --tags .*, got 'purpose="),
        (["--losses", "3"], r"--losses: expected names with values, .* got 3"),
        (["--run_name", "@a"], r"^--run_name: '@a' refers to 'a', which is not in this configuration\.$"),
        (["--epochs", "@epohcs"], r"^--epochs: '@epohcs' refers to 'epohcs', which is not .* Did you mean 'epochs'\?$"),
        (["--run_name", "1e3"], r"^--run_name: expected a name, but '1e3' would be read as 1000\.0"),
        (["--run_name", "1_2"], r"^--run_name: expected a name, but '1_2' would be read as 12"),
        (["--run_name", "a,b"], r"^--run_name: expected a name, but 'a,b' would be read as \('a', 'b'\)"),
        (["--run_name", "a#b"], r"^--run_name: expected a name, but 'a#b' would be read as 'a'"),
        (["--run_name", "läuf #1"], r"^--run_name: expected a name, but 'läuf #1' would be read as 'läuf'"),
        (["--record::classes", "[background, la]"], r"^--record::classes: the record says what was trained; set what "),
        (
            ["--run_name", "a/b"],
            r"^--run_name: expected the name of one folder, got 'a/b'; choose its place by",
        ),
        (["--run_name", "ü" * 101], r"^--run_name: expected at most 200 bytes, got 202\.$"),
        (["--run_name", "evaluations"], r"^--run_name: evaluations of other weights lie in the folder 'evalu"),
        (["--data", "a", "--data=b"], r"^--data is given twice; several folders are a list"),
        (["--run_name", ""], r"^--run_name: expected a name, but '' "),
        (["--run_name", "None"], r"^--run_name: None would be ignored by MONAI"),
        (["--data", "None"], r"^--data: None would be ignored by MONAI"),
        (["--optimizer::lr", "None"], r"^--optimizer::lr: None would be ignored by MONAI"),
        (["--optimizer::weight_decay", "None"], r"^--optimizer::weight_decay: None .* or give '\$None'\.$"),
        (["--data", "data/p64 #2"], r"^--data: MONAI would change the '#' in 'data/p64 #2'"),
        (["--data", "['data/a', 'data/p64 #2']"], r"^--data: MONAI would change the '#' in 'data/p64 "),
    ],
)
def test_unknown_settings_stop_the_run(config: Path, words: list[str], message: str):
    with pytest.raises(SystemExit, match=message):
        check(config, *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--optimiser::lr", "0.5"],
            r"--optimiser::lr is not a setting of this bundle. Did you mean --optimizer::lr\?",
        ),
        (
            ["--losses::margnal::weight", "0.5"],
            r"--losses::margnal::weight is not .* Did you mean --losses::marginal::weight\? losses: marginal, adaptive",
        ),
        (["--optimizer::momentum::first", "0.9"], r"--optimizer::momentum::first is not a setting of this bundle"),
        (["--train::handlers::1::folder", "x"], r"--train::handlers::1::folder is not a setting"),
        (["--epochs::first", "3"], r"--epochs::first is not a setting"),
    ],
)
def test_nested_settings_whose_parents_are_unknown_are_named(config: Path, words: list[str], message: str):
    """MONAI refuses them before it reads the rest; grids do not."""
    with pytest.raises(ValueError, match=message):
        check_overrides(yaml.safe_load(config.read_text()), given_settings(words), {})


FORMS: dict[str, Callable[..., Any]] = {
    "run": lambda config, **given: monai_run(config_file=str(config), **given),
    "create_workflow": lambda config, **given: create_workflow(config_file=str(config), workflow_type="train", **given),
    "list": lambda config, **given: create_workflow(config_file=[str(config)], **given),
    "ConfigWorkflow": lambda config, **given: ConfigWorkflow(str(config), **given).initialize(),
    "MonaiAlgo": lambda config, **given: MonaiAlgo(
        str(config.parents[1]),
        config_train_filename=f"configs/{config.name}",
        config_evaluate_filename=None,
        train_workflow=None,
        train_kwargs=given,
    ).initialize(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epoch": 1}, r"--epoch is not a setting of this bundle. Did you mean --epochs\?"),
        ({"optimizer::momentun": 1}, r"--optimizer::momentun is not .* Did you mean --optimizer::momentum\?"),
        ({"optimizer#momentun": 1}, r"--optimizer(#|::)momentun is not .* Did you mean --optimizer::momentum\?"),
        ({"losses::margnal::weight": 1}, None),  # MONAI itself: the parent is missing
        ({"loss": "margnal"}, r"--loss: expected one of marginal, adaptive_bce, got 'margnal'\."),
        ({"epochs": 0}, r"--epochs: expected at least 1, got 0\."),
        ({"epochs": "three"}, r"--epochs: expected a number, like its default 50, got 'three'\."),
        ({"run_name": 1e3}, r"--run_name: expected a name, but '1000\.0' would be read as"),
        ({"tags": "a=b"}, r"--tags: expected names with values"),
    ],
)
def test_from_python_as_from_the_command_line(config: Path, form: str, given: dict[str, Any], message: str | None):
    with pytest.raises((RuntimeError, KeyError)) as raised:
        FORMS[form](config, **given)
    if message is not None:
        assert raised.value.__cause__ is not None
        assert raised.match("check_settings")
        with pytest.raises(ValueError, match=message):
            raise raised.value.__cause__
    assert not (config.parents[1] / "config.yaml").exists()


@pytest.mark.parametrize("form", [form for form in FORMS if form != "MonaiAlgo"])
def test_right_settings_and_further_files_are_accepted_from_python(config: Path, tmp_path: Path, form: str):
    FORMS[form](config, **{"epochs": 3, "optimizer::momentum": 0.9, "run_name": 2024, "data": str(tmp_path)})
    mine = tmp_path / "mine.yaml"
    mine.write_text("losses::mine: {_target_: torch.nn.L1Loss}\nloss: mine\nstrength: 2\nepochs: $@strength + 1\n")
    workflow = ConfigWorkflow([str(config), str(mine)])
    workflow.initialize()
    assert workflow.parser.get_parsed_content("epochs") == 3


def test_a_run_from_python_leaves_its_configuration(config: Path, tmp_path: Path):
    monai_run(config_file=str(config), epochs=3, data=tmp_path / "data")
    stored = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert (stored["epochs"], stored["data"]) == (3, str(tmp_path / "data"))
    assert stored["doubled"] == "$@epochs * 2", "an expression is saved as an expression"
    assert list(stored)[:2] == ["epochs", "learning_rate"], "in the order of the original"


def test_a_bundle_published_with_another_version_is_refused():
    check_settings(version=common.__version__)
    versions = rf"published with version 0\.0\.1 of its code, but version {re.escape(common.__version__)} is loaded"
    with pytest.raises(ValueError, match=versions):
        check_settings(version="0.0.1")


def test_output_that_the_terminal_cannot_show_is_replaced(monkeypatch: pytest.MonkeyPatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    check_settings()
    print("✓ ü", file=stream, flush=True)
    assert stream.buffer.getvalue() == "? ü\n".encode("cp1252")  # type: ignore[attr-defined]


def test_datasets_named_on_the_command_line_must_be_in_the_data(config: Path, tmp_path: Path):
    (tmp_path / "provenance.json").write_text('{"label_sets": {"north": [["background"], ["lv"]]}}')
    for data in (str(tmp_path), f"['{tmp_path}']", "$'/'.join(['', '" + str(tmp_path)[1:] + "'])"):
        check(config, "--data", data, "--withheld", "{north: [lv]}")
        check(config, "--data", data)
        with pytest.raises(SystemExit, match=r"withheld names 'norht', .* \['north'\]\. Did you mean 'north'\?"):
            check(config, "--data", data, "--withheld", "{norht: [lv]}")
        check(config, "--data", data, "--renamed", "{lv: background}", "--images", "{north: 0}")
        for words, message in (
            (["--renamed", "{lv_: background}"], r"renamed names 'lv_', .* \['background', 'lv'\]\. .* mean 'lv'\?"),
            (["--renamed", "background"], r"^renamed is 'background', expected .*--renamed \"\{papillary_muscle: ba"),
            (["--renamed", "[lv]"], r"^renamed is \['lv'\], expected structures and the class that each counts as"),
            (["--images", "{north: few}"], r"^images is \{'north': 'few'\}, .*--images \"\{camus: 200\}\""),
            (["--images", "{north: -1}"], r"^images is \{'north': -1\}, expected whole numbers from 0"),
            (["--withheld", "north"], r"^withheld is 'north', expected .*--withheld \"\{camus: \[left_atrium\]\}\""),
            (["--withheld", "[north]"], r"^withheld is \['north'\], expected lists of classes by dataset"),
        ):
            with pytest.raises(SystemExit, match=message):
                check(config, "--data", data, *words)
    with pytest.raises(SystemExit, match="nowhere is not a prepared dataset"):
        check(config, "--data", "nowhere", "--withheld", "{north: [lv]}")


def test_choices_are_those_of_all_configuration_files_together(config: Path, tmp_path: Path):
    more = tmp_path / "more.yaml"
    more.write_text("+losses: {mine: {_target_: torch.nn.L1Loss}}\nnew_setting: 1\nepochs: $@new_setting\n")
    check(f"['{config}','{more}']", "--loss", "mine", "--new_setting=2")
    check(f"['{config}','{more}']", "--loss", "mine")
    with pytest.raises(SystemExit, match=r"--loss: expected one of marginal, adaptive_bce, got 'mine'"):
        check(config, "--loss", "mine")


@pytest.mark.parametrize(
    "text",
    [
        'train::additional: {mine: {_target_: torch.nn.L1Loss}}\ntrain::handlers::0::folder: "@train::additional"',
        'train::additional: {mine: 3}\nepochs: "$@train::additional::mine + 1"',
        'train#additional: [3]\nepochs: "@train#additional#0"',
        'checkpointed::rates: "@learning_rate"',
    ],
)
def test_a_further_file_may_add_what_is_referred_to_and_references_among_references(
    config: Path, tmp_path: Path, text: str
):
    more = tmp_path / "more.yaml"
    more.write_text(text)
    check(f"['{config}','{more}']")
    workflow = ConfigWorkflow([str(config), str(more)])
    workflow.initialize()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train::additional: {mine: 3}", r"^--train::additional is not a setting of this bundle"),
        ("train::handler: []\nepochs: $3 + len(@train::handlers)", r"^--train::handler is .*mean --train::handlers\?"),
        ('optimizer::momentun: 0.9\nnote: "@optimizer::momentun"', r"^--optimizer::momentun is not .*momentum\?"),
        ('checkpointed::optimiser: "@optimizer"', r"^--checkpointed::optimiser is not .*--checkpointed::optimizer\?"),
        ("checkpointed::rates: 3", r"^--checkpointed::rates is not a setting of this bundle"),
    ],
)
def test_a_further_file_may_add_nothing_that_is_misspelt_or_not_used(
    config: Path, tmp_path: Path, text: str, message: str
):
    more = tmp_path / "more.yaml"
    more.write_text(text)
    with pytest.raises(SystemExit, match=message):
        check(f"['{config}','{more}']")


@pytest.mark.parametrize("form", ["{}", "{_target_: 'torch.optim.SGD', lr: 0.1, nesterov: {}}"])
@pytest.mark.parametrize(("word", "value"), [("false", False), ("False", False), ("true", True), ("TRUE", True)])
def test_true_and_false_are_no_text_wherever_they_are_given(
    config: Path, tmp_path: Path, form: str, word: str, value: bool
):
    name = "--optimizer::nesterov" if form == "{}" else "--optimizer"
    check(config, name, form.replace("{}", word), "--tags", f"{{note: [{word}]}}")
    stored = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert stored["optimizer"]["nesterov"] is value
    assert stored["tags"] == {"note": [value]}


def test_the_saved_configuration_runs_as_it_was_run(tmp_path: Path, config: Path):
    words = ["--epochs", "3", "--loss=adaptive_bce", "--optimizer::lr", "0.5", "--data", "a,b"]
    original = yaml.safe_load(config.read_text())
    check(config, *words)
    expected = original | {
        "epochs": 3,
        "loss": "adaptive_bce",
        "optimizer": original["optimizer"] | {"lr": 0.5},
        "data": ["a", "b"],
    }
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == expected
    check(tmp_path / "config.yaml", "--epochs", "4")
    parser = ConfigParser()
    parser.read_config(tmp_path / "config.yaml")
    assert parser.get_parsed_content("doubled") == 8


def test_the_check_installs_the_report_of_errors(config: Path):
    check(config)
    assert sys.excepthook is _report
