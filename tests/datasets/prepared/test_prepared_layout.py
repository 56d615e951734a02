"""Reading prepared folders."""

import io
import json
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from clinic import job, source
from PIL import Image

from common.datasets.prepared.labels import stated_label_sets
from common.datasets.prepared.layout import check_unchanged, checksum, read_datalist, read_pixels, read_provenance
from common.datasets.prepared.preparation import prepare


def test_a_datalist_is_read_by_fold_with_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    prepare(source(job(1), job(2, "test"), job(3)), tmp_path / "a", size=32, workers=1)
    prepare(source(job(4), job(5, "validation")), tmp_path / "b", size=32, workers=1)
    monkeypatch.chdir(tmp_path)
    training = read_datalist(["a", "b"], "training")
    assert [item["patient"] for item in training] == ["patient1", "patient3", "patient4"]
    monkeypatch.chdir("/")
    assert all(Path(item[key]).is_file() for item in training for key in ("image", "label"))
    assert [item["patient"] for item in read_datalist(tmp_path / "a")] == ["patient1", "patient2", "patient3"]
    assert [item["patient"] for item in read_datalist(str(tmp_path / "b"), "validation")] == ["patient5"]
    with pytest.raises(ValueError, match=r"no item of fold 'test' in \['.*b'\]; there are training, validation\."):
        read_datalist(tmp_path / "b", "test")
    with pytest.raises(ValueError, match=r"fold is 'train', expected one of \['training', 'validation', 'test'\]"):
        read_datalist(tmp_path / "b", "train")


def test_the_order_of_images_and_datasets_does_not_depend_on_the_order_of_the_folders(tmp_path: Path):
    prepare(source(job(1), job(2)), tmp_path / "a", size=32, workers=1)
    prepare(source(job(4), job(5)), tmp_path / "b", size=32, workers=1)
    other = replace(job(6), item={**job(6).item, "dataset": "airport"})
    prepare(replace(source(other), label_sets={"airport": [["background"], ["lv"], ["la"]]}), tmp_path / "c", 32, 1)
    folders = [tmp_path / name for name in "abc"]
    several = {json.dumps(read_datalist(order)) for order in permutations(folders)}
    assert len(several) == 1
    assert read_datalist(folders)[0]["dataset"] == "airport"
    classes = ["background", "lv", "la", "lv_cavity", "lv_myocardium"]
    assert len({json.dumps(stated_label_sets(order, classes)) for order in permutations(folders)}) == 1
    assert [item["patient"] for item in read_datalist([tmp_path / "b"])] == ["patient4", "patient5"]


def test_a_folder_that_is_prepared_anew_between_its_checksum_and_its_use_is_refused(tmp_path: Path):
    prepare(source(job(1), job(2)), tmp_path / "a", size=32, workers=1)
    then = checksum(tmp_path / "a")
    check_unchanged(tmp_path / "a", then)
    prepare(source(job(1), job(3)), tmp_path / "a", size=32, workers=1)
    with pytest.raises(ValueError, match=r"/a changed while it was read; let the preparation finish, and start again"):
        check_unchanged(str(tmp_path / "a"), then)


def test_the_order_of_the_lines_of_a_datalist_changes_nothing(tmp_path: Path):
    """The checksum does not depend on it, so neither may the order in which a training draws images."""
    prepare(source(*map(job, range(4))), tmp_path / "a", 16, workers=1)
    before = read_datalist(tmp_path / "a"), checksum(tmp_path / "a")
    path = tmp_path / "a" / "datalist.json"
    path.write_text(json.dumps(json.loads(path.read_text())[::-1]))
    assert (read_datalist(tmp_path / "a"), checksum(tmp_path / "a")) == before


def test_one_folder_that_is_given_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    prepare(source(job(1), job(2)), tmp_path / "a", size=32, workers=1)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    for second in ("a", "./a", str(tmp_path / "a"), "link", "copy"):
        for read in (read_datalist, checksum):
            with pytest.raises(ValueError, match=r"a and .* hold the same images, .* leave one of them out"):
                read(["a", second])


def test_a_folder_that_is_not_prepared_says_how_to_prepare_one(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"it has no datalist\.json.*python -m common\.datasets phantom"):
        read_datalist(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a prepared dataset: it has no provenance\.json"):
        read_provenance(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda items: items[0].update(fold="test"), r"patient 'patient1' of 'clinic' is in two folds, test and tr"),
        (
            lambda items: items[0].update(fold="test", patient="PATIENT1"),
            "'patient1' of 'clinic' is in two folds, test",
        ),
        (lambda items: items.append({**items[3]}), "2b.png is there twice and would count twice"),
        (lambda items: items.append({**items[3], "image": "./" + items[3]["image"]}), "is there twice and would"),
        (lambda items: [one.update(fold="tset") for one in items[2:]], r"fold 'tset', .*Did you mean 'test'\?"),
        (lambda items: items[0].pop("fold"), "fold None, expected one of"),
        (lambda items: items[0].update(unlabelled=["lv_cavty"]), r"names 'lv_cavty', .*Did you mean 'lv_cavity'\?"),
    ],
)
def test_a_datalist_that_was_edited_to_give_wrong_results_is_refused(
    tmp_path: Path, change: Callable[[list], object], message: str
):
    every = [job(1), replace(job(1), id="1b"), job(2, "test"), replace(job(2, "test"), id="2b")]
    prepare(source(*every), tmp_path / "a", size=32, workers=1)
    items = json.loads((tmp_path / "a/datalist.json").read_text())
    assert len(read_datalist(tmp_path / "a", "training")) == 2
    items[1]["unlabelled"] = ["lv_cavity"]
    (tmp_path / "a/datalist.json").write_text(json.dumps(items))
    assert len(read_datalist(tmp_path / "a", "test")) == 2, "a right edit"
    change(items)
    (tmp_path / "a/datalist.json").write_text(json.dumps(items))
    with pytest.raises(ValueError, match=rf"a/datalist\.json: .*{message}.* Correct it, or prepare"):
        read_datalist(tmp_path / "a", "training")


@pytest.mark.parametrize("content", [b'[{"image": ', b"\x89PNG\xff\xfe"])
def test_an_unreadable_datalist_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "datalist.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"datalist\.json is not readable JSON .*prepare the dataset again"):
        read_datalist(tmp_path)


@pytest.mark.parametrize("side", [1_000, 9_000, 60_000])
def test_a_large_image_is_refused_before_it_is_decoded(tmp_path: Path, side: int):
    buffer = io.BytesIO()
    Image.new("L", (64, 64)).save(buffer, "PNG")
    header = b"IHDR" + struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0)  # bits, grey, compression, filter, interlace
    path = tmp_path / "bomb.png"
    path.write_bytes(buffer.getvalue()[:12] + header + struct.pack(">I", zlib.crc32(header)) + buffer.getvalue()[33:])
    with pytest.raises(ValueError, match=rf"bomb\.png (is {side}x{side} pixels|cannot be read \(.*bomb)"):
        read_pixels(path, 64)


def test_a_broken_or_missing_image_is_named(tmp_path: Path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match=r"broken\.png cannot be read \(.+\); prepare the dataset again"):
        read_pixels(str(tmp_path / "broken.png"))
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png is missing; prepare the dataset again"):
        read_pixels(tmp_path / "nowhere.png")
