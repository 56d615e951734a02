"""Preparation: a folder is whole or absent, finished work is kept, and errors name the wrong data."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import clinic
import numpy as np
import pytest
from clinic import broken, job, ramp, source, unequal
from filelock import FileLock
from PIL import Image

from common.datasets.prepared.layout import read_datalist, read_provenance
from common.datasets.prepared.preparation import prepare
from common.datasets.prepared.source import Frame, Job

ROOT = Path(__file__).parents[3]


def test_a_prepared_folder_holds_the_facts_of_the_source(tmp_path: Path):
    out = tmp_path / "deep" / "clinic"
    items = prepare(
        source(job(1), job(2, "test"), skipped={"patient3": "lost"}, facts={"centre": "north"}), out, size=32, workers=1
    )
    stored = json.loads((out / "datalist.json").read_text())
    assert json.loads(json.dumps(items)) == stored
    assert stored[0] == {
        "image": "images/patient1_4CH_ED.png",
        "label": "labels/patient1_4CH_ED.png",
        "dataset": "clinic",
        "patient": "patient1",
        "view": "4CH",
        "phase": "ED",
        "fold": "training",
        "spacing": [0.5 * 40 / 32, 0.25 * 30 / 32],
        "values": [0, 2],
    }
    provenance = read_provenance(out)
    assert provenance["skipped"] == {"patient3": "lost"}
    assert (provenance["source"], provenance["images"], provenance["size"]) == ("clinic", 2, 32)
    assert (provenance["licence"], provenance["citation"], provenance["centre"]) == ("none", "nobody", "north")
    assert provenance["label_sets"] == {"clinic": {"0": ["background"], "1": ["lv_cavity"], "2": ["lv_myocardium"]}}
    assert {"python", "pillow", "numpy", "itk", "av", "pydicom"} <= set(provenance["versions"])
    expected = ramp(2).resized(32)
    np.testing.assert_array_equal(np.array(Image.open(out / stored[1]["image"])), expected.image)
    np.testing.assert_array_equal(np.array(Image.open(out / stored[1]["label"])), expected.label)
    written = ["datalist.json", "images", "journal.jsonl", "labels", "provenance.json"]
    assert sorted(path.name for path in out.iterdir()) == written


def test_an_image_that_cannot_be_read_is_left_out_with_its_reason(tmp_path: Path):
    found = source(job(1), job(2, read=broken), job(3), job(4, read=unequal))
    items = prepare(found, tmp_path / "clinic", size=32, workers=1)
    assert [item["patient"] for item in items] == ["patient1", "patient3"]
    assert read_provenance(tmp_path / "clinic")["skipped"] == {
        "patient2_4CH_ED": "patient2.nii.gz cannot be read",
        "patient4_4CH_ED": "image (20, 20) and annotation (20, 21) differ in shape.",
    }
    assert not (tmp_path / "clinic/images/patient2_4CH_ED.png").exists()


def test_strict_stops_at_an_unreadable_image_and_keeps_finished_ones(tmp_path: Path):
    with pytest.raises(ValueError, match=r"patient2_4CH_ED: patient2\.nii\.gz cannot be read"):
        prepare(source(job(1), job(2, read=broken), job(3)), tmp_path / "clinic", size=32, workers=1, strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["clinic.partial"]
    with never_reading(1):
        prepare(source(job(1), job(3)), tmp_path / "clinic", size=32, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["clinic"]
    assert len(read_provenance(tmp_path / "clinic")["skipped"]) == 0


@contextmanager
def never_reading(*numbers: int) -> Iterator[None]:
    """Fail if the images of these numbers are read again."""
    read = clinic.ramp

    def ramp(number: int) -> Frame:
        assert number not in numbers, f"{number} was read again"
        return read(number)

    ramp.__module__, ramp.__qualname__ = read.__module__, read.__qualname__
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(clinic, "ramp", ramp)
        yield


def test_a_misspelt_background_or_ignore_is_refused_before_anything_is_read(tmp_path: Path):
    wrong = replace(source(job(1)), label_sets={"clinic": {0: "background", 2: "lv_cavity", 255: "IGNORE"}})
    with pytest.raises(ValueError, match=r"value 255 of 'clinic' is 'IGNORE', which .* write 'ignore'\."):
        prepare(wrong, tmp_path / "out", size=32, workers=1)
    assert not list(tmp_path.iterdir())


def test_a_source_without_a_readable_image_leaves_nothing_behind(tmp_path: Path):
    with pytest.raises(ValueError, match=r"clinic: none of 2 images can be used; patient1_4CH_ED: patient2"):
        prepare(source(job(1, read=broken), job(2, read=broken)), tmp_path / "clinic", size=32, workers=1)
    assert list(tmp_path.iterdir()) == []


def stop() -> None:
    raise KeyboardInterrupt


def test_an_interrupted_preparation_resumes_and_ends_the_same(tmp_path: Path):
    jobs = [job(number) for number in range(6)]
    prepare(source(*jobs), tmp_path / "whole", size=32, workers=1)
    with pytest.raises(KeyboardInterrupt):
        prepare(source(*jobs[:3], job(3, read=stop), *jobs[4:]), tmp_path / "clinic", size=32, workers=1)
    assert [path.name for path in tmp_path.iterdir() if path.name != "whole"] == ["clinic.partial"]
    with (tmp_path / "clinic.partial/journal.jsonl").open("a") as journal:
        journal.write('{"id": "patient3_4CH_ED", "item": {"im')  # killed while it wrote
    (tmp_path / "clinic.partial/images/patient9_4CH_ED.png").write_bytes(b"from a patient who left the source")
    (tmp_path / "clinic.partial/labels/patient1_4CH_ED.png").unlink()
    with never_reading(0, 2):
        prepare(source(*map(job, range(6))), tmp_path / "clinic", size=32, workers=1)
    assert contents(tmp_path / "clinic") == contents(tmp_path / "whole")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_changed_source_is_read_again(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        prepare(source(job(1), job(2, read=stop)), tmp_path / "clinic", size=32, workers=1)
    items = prepare(source(job(1, "validation"), job(2)), tmp_path / "clinic", size=32, workers=1)
    assert [item["fold"] for item in items] == ["validation", "training"]


def test_an_interrupted_preparation_with_other_settings_begins_again_aloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(KeyboardInterrupt):
        prepare(source(job(1), job(2, read=stop)), tmp_path / "clinic", size=32, workers=1)
    prepare(source(job(1), job(2)), tmp_path / "clinic", size=64, workers=1)
    assert "clinic.partial: an interrupted preparation with other settings; begun again" in capsys.readouterr().out
    assert Image.open(tmp_path / "clinic/images/patient1_4CH_ED.png").size == (64, 64)


def test_only_one_process_prepares_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("common.datasets.prepared.preparation.LOCK_TIMEOUT", 0.1)
    with (
        FileLock(tmp_path / "clinic.lock"),
        pytest.raises(RuntimeError, match=r"another process is preparing .*clinic; wait for it"),
    ):
        prepare(source(job(1)), tmp_path / "clinic", size=32, workers=1)
    prepare(source(job(1)), tmp_path / "clinic", size=32, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["clinic"]


@pytest.mark.slow
def test_several_processes_give_the_same_result_as_one(tmp_path: Path):
    jobs = [job(number, read=broken if number == 5 else None) for number in range(20)]
    for workers in (1, 3):
        prepare(source(*jobs), tmp_path / str(workers), size=32, workers=workers)
    assert contents(tmp_path / "3") == contents(tmp_path / "1")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_worker_that_dies_is_reported_and_costs_only_its_image(tmp_path: Path):
    jobs = [job(number) for number in range(12)]
    with pytest.raises(RuntimeError, match=r"a worker process died .* while reading one of \[.*'patient10_4CH_ED'"):
        prepare(source(*jobs[:10], job(10, read=die), job(11)), tmp_path / "clinic", size=32, workers=2)
    prepare(source(*jobs), tmp_path / "clinic", size=32, workers=1)
    assert len(read_datalist(tmp_path / "clinic")) == 12


SLOWLY = """
import sys, time
from functools import partial
from pathlib import Path
from clinic import job, ramp, source
from common.datasets.prepared.preparation import prepare

def slowly(number):
    time.sleep(0.2)
    return ramp(number)

jobs = [job(number, read=partial(slowly, number)) for number in range(30)]
prepare(source(*jobs), Path(sys.argv[1]), size=32, workers=2)
"""


@pytest.mark.slow
def test_a_killed_preparation_resumes(tmp_path: Path):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, "-c", SLOWLY, str(tmp_path / "clinic")]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.DEVNULL)
    journal = tmp_path / "clinic.partial/journal.jsonl"
    while not (journal.exists() and len(journal.read_text().splitlines()) > 4):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    finished = len(journal.read_text().splitlines()) - 1
    assert 3 < finished < 30
    assert not (tmp_path / "clinic").exists()
    jobs = [job(number) for number in range(30)]
    prepare(source(*jobs), tmp_path / "clinic", size=32, workers=1)  # waits until the orphaned workers have left
    prepare(source(*jobs), tmp_path / "whole", size=32, workers=1)
    assert contents(tmp_path / "clinic") == contents(tmp_path / "whole")


def test_a_full_disk_stops_the_preparation_and_keeps_finished_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save = Image.Image.save

    def full(self: Image.Image, path: Path, *arguments: object) -> None:
        if "patient2" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, path, *arguments)

    jobs = [job(1), job(2), job(3)]
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full)
        with pytest.raises(OSError, match=r"No space left on device; finished images are kept.*patient2_4CH_ED\.png"):
            prepare(source(*jobs), tmp_path / "clinic", size=32, workers=1)
    assert len(prepare(source(*jobs), tmp_path / "clinic", size=32, workers=1)) == 3


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "a/b", "", ".hidden", "x" * 300, "a\x00b", "a\nb"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match=r"clinic: '.*' is not a valid or not a unique file name"):
        prepare(source(Job(name, job(1).item, job(1).read)), tmp_path / "clinic", size=32, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_no_two_images_share_a_name(tmp_path: Path):
    twins = [Job(name, job(1).item, job(1).read) for name in ("Patient", "patient")]
    with pytest.raises(ValueError, match=r"'patient' is not a valid or not a unique file name"):
        prepare(source(*twins), tmp_path / "clinic", size=32, workers=1)


def left_half(image: np.ndarray, motion: np.ndarray | None) -> SimpleNamespace | None:
    mask = np.broadcast_to(np.arange(image.shape[1]) < image.shape[1] // 2, image.shape)
    method = "threshold" if motion is None else "motion"
    return SimpleNamespace(mask=mask, method=method, confidence=0.9) if image.max() > 200 else None


def test_pixels_outside_the_sector_become_black(tmp_path: Path):
    def bright(value: int, motion: bool) -> Frame:
        label = np.zeros((32, 32), np.uint8)
        label[8:16, 12:20] = 1  # half of it is outside
        shade = np.full((32, 32), value, np.uint8)
        return Frame(shade, label, None, np.ones((32, 32), np.float32) if motion else None)

    jobs = [
        job(number, read=partial(bright, value, motion))
        for number, (value, motion) in enumerate([(255, True), (255, False), (9, False)])
    ]
    clip, still, unsure = prepare(source(*jobs), tmp_path / "clinic", size=32, workers=1, sector_finder=left_half)
    assert (clip["sector"], clip["outside_sector"]) == ({"method": "motion", "confidence": 0.9}, 0.5)
    assert still["sector"]["method"] == "threshold"
    assert (unsure["sector"], "outside_sector" in unsure) == (None, False)
    image = np.array(Image.open(tmp_path / "clinic" / clip["image"]))
    assert (image[:, :16] == 255).all()
    assert (image[:, 16:] == 0).all()
    assert (np.array(Image.open(tmp_path / "clinic" / unsure["image"])) == 9).all()


def test_an_existing_folder_is_not_touched(tmp_path: Path):
    out = tmp_path / "clinic"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    with pytest.raises(FileExistsError, match=r"clinic exists and is not a prepared folder; choose another folder"):
        prepare(source(job(1)), out, size=32, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["clinic"]
    assert (out / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("jobs", "size", "message"),
    [
        ([], 32, r"clinic: no image to prepare; left out \(0\): nothing"),
        ([job(1)], 8, r"size is 8, expected 16 to 4096 rows and columns"),
    ],
)
def test_what_cannot_be_prepared_is_named(tmp_path: Path, jobs: list[Job], size: int, message: str):
    with pytest.raises(ValueError, match=message):
        prepare(source(*jobs), tmp_path / "out", size, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_the_checksum_depends_on_content_but_not_on_order(tmp_path: Path):
    def checksum(name: str, *jobs: Job) -> str:
        prepare(source(*jobs), tmp_path / name, size=32, workers=1)
        return read_provenance(tmp_path / name)["checksum"]

    first = checksum("first", job(1), job(2))
    assert checksum("reversed", job(2), job(1)) == first
    assert checksum("fewer", job(1)) != first
    assert checksum("other", job(1), job(3)) != first
    same_pixels = Job(job(2).id, job(2).item, partial(ramp, 1))
    assert checksum("pixel", job(1), same_pixels) != first
    assert checksum("fold", job(1), job(2, "validation")) != first
