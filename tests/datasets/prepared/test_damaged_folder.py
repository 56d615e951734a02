"""A prepared folder whose own files are damaged, or that somebody edited, is refused, repaired, and loses nothing."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from own_folder import describe, picture, write_clinic

from common.datasets.prepared.layout import checksum, read_datalist, stated_pixels
from common.datasets.prepared.preparation import prepare
from common.datasets.readers.own_folder.reader import folder

Output = pytest.CaptureFixture[str]
NAMES = [f"images_p_{patient}_4CH_{phase}" for patient in (1, 2) for phase in ("ED", "ES")]


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """Two patients, prepared into `out`."""
    clinic = write_clinic(tmp_path / "clinic")
    again(clinic)
    return clinic


def again(clinic: Path) -> None:
    prepare(folder(clinic, describe(clinic)), clinic.parent / "out", 16, workers=1)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
def test_a_journal_that_is_not_whole_is_written_again_unless_the_folder_was_changed(
    clinic: Path, damage: str, capsys: Output
):
    out = clinic.parent / "out"
    path = out / "journal.jsonl"
    whole = path.read_bytes()
    path.unlink() if damage == "missing" else path.write_bytes(b"" if damage == "empty" else whole[: len(whole) // 2])
    damaged = Path(shutil.copytree(out, clinic.parent / "damaged"))
    for use in (checksum, lambda folder: stated_pixels(read_datalist(folder))):
        with pytest.raises(
            ValueError, match=r"journal\.jsonl is missing, cut off or edited; prepare the dataset again"
        ):
            use(out)
    picture(damaged / "labels" / f"{NAMES[3]}.png", np.ones((16, 16), np.uint8))
    with pytest.raises(FileExistsError, match=r"damaged was changed after it was prepared"):
        prepare(folder(clinic, describe(clinic)), damaged, 16, workers=1)
    shutil.rmtree(damaged)
    again(clinic)
    assert "prepared again (journal.jsonl is missing or cut off: 4 images)" in capsys.readouterr().out
    assert stated_pixels(read_datalist(out)) != [None] * 4


@pytest.mark.parametrize("damaged", ["datalist.json", "provenance.json"])
@pytest.mark.parametrize("content", ["", "{}"])
def test_a_damaged_datalist_or_provenance_is_written_again_with_the_folds(
    clinic: Path, damaged: str, content: str, capsys: Output
):
    out = clinic.parent / "out"
    items = json.loads((out / "datalist.json").read_text())
    folds = {"p_1": "test", "p_2": "training"}
    (out / "datalist.json").write_text(json.dumps([{**item, "fold": folds[item["patient"]]} for item in items]))
    again(clinic)
    whole = {name: (out / name).read_bytes() for name in ("datalist.json", "provenance.json")}
    (out / damaged).write_text(content)
    again(clinic)
    assert f"out: prepared again ({damaged} is damaged)\n" in capsys.readouterr().out
    assert {name: (out / name).read_bytes() for name in whole} == whole
    for name in whole:
        (out / name).write_text(content)
    with pytest.raises(ValueError, match=r"out: provenance\.json and datalist\.json are damaged; remove the folder"):
        again(clinic)


def test_a_prepared_annotation_that_was_edited_is_found_whatever_its_date(clinic: Path):
    path = clinic.parent / "out/labels" / f"{NAMES[0]}.png"
    state = path.stat()
    time.sleep(0.02)  # a file system's clock may tick in 10 ms
    picture(path, np.ones((16, 16), np.uint8))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(
        FileExistsError, match=r"labels/.*_ED\.png was changed after .* move the changed file elsewhere"
    ):
        again(clinic)
    path.rename(clinic.parent / "mine.png")
    again(clinic)
    assert len(read_datalist(clinic.parent / "out")) == 4
