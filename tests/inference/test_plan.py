"""The folder of results belongs to one process."""

import json
from pathlib import Path

import pytest
from PIL import Image

from common.inference import Plan


def plan_of(folder: Path, weights: str = "a") -> Plan:
    (folder / "in" / "deep").mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8)).save(folder / "in" / "deep" / "a.png")
    return Plan(folder / "in", folder / "out", {"weights": weights})


def test_a_second_process_stops(tmp_path: Path):
    plan = plan_of(tmp_path)
    with (
        plan.held(),
        pytest.raises(BlockingIOError, match=r"another process measures into .*out; wait for it"),
        Plan(plan.source, plan.folder, {}).held(),
    ):
        pytest.fail("held twice")
    with plan.held():
        pass


def test_what_another_process_measured_since_the_start_stops_it(tmp_path: Path):
    one, other = plan_of(tmp_path), plan_of(tmp_path)
    (path,) = one.unfinished
    with other.held():
        other.claim(path, ["_seg.png"])
        other.finish(path, {}, ["_seg.png"])
    with pytest.raises(BlockingIOError, match="has just measured into"), one.held():
        pytest.fail("held")
    with one.held():
        assert not one.unfinished


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path):
    plan = plan_of(tmp_path)
    left = tmp_path / "out" / "deep" / ".partial-4711-a_seg.nii.gz"
    left.parent.mkdir(parents=True)
    left.touch()
    own = tmp_path / "out" / "deep" / "note.partial"
    own.touch()
    with plan.held():
        assert not left.exists()
    assert own.exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path):
    plan = plan_of(tmp_path)
    plan.folder.write_text(json.dumps([]))
    with pytest.raises(OSError, match=r"out cannot be written \(.*\); choose another --output"), plan.held():
        pytest.fail("held")
