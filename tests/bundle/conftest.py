"""Fixtures that several test files share."""

from pathlib import Path

import pytest
from small_bundle import SETTINGS, WORKFLOW, write

from common.bundle import complete as joining


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    workflows = tmp_path / "workflows"
    workflows.mkdir()
    (workflows / "train.yaml").write_text(WORKFLOW)
    (workflows / "evaluate.yaml").write_text("fold: test\n")
    (workflows / "measure.yaml").write_text("input: scans\n")
    (workflows / "settings.yaml").write_text(SETTINGS)
    monkeypatch.setattr(joining, "WORKFLOWS", workflows)
    bundle = tmp_path / "bundle"
    (bundle / "configs").mkdir(parents=True)
    write(bundle, "classes: [background, lv]  # names\n")
    return bundle
