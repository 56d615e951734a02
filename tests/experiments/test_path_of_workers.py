"""The trainings of a grid, which run in Ray's processes, find components on the user's PYTHONPATH."""

import importlib
import os
from pathlib import Path
from typing import Any

import pytest

from common.experiments import run

ROOT = str(Path(run.__file__).parents[2])


@pytest.mark.parametrize(
    ("given", "own"),
    [
        ("own:/elsewhere/mine", ["{here}/own", "/elsewhere/mine"]),
        ("../beside:", ["{above}/beside", "{here}"]),  # to Python, an empty entry is the working directory
        ("", []),
        (None, []),
    ],
)
def test_workers_get_the_path_of_the_user_after_the_project(
    given: str | None, own: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = dict[str, Any]()
    monkeypatch.setattr(run.ray, "init", lambda *_, **more: asked.update(more))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if given is not None:
        monkeypatch.setenv("PYTHONPATH", given.replace(":", os.pathsep))
    run._start(1, None)
    path = asked["runtime_env"]["env_vars"]["PYTHONPATH"].split(os.pathsep)
    assert path == [ROOT, *(place.format(here=tmp_path, above=tmp_path.parent) for place in own)]


@pytest.mark.slow
def test_a_worker_imports_a_component_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "losses_of_the_user.py").write_text("WEIGHT = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "own")

    def weight() -> int:
        return importlib.import_module("losses_of_the_user").WEIGHT

    try:
        run._start(1, None)
        assert run.ray.get(run.ray.remote(weight).remote()) == 3
    finally:
        run.ray.shutdown()
