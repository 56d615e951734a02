"""Fixtures that several test files share."""

import os
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from hypothesis import settings
from numpy.typing import NDArray
from small_bundle import SETTINGS, WORKFLOW, write

from common.bundle import complete as joining

ROOT = Path(__file__).parents[1]

torch.set_num_threads(1)  # the tensors are tiny: waiting for each other makes threads 20 times slower on a busy machine
os.environ.setdefault("RAY_worker_niceness", "0")  # 15 by default: on a busy machine its workers hardly run
settings.register_profile("local", deadline=None)
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable" if os.environ.get("CI") else "local")

LONGEST = ("test_readme.py", "test_run_grid.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, so that parallel workers end together."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture
def echo_data() -> Path:
    """The folder of real data; tests that need it are skipped without."""
    if "ECHO_DATA" not in os.environ:
        pytest.skip("ECHO_DATA does not name a folder with real data")
    return Path(os.environ["ECHO_DATA"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory that sees the project but keeps what the runs write; holds a tiny prepared phantom."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("common", "bundles", "benchmarks", "tests", "Makefile", "requirements.txt", "requirements-dev.txt"):
        (folder / name).symlink_to(ROOT / name)
    drawn = forked.run(["common.datasets", "phantom", "data/phantom", "--patients", "10", "--size", "32"], cwd=folder)
    assert drawn.returncode == 0, drawn.stderr
    return folder


@pytest.fixture
def bullet() -> NDArray[np.int64]:
    """Draw a bullet at 0.5 mm a pixel: 1 cavity (half an ellipse, 60 x 40 mm), 2 its wall (10 mm), 3 atrium below."""
    rows, columns = np.indices((260, 200))
    y, x = rows * 0.5 - 80, columns * 0.5 - 50  # mm from the middle of the annulus
    labels = np.zeros(rows.shape, dtype=np.int64)
    labels[((y / 70) ** 2 + (x / 30) ** 2 <= 1) & (y <= 0)] = 2
    labels[((y / 60) ** 2 + (x / 20) ** 2 <= 1) & (y <= 0)] = 1
    labels[(((y - 20) / 20) ** 2 + (x / 18) ** 2 <= 1) & (y > 0)] = 3
    return labels


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle that states its classes alone, with small workflows."""
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
