"""Faults of MLflow, and of a bundle, end a command of experiments in one line."""

import sys
from pathlib import Path

import pytest

from common.experiments import __main__ as command

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1", "./mlruns"])
@pytest.mark.parametrize("name", ["report", "claims"])
def test_mlflow_that_cannot_be_used_is_named_in_one_line(
    uri: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(sys, "argv", ["experiments", name, str(ROOT / "bundles/echo_inter_domain"), "--scale", "smoke"])
    with pytest.raises(SystemExit, match=rf"^{name}: MLflow at {uri}: .+; repeat when it answers, or name .+$"):
        command.main()


def test_a_report_needs_a_report_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bundle = tmp_path / "new"
    monkeypatch.setattr(sys, "argv", ["experiments", "report", str(bundle), "--scale", "smoke"])
    with pytest.raises(SystemExit, match=r"new is not a bundle: .*train\.yaml is missing"):
        command.main()
    (bundle / "configs").mkdir(parents=True)
    (bundle / "configs/train.yaml").write_text("experiment: new\n")
    with pytest.raises(SystemExit, match=r"report\.yaml is missing; state the figures and claims of the report there"):
        command.main()
