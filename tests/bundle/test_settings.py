"""The command line: unknown settings stop the run, and saved settings repeat it."""

import functools
import inspect
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire
import pytest
import yaml
from monai.bundle import ConfigParser
from monai.bundle import run as monai_run

import common
from common.bundle.settings import _report, check_settings, command_line, save_settings
from common.configuration import switch
from common.datasets import read_datalist

CONFIG = """
epochs: 50
learning_rate: 0.1
resume: false
data: data/phantom
note: null
classes: [background, lv]
withheld: {}
images: {}
renamed: {}
loss: marginal
doubled: "$@epochs * 2"
losses:
  marginal: {_target_: torch.nn.L1Loss}
  adaptive_bce: {_target_: torch.nn.MSELoss}
optimizer: {_target_: torch.optim.SGD, lr: 0.1}
train:
  handlers:
    - {_target_: common.engines.History, folder: runs}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "train.yaml"
    path.write_text(CONFIG)
    return path


def check(config: Path, *words: str, choices: bool = True) -> None:
    check_settings({"loss": "losses"} if choices else None, ["run", "--config_file", str(config), *words])


@pytest.fixture(autouse=True)
def _restore_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.mark.parametrize(
    ("words", "runner", "overrides"),
    [
        (["run"], {}, {}),
        (["run", "my_run", "--config_file", "a.yaml"], {"config_file": "a.yaml"}, {}),
        (["run", "--config_file=a.yaml,b.yaml", "--x=1"], {"config_file": "a.yaml,b.yaml"}, {"x": 1}),
        (["run", "--lr", "0.01", "--name", "text", "--on", "True"], {}, {"lr": 0.01, "name": "text", "on": True}),
        (["run", "--resume"], {}, {"resume": True}),
        (["run", "--resume", "--epochs", "3"], {}, {"resume": True, "epochs": 3}),
        (["run", "--shift", "-3"], {}, {"shift": -3}),
        (["run", "--names", "['a','b']"], {}, {"names": ["a", "b"]}),
        (["run", "--label-dropout", "0.5"], {}, {"label_dropout": 0.5}),
        (["run", "--optimizer::lr", "0.5", "--a#0", "x=y"], {}, {"optimizer::lr": 0.5, "a#0": "x=y"}),
        (["run", "--uri", "sqlite:///a=b.db"], {}, {"uri": "sqlite:///a=b.db"}),
        (
            ["run", "--logging_file", "l.conf", "--tracking", "mlflow"],
            {"logging_file": "l.conf", "tracking": "mlflow"},
            {},
        ),
    ],
)
def test_the_words_are_read_as_monais_runner_reads_them(words: list[str], runner: dict, overrides: dict):
    assert command_line(words) == (runner, overrides)
    received: dict[str, Any] = {}

    @functools.wraps(monai_run)
    def spy(*positional: Any, **named: Any) -> None:
        arguments = inspect.signature(monai_run).bind(*positional, **named).arguments
        received.update(arguments.pop("override", {}), **arguments)

    fire.Fire({"run": spy}, command=words)
    given = {name: value for name, value in received.items() if value is not None and name != "run_id"}
    assert given == runner | overrides


def test_the_command_line_of_another_program_is_ignored(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pytest", "--epoch", "3"])
    assert command_line() is None
    check_settings()
    monkeypatch.setattr(sys, "argv", ["/lib/monai/bundle/__main__.py", "run", "--epochs", "3"])
    assert command_line() == ({}, {"epochs": 3})


def test_a_file_of_arguments_counts_and_the_command_line_wins(tmp_path: Path, config: Path):
    arguments = tmp_path / "arguments.yaml"
    arguments.write_text(yaml.safe_dump({"config_file": str(config), "epochs": 7, "learning_rate": 0.5}))
    runner, overrides = command_line(["run", "--args_file", str(arguments), "--epochs", "3"])
    assert runner == {"args_file": str(arguments), "config_file": str(config)}
    assert overrides == {"epochs": 3, "learning_rate": 0.5}
    arguments.write_text(yaml.safe_dump({"config_file": str(config), "epoch": 7}))
    with pytest.raises(SystemExit, match=r"--epoch is not a setting of this bundle. Did you mean --epochs\?"):
        check_settings(argv=["run", "--args_file", str(arguments)])


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
    ],
)
def test_known_settings_may_be_set(config: Path, words: list[str]):
    check(config, *words)
    parsed = command_line(["run", *words])
    assert parsed is not None
    assert parsed[1], "the settings were read and accepted"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--epoch", "3"],
            r"--epoch is not a setting of this bundle. Did you mean --epochs\? Plain settings: epochs, ",
        ),
        (["--epoch=3"], r"--epoch is not a setting of this bundle. Did you mean --epochs\?"),
        (["--learningrate", "3"], r"--learningrate is not a setting .*Did you mean --learning_rate\?"),
        (["--zzzzzz", "3"], r"--zzzzzz is not a setting of this bundle. Plain settings: epochs, learning_rate, resume"),
        (["--resumed"], r"--resumed is not a setting of this bundle. Did you mean --resume\?"),
        # MONAI merges "+" in files only; on the command line it would add a setting that nothing reads
        (["--+withheld", "{'a': ['lv']}"], r"--\+withheld is not a setting of this bundle. Did you mean --withheld\?"),
        (
            ["--optimiser::lr", "0.5"],
            r"--optimiser::lr is not a setting of this bundle. Did you mean --optimizer::lr\?",
        ),
        (
            ["--losses::margnal::weight", "0.5"],
            r"--losses::margnal::weight is not .* Did you mean --losses::marginal::weight\? losses: marginal, adaptive",
        ),
        (
            ["--losses::focal", "x"],
            r"--losses::focal is not a setting of this bundle\. losses: marginal, adaptive_bce\.",
        ),
        (
            ["--optimizer#momentun", "0.9"],
            r"--optimizer#momentun is not .* Did you mean --optimizer::momentum\? optimizer: lr, params, momentum, ",
        ),
        (["--optimizer::betas", "[0.9,0.99]"], r"--optimizer::betas is not a setting of this bundle"),
        (["--optimizer::momentum::first", "0.9"], r"--optimizer::momentum::first is not a setting of this bundle"),
        (["--train::handlers::1::folder", "x"], r"--train::handlers::1::folder is not a setting"),
        (["--epochs::first", "3"], r"--epochs::first is not a setting"),
        (["--loss", "margnal"], r"--loss: expected one of marginal, adaptive_bce, got 'margnal'\."),
        (["--loss", "3"], r"--loss: expected one of marginal, adaptive_bce, got 3\."),
        (["--epochs", "three"], r"--epochs: expected a number, like its default 50, got 'three'\."),
        (["--epochs"], r"--epochs: expected a number, like its default 50, got True\."),
        (["--learning_rate", "1e-3x"], r"--learning_rate: expected a number, like its default 0\.1, got '1e-3x'\."),
        (["--optimizer::lr", "fast"], r"--optimizer::lr: expected a number, like its default 0\.1, got 'fast'\."),
        (["--resume", "maybe"], r"--resume: expected true or false, got 'maybe'\."),
        (["--resume", "1"], r"--resume: expected true or false, got 1\."),
    ],
)
def test_unknown_settings_stop_the_run(config: Path, words: list[str], message: str):
    with pytest.raises(SystemExit, match=message):
        check(config, *words)


@pytest.mark.parametrize("argv", [["run"], None])
def test_a_bundle_published_with_another_version_is_refused(argv: list[str] | None):
    check_settings(argv=argv, version=common.__version__)
    versions = rf"published with version 0\.0\.1 of its code, but version {re.escape(common.__version__)} is loaded"
    with pytest.raises(ValueError, match=versions):
        check_settings(argv=argv, version="0.0.1")


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
    more.write_text("+losses: {mine: {_target_: torch.nn.L1Loss}}\nnew_setting: 1\n")
    check_settings(
        {"loss": "losses"}, ["run", "--config_file", f"{config},{more}", "--loss", "mine", "--new_setting=2"]
    )
    check_settings({"loss": "losses"}, ["run", "--config_file", f"['{config}','{more}']", "--loss", "mine"])
    with pytest.raises(SystemExit, match=r"--loss: expected one of marginal, adaptive_bce, got 'mine'"):
        check(config, "--loss", "mine")


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), (False, False), ("true", True), ("False", False), ("TRUE", True)]
)
def test_a_switch_is_read_from_text(value: bool | str, expected: bool):
    assert switch(value) is expected


@pytest.mark.parametrize("value", ["yes", "", "0", "None"])
def test_what_is_neither_true_nor_false_is_refused(value: str):
    with pytest.raises(ValueError, match=rf"expected true or false, got '{value}'"):
        switch(value)


def saved(folder: Path, config: Path, words: Sequence[str]) -> ConfigParser:
    save_settings(folder, ["run", "--config_file", str(config), "--bundle_root", "bundles/b", *words])
    parser = ConfigParser()
    parser.read_config(folder / "config.yaml")
    return parser


def test_the_saved_configuration_runs_as_it_was_run(tmp_path: Path, config: Path):
    words = [
        "--epochs",
        "3",
        "--loss=adaptive_bce",
        "--optimizer::lr",
        "0.5",
        "--withheld",
        "{'a': ['lv']}",
        "--data",
        "a,b",
    ]
    parser = saved(tmp_path, config, words)
    assert parser.get_parsed_content("doubled") == 6, "an expression is saved as an expression"
    assert type(parser.get_parsed_content("losses::adaptive_bce")).__name__ == "MSELoss"
    original = yaml.safe_load(CONFIG)
    expected = original | {
        "epochs": 3,
        "loss": "adaptive_bce",
        "optimizer": original["optimizer"] | {"lr": 0.5},
        "withheld": {"a": ["lv"]},
        "data": ["a", "b"],
        "bundle_root": "bundles/b",
    }
    stored = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert stored == expected
    assert list(stored)[:3] == ["epochs", "learning_rate", "resume"], "in the order of the original"


def test_the_saved_configuration_passes_its_own_check(tmp_path: Path, config: Path):
    saved(tmp_path, config, ["--optimizer::momentum", "0.9"])
    check_settings({"loss": "losses"}, ["run", "--config_file", str(tmp_path / "config.yaml"), "--epochs", "4"])


def test_nothing_is_saved_outside_a_bundle_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pytest"])
    save_settings(tmp_path)
    assert list(tmp_path.iterdir()) == []


def wrapped(tmp_path: Path, cause: BaseException | None = None) -> BaseException:
    """Return an error as MONAI passes it on: wrapped in the names of components."""
    try:
        try:
            if cause is not None:
                raise cause
            read_datalist(tmp_path / "nowhere")
        except Exception as error:
            raise RuntimeError("Failed to instantiate component 'train::dataset'") from error
    except RuntimeError as error:
        return error
    raise AssertionError("nothing was raised")


def report(error: BaseException, capsys: pytest.CaptureFixture[str]) -> str:
    _report(type(error), error, error.__traceback__)
    return capsys.readouterr().err


def test_an_error_raised_on_purpose_is_its_message_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lines = report(wrapped(tmp_path), capsys).strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("FileNotFoundError: ")
    assert "nowhere is not a prepared dataset" in lines[0]


def test_an_error_of_a_library_keeps_its_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    output = report(wrapped(tmp_path, ValueError("raised in a library")), capsys)
    assert "Traceback" in output
    assert "Failed to instantiate component" in output
    assert output.strip().endswith("ValueError: raised in a library")


def test_a_programming_error_keeps_its_traceback(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(TypeError) as raised:
        read_datalist(3)  # type: ignore[arg-type]
    assert "Traceback" in report(raised.value, capsys)


def test_a_cause_that_was_never_raised_is_reported(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError("outer") from ValueError("never raised")
    output = report(raised.value, capsys)
    assert "outer" in output
    assert "never raised" in output


def test_the_check_installs_the_report_of_errors(config: Path):
    check(config)
    assert sys.excepthook is _report
