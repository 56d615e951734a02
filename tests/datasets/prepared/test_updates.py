"""A prepared folder is brought up to date: only what changed is read again, and the old folder stays until then."""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from threading import RLock

import numpy as np
import pytest
from own_folder import COLUMNS, ROWS, describe, mask, picture, scan, tabulate, write_clinic
from PIL import Image
from tqdm import tqdm

from common.datasets.prepared import image_job, made_from, replacing
from common.datasets.prepared.layout import (
    checksum,
    image_digest,
    read_datalist,
    read_pixels,
    read_provenance,
)
from common.datasets.prepared.preparation import prepare
from common.datasets.prepared.source import Source
from common.datasets.readers.own_folder.reader import folder
from common.identity import digest

Output = pytest.CaptureFixture[str]
NAMES = [f"images_p_{patient}_4CH_{phase}" for patient in (1, 2) for phase in ("ED", "ES")]


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """Two patients, prepared into `out`."""
    clinic = write_clinic(tmp_path / "clinic")
    prepare(folder(clinic, describe(clinic)), tmp_path / "out", 16, workers=1)
    return clinic


@contextmanager
def counted() -> Iterator[list[str]]:
    """Collect the names of the images that are read from the source."""
    read: list[str] = []
    original = image_job.file_states

    def states(paths: list[Path]) -> list[object]:
        read.append(paths[0].name)
        return list(original(paths))

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(image_job, "file_states", states)
        yield read


def again(clinic: Path, description: Path, size: int | None = 16) -> list[str]:
    """Prepare again; return what was read."""
    with counted() as read:
        prepare(folder(clinic, description), clinic.parent / "out", size, workers=1)
    assert sorted(path.name for path in clinic.parent.iterdir() if path.is_dir()) == ["clinic", "out"]
    return read


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_changed_is_said_and_nothing_is_written(clinic: Path, capsys: Output):
    out = clinic.parent / "out"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    for path in clinic.rglob("*.png"):  # as a copy of the folder has
        os.utime(path)
    assert again(clinic, describe(clinic)) == []
    assert f"{out}: nothing changed.\n" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.parametrize("part", ["images/p_2_4CH_ES.png", "masks/p_2_4CH_ES_mask.png"])
def test_an_image_or_mask_that_changed_is_read_again_whatever_its_size_and_date(
    clinic: Path, part: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
):
    path, out = clinic / part, clinic.parent / "out"
    monkeypatch.setattr(made_from, "SETTLED", 0)
    Image.fromarray(scan(3) if "images" in part else mask(0, 1, 2)).save(path, compress_level=0)
    again(clinic, describe(clinic), 24)
    again(clinic, describe(clinic))
    earlier, before = path.stat(), checksum(out)
    time.sleep(0.02)  # a file system's clock may tick in 10 ms
    Image.fromarray(scan(9) if "images" in part else mask(2, 1, 0)).save(path, compress_level=0)
    os.utime(path, ns=(earlier.st_atime_ns, earlier.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (earlier.st_size, earlier.st_mtime_ns)
    assert again(clinic, describe(clinic)) == ["p_2_4CH_ES.png"]
    assert f"{out}: prepared again (changed file: images_p_2_4CH_ES)" in capsys.readouterr().out
    assert checksum(out) != before
    fresh = clinic.parent / "fresh"
    prepare(folder(clinic, describe(clinic)), fresh, 16, workers=1)
    assert {name: content for name, content in contents(out).items() if "journal" not in name} == {
        name: content for name, content in contents(fresh).items() if "journal" not in name
    }


def test_an_edited_description_changes_what_values_mean_without_reading(clinic: Path, capsys: Output):
    values = {0: "background", 1: "lv_cavity", 2: "left_atrium"}
    assert again(clinic, describe(clinic, values=values, licence="open")) == []
    assert "prepared again (label_sets; licence private -> open)" in capsys.readouterr().out
    assert read_provenance(clinic.parent / "out")["label_sets"]["clinic"]["2"] == ["left_atrium"]


def test_an_edited_spacing_is_read_again_and_reported(clinic: Path, capsys: Output):
    before = checksum(clinic.parent / "out")
    assert len(again(clinic, describe(clinic, spacing=[0.5, 0.5]))) == 4
    assert "prepared again (read in another way: 4 images" in capsys.readouterr().out
    assert read_datalist(clinic.parent / "out")[0]["spacing"] == [0.5 * ROWS / 16, 0.5 * COLUMNS / 16]
    assert checksum(clinic.parent / "out") != before


def test_an_edited_table_changes_facts_without_reading(tmp_path: Path, capsys: Output):
    clinic = write_clinic(tmp_path / "clinic")
    rows = [f"images/{name[7:]}.png,masks/{name[7:]}_mask.png,{name[7:10]}" for name in NAMES]
    description = tabulate(clinic, "image,label,patient,ef", *(f"{row},50" for row in rows))
    prepare(folder(clinic, description), tmp_path / "out", 16, workers=1)
    before = checksum(tmp_path / "out")
    description = tabulate(clinic, "image,label,patient,ef", f"{rows[0]},61", *(f"{row},50" for row in rows[1:]))
    assert again(clinic, description) == []
    assert "prepared again (ef of images_p_1_4CH_ED)" in capsys.readouterr().out
    assert [item["ef"] for item in read_datalist(tmp_path / "out")] == [61, 50, 50, 50]
    assert checksum(tmp_path / "out") != before


def test_another_size_or_reader_reads_everything_again(clinic: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch):
    assert len(again(clinic, describe(clinic), 24)) == 4
    assert "prepared again (size 16 -> 24: 4 images)" in capsys.readouterr().out
    assert len(again(clinic, describe(clinic), None)) == 4
    assert read_pixels(clinic.parent / "out/images" / f"{NAMES[0]}.png").shape == (ROWS, COLUMNS)
    monkeypatch.setattr("common.datasets.prepared.preparation.reader_digest", lambda *_: "newer")
    assert len(again(clinic, describe(clinic), None)) == 4
    assert "prepared again (new version of the reader: 4 images)" in capsys.readouterr().out


def test_added_and_removed_images_leave_the_others_and_their_folds(clinic: Path, capsys: Output):
    out = clinic.parent / "out"
    before = {item["patient"]: item["fold"] for item in read_datalist(out)}
    assert before.keys() == {"p_1", "p_2"}
    for number in range(3, 31):
        picture(clinic / f"images/p_{number}_4CH_ED.png", scan(number))
        picture(clinic / f"masks/p_{number}_4CH_ED_mask.png", mask(0, 1, 2))
    (clinic / "images/p_1_4CH_ES.png").unlink()
    assert len(again(clinic, describe(clinic))) == 28
    assert "prepared again (new: 28 images; gone: images_p_1_4CH_ES)" in capsys.readouterr().out
    after = {item["patient"]: item["fold"] for item in read_datalist(out)}
    assert before.items() <= after.items()
    assert Counter(after.values()) == {"training": 24, "validation": 3, "test": 3}
    assert read_provenance(out)["folds"]["clinic"] == after


def test_a_fold_outlives_a_patient_who_is_away(clinic: Path):
    out = clinic.parent / "out"
    before = {item["patient"]: item["fold"] for item in read_datalist(out)}
    away = clinic.parent / "away"
    away.mkdir()
    for path in clinic.glob("images/p_1*"):
        path.rename(away / path.name)
    prepare(folder(clinic, describe(clinic)), out, 16, workers=1)
    for path in away.iterdir():
        path.rename(clinic / "images" / path.name)
    prepare(folder(clinic, describe(clinic)), out, 16, workers=1)
    assert {item["patient"]: item["fold"] for item in read_datalist(out)} == before


def test_a_folder_of_an_earlier_version_keeps_its_folds(clinic: Path, capsys: Output):
    out = clinic.parent / "out"
    (out / "journal.jsonl").unlink()
    provenance = read_provenance(out)
    (out / "provenance.json").write_text(
        json.dumps({key: provenance[key] for key in provenance.keys() - {"folds", "digests"}})
    )
    items = json.loads((out / "datalist.json").read_text())
    folds = {"p_1": "test", "p_2": "training"}
    items = [{**item, "fold": folds[item["patient"]]} for item in items]
    (out / "datalist.json").write_text(json.dumps(items))
    with pytest.raises(
        FileExistsError, match=r"out was changed after it was prepared, and has no journal .*; to discard"
    ):
        again(clinic, describe(clinic))
    pixels = [[read_pixels(out / item[key]) for key in ("image", "label")] for item in items]
    content = sorted(image_digest(*pair, item) for pair, item in zip(pixels, items, strict=True))
    (out / "provenance.json").write_text(json.dumps({**read_provenance(out), "checksum": digest(*content)}))
    assert len(again(clinic, describe(clinic))) == 4
    assert "prepared again (prepared by an earlier version: 4 images)" in capsys.readouterr().out
    assert {item["patient"]: item["fold"] for item in read_datalist(out)} == folds


def test_folds_that_somebody_edited_in_the_datalist_are_kept(clinic: Path, capsys: Output):
    out = clinic.parent / "out"
    before = checksum(out)
    items = json.loads((out / "datalist.json").read_text())
    items = [{**item, "fold": "test" if item["patient"] == "p_1" else "training"} for item in items]
    (out / "datalist.json").write_text(json.dumps(items))
    assert again(clinic, describe(clinic)) == []
    assert "prepared again (folds edited in datalist.json: p_1 validation -> test)" in capsys.readouterr().out
    assert [item["fold"] for item in read_datalist(out)] == ["test", "test", "training", "training"]
    assert checksum(out) != before


def test_a_missing_or_damaged_image_is_prepared_again(clinic: Path, capsys: Output):
    out = clinic.parent / "out"
    (out / "images" / f"{NAMES[0]}.png").unlink()
    (out / "labels" / f"{NAMES[1]}.png").write_bytes(b"\x89PNG")
    assert len(again(clinic, describe(clinic))) == 2
    assert f"missing images: {NAMES[0]}; damaged in the prepared folder: {NAMES[1]}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda out: (out / "notes.txt").write_text("mine"),
            r"out has changed .* holds notes\.txt, which preparation did",
        ),
        (
            lambda out: (out / "images/mine.png").write_bytes(b"mine"),
            r"holds images/mine\.png, which preparation did not",
        ),
        (lambda out: (out / "fixed").mkdir(), r"holds fixed, which preparation did not write; move them elsewhere"),
        (
            lambda out: picture(out / "labels" / f"{NAMES[0]}.png", np.ones((16, 16), np.uint8)),
            r"labels/images_p_1_4CH_ED\.png was changed after it was prepared; correct the source",
        ),
        (lambda out: (out / "provenance.json").unlink(), r"out exists and is not a prepared folder"),
    ],
)
def test_what_somebody_else_wrote_is_never_deleted(clinic: Path, spoil: Callable[[Path], object], message: str):
    out = clinic.parent / "out"
    time.sleep(0.02)  # a file system's clock may tick in 10 ms
    spoil(out)
    before = contents(out)
    picture(clinic / "images/p_2_4CH_ES.png", scan(9))
    with pytest.raises(FileExistsError, match=message):
        prepare(folder(clinic, describe(clinic)), out, 16, workers=1)
    assert contents(out) == before


def test_a_folder_in_the_way_of_the_work_is_not_deleted(clinic: Path):
    partial = clinic.parent / "out.partial"
    picture(partial / "images/mine.png", scan())
    picture(clinic / "images/p_2_4CH_ES.png", scan(9))
    with pytest.raises(FileExistsError, match=r"out\.partial is where the work would be done, but holds images/mine"):
        prepare(folder(clinic, describe(clinic)), clinic.parent / "out", 16, workers=1)
    assert (partial / "images/mine.png").is_file()


def test_another_dataset_is_not_replaced(clinic: Path):
    other = write_clinic(clinic.parent / "other")
    with pytest.raises(FileExistsError, match=r"out holds the dataset 'clinic', not 'other'; choose another folder"):
        prepare(folder(other, describe(other, dataset="other")), clinic.parent / "out", 16, workers=1)


@pytest.mark.parametrize("exchanging", [True, False])
def test_an_interruption_between_the_steps_leaves_the_old_or_the_new_folder(
    clinic: Path, exchanging: bool, monkeypatch: pytest.MonkeyPatch
):
    """Stop at each call that changes the file system; the same command then ends the work."""
    out = clinic.parent / "out"
    if not exchanging:
        monkeypatch.setattr(replacing, "_exchange", lambda *_: False)
    old = contents(out)
    picture(clinic / "images/p_2_4CH_ES.png", scan(9))
    backup = clinic.parent / "backup"
    shutil.copytree(out, backup)
    seen = set()
    for steps in range(100):
        shutil.rmtree(out)
        shutil.copytree(backup, out)
        left = [steps]

        def act(
            original: Callable[..., object], *arguments: object, left: list[int] = left, **others: object
        ) -> object:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return original(*arguments, **others)

        with pytest.MonkeyPatch.context() as patch:
            for owner, name in ((Path, "rename"), (Path, "unlink"), (Path, "rmdir"), (shutil, "rmtree")):
                original = getattr(owner, name)
                patch.setattr(owner, name, lambda *words, original=original, **others: act(original, *words, **others))
            try:
                prepare(folder(clinic, describe(clinic)), out, 16, workers=1)
                break
            except KeyboardInterrupt:
                pass
        there = contents(out) if out.exists() else contents(out.with_name(".out.replaced"))
        changed = there["images/images_p_2_4CH_ES.png"] != old["images/images_p_2_4CH_ES.png"]
        seen.add(changed)
        if changed:
            assert json.loads(there["datalist.json"])
        else:
            assert there == old
        prepare(folder(clinic, describe(clinic)), out, 16, workers=1)
        assert sorted(path.name for path in clinic.parent.iterdir() if path.is_dir()) == ["backup", "clinic", "out"]
    else:
        pytest.fail("never finished")
    assert seen == {False, True}


@pytest.mark.parametrize("name", ["images", "labels"])
@pytest.mark.parametrize("content", [b"", None])
def test_what_a_killed_process_wrote_by_half_is_written_again(clinic: Path, name: str, content: bytes | None):
    """The journal is whole, as that of an old folder that was half deleted; one file is cut off, or another image."""
    source, out = folder(clinic, describe(clinic)), clinic.parent / "out"
    prepare(source, new := clinic.parent / "new", 24, workers=1)
    partial = Path(shutil.copytree(new, clinic.parent / "out.partial"))
    (partial / "datalist.json").unlink()
    (partial / ".partial-1-journal.jsonl").touch()
    other = (partial / name / f"{NAMES[2]}.png").read_bytes()
    (partial / name / f"{NAMES[0]}.png").write_bytes(other if content is None else content)
    prepare(source, out, 24, workers=1)
    assert pixels(out) == pixels(new)
    assert {path.name for path in out.iterdir()} == {path.name for path in new.iterdir()}


@pytest.mark.parametrize("names", [["images"], ["labels"], ["images", "labels"]])
def test_a_deletion_that_was_interrupted_is_no_obstacle(clinic: Path, names: list[str]):
    source, out = folder(clinic, describe(clinic)), clinic.parent / "out"
    prepare(source, new := clinic.parent / "new", 24, workers=1)
    partial = Path(shutil.copytree(new, clinic.parent / "out.partial"))
    for name in names:
        shutil.rmtree(partial / name)
    prepare(source, out, 24, workers=1)
    assert pixels(out) == pixels(new)


@pytest.mark.robust
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_folder(clinic: Path):
    for number in range(3, 60):
        picture(clinic / f"images/p_{number}_4CH_ED.png", scan(number))
        picture(clinic / f"masks/p_{number}_4CH_ED_mask.png", mask(0, 1, 2))
    out, description = clinic.parent / "out", describe(clinic)
    states, took = {}, 0.0
    for size in (16, 24):
        started = time.monotonic()
        prepare(folder(clinic, description), out, size, workers=1)
        took = time.monotonic() - started
        states[size] = pixels(out)
    size, killed = 16, 0
    for attempt in range(120):
        if killed == 30:
            break
        process = get_context("fork").Process(target=prepare_alone, args=(folder(clinic, description), out, size))
        process.start()
        process.join(timeout=took * (attempt % 36) / 35)
        process.kill()
        process.join()
        killed += process.exitcode != 0
        assert pixels(out) in states.values()
        if pixels(out) == states[size]:
            size = 40 - size
    assert killed == 30
    prepare(folder(clinic, description), out, size, workers=1)
    assert pixels(out) == states[size]


def prepare_alone(source: Source, out: Path, size: int) -> None:
    """Prepare in a forked process that may be killed: it must not share the lock of the progress bar."""
    tqdm.set_lock(RLock())
    prepare(source, out, size, workers=1)


def pixels(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in contents(folder).items() if name.endswith(".png")}
