"""What ends a run of the command line: a message alone, or a traceback where it helps."""

from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser
from torch.utils.data import DataLoader

from common.bundle.settings import _report
from common.datasets import read_datalist


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


def broken() -> None:
    """Fail as the code of a user may."""
    raise KeyError("mine")


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


@pytest.mark.parametrize(("fetch", "lines"), [(read_datalist, 1), (int, None)], ids=["ours", "library"])
def test_an_error_of_a_worker_is_reported_like_any(fetch: Any, lines: int | None, capsys: pytest.CaptureFixture[str]):
    loader = DataLoader(["nowhere"], collate_fn=lambda names: fetch(names[0]), num_workers=1)  # type: ignore[arg-type]
    with pytest.raises((RuntimeError, ValueError, FileNotFoundError)) as refusal:
        list(loader)
    said = report(refusal.value, capsys).strip()
    assert "nowhere" in said.splitlines()[-1]
    assert ("Traceback" in said) == (lines is None)
    assert lines is None or len(said.splitlines()) == lines


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"optimizer": {"_target_": "torch.optim.AdamW", "params": [], "momentum": 0.9}},
            "TypeError: torch.optim.AdamW (with params, momentum) cannot be built: AdamW.__init__() got an unexpected "
            "keyword argument 'momentum'; give the whole component",
        ),
        (
            {"optimizer": "$torch.nn.Linear(2, 'three')", "imports": ["$import torch"]},
            "TypeError: $torch.nn.Linear(2, 'three') cannot be built: empty(): argument 'size' (position 1) must",
        ),
    ],
)
def test_what_a_library_cannot_build_is_one_line(
    config: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(RuntimeError) as raised:
        ConfigParser(config).get_parsed_content("optimizer")
    (line,) = report(raised.value, capsys).strip().splitlines()
    assert line.startswith(message)


def test_what_the_code_of_a_user_cannot_build_keeps_its_traceback(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(RuntimeError) as raised:
        ConfigParser({"mine": {"_target_": f"{__name__}.broken"}}).get_parsed_content("mine")
    assert "Traceback" in report(raised.value, capsys)


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str]):
    (line,) = report(KeyboardInterrupt(), capsys).strip().splitlines()
    assert "--resume true" in line


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
