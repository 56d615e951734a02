"""A prepared folder with half of its patients on a second scanner: who moves, and what changes."""

import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.datasets.__main__ import main
from common.datasets.phantom.dataset import phantom
from common.datasets.phantom.second_scanner_dataset import moved
from common.datasets.prepared.layout import read_datalist, read_provenance
from common.datasets.prepared.preparation import prepare

Item = dict[str, Any]


def by_file(folder: Path) -> dict[str, Item]:
    return {Path(item["image"]).name: item for item in read_datalist(folder)}


def pixels(item: Item, key: str = "image") -> np.ndarray:
    return np.asarray(Image.open(item[key]))


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 patients, ED and ES: 14 train, 2 validate, 4 test."""
    out = tmp_path_factory.mktemp("origin") / "phantom"
    prepare(phantom(64, patients=20, domains=["camus_like"]), out, 64, workers=1)
    return out


@pytest.fixture(scope="module")
def both(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by the command line."""
    out = tmp_path_factory.mktemp("moved") / "both"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(sys, "argv", ["common.datasets", "moved", str(origin), str(out), "--workers", "1"])
        main()
    return out


def changed(origin: Path, tmp_path: Path, change: Any) -> Path:
    """Copy a prepared folder with another datalist."""
    folder = shutil.copytree(origin, tmp_path / "changed")
    items = json.loads((folder / "datalist.json").read_text())
    (folder / "datalist.json").write_text(json.dumps(change(items)))
    return folder


def movers(folder: Path, **settings: Any) -> set[str]:
    return {job.item["patient"] for job in moved(folder, **settings).jobs if job.item["dataset"].endswith("_moved")}


def test_half_of_the_patients_of_each_fold_move_with_both_images(both: Path, origin: Path):
    items = read_datalist(both)
    assert len(items) == len(read_datalist(origin)) == 40
    counts = Counter((item["dataset"], item["fold"]) for item in items)
    for dataset in ("camus_like", "camus_like_moved"):
        assert [counts[dataset, fold] for fold in ("training", "validation", "test")] == [14, 2, 4]
    datasets = {item["patient"]: set() for item in items}
    for item in items:
        datasets[item["patient"]].add(item["dataset"])
    assert all(len(names) == 1 for names in datasets.values())
    folds = {item["patient"]: item["fold"] for item in read_datalist(origin)}
    assert all(item["fold"] == folds[item["patient"]] for item in items)


def test_who_stays_is_left_as_it_was(both: Path, origin: Path):
    before = by_file(origin)
    stayed = {name: item for name, item in by_file(both).items() if item["dataset"] == "camus_like"}
    assert stayed
    for name, item in stayed.items():
        paths = {"image": before[name]["image"], "label": before[name]["label"]}
        assert {**item, **paths} == before[name]
        np.testing.assert_array_equal(pixels(item), pixels(before[name]))
        np.testing.assert_array_equal(pixels(item, "label"), pixels(before[name], "label"))


def test_who_moves_keeps_facts_and_physical_size(both: Path, origin: Path):
    before = by_file(origin)
    gone = {name: item for name, item in by_file(both).items() if item["dataset"] == "camus_like_moved"}
    assert gone
    area = []
    for name, item in gone.items():
        old = before[name]
        assert {key: item[key] for key in ("patient", "view", "phase", "fold")} == {
            key: old[key] for key in ("patient", "view", "phase", "fold")
        }
        assert item["spacing"] == pytest.approx([step / 0.9 for step in old["spacing"]])
        was, now = ((pixels(one, "label") == 1).sum() * np.prod(one["spacing"]) for one in (old, item))
        area.append(now / was)
        centre = {key: np.nonzero(pixels(one, "label") == 1)[1].mean() for key, one in (("was", old), ("now", item))}
        assert centre["now"] - 31.5 == pytest.approx(-0.9 * (centre["was"] - 31.5), abs=1), "mirrored"
        assert item["values"] == np.unique(pixels(item, "label")).tolist()
        assert (pixels(item) != pixels(old)).mean() > 0.3
    # a column more or less of 13 is 8 %
    assert np.mean(area) == pytest.approx(1, abs=0.03), "the cavity in mm2"
    assert np.abs(np.array(area) - 1).max() < 0.15


def test_provenance_names_the_origin_and_the_changes(both: Path, origin: Path):
    old, new = read_provenance(origin), read_provenance(both)
    assert (new["licence"], new["citation"]) == (old["licence"], old["citation"])
    assert new["label_sets"] == dict.fromkeys(("camus_like", "camus_like_moved"), old["label_sets"]["camus_like"])
    assert new["origin"]["checksum"] == old["checksum"] != new["checksum"]
    assert new["size"] == old["size"] == 64
    assert new["request"] == {"name": "moved", "prepared": str(origin), "seed": "0", "share": "0.5", "size": "None"}
    assert new["scanner"]["mirrored"] is True
    assert "altered" in new["changes"], "the licence of CAMUS asks to say so"


def test_the_seed_alone_chooses_who_moves(origin: Path, tmp_path: Path):
    chosen = movers(origin)
    assert movers(changed(origin, tmp_path, lambda items: items[::-1])) == chosen
    assert movers(origin, seed=1) != chosen
    assert movers(origin, share=0.25) < chosen, "a smaller share is part of a larger one"


def test_another_seed_draws_other_speckle_and_each_image_has_its_own(origin: Path):
    def first(seed: int) -> np.ndarray:
        job = next(job for job in moved(origin, share=1.0, seed=seed).jobs)
        return job.read().image.astype(int)

    np.testing.assert_array_equal(first(0), first(0))
    assert (first(0) != first(1)).mean() > 0.3


def test_a_share_of_0_changes_nothing_and_of_1_everything(origin: Path, tmp_path: Path):
    assert movers(origin, share=0.0) == set()
    prepare(moved(origin, share=0.0), tmp_path / "none", 64, workers=1)
    assert read_provenance(tmp_path / "none")["checksum"] == read_provenance(origin)["checksum"]
    assert len(movers(origin, share=1.0)) == 20


def test_what_an_image_leaves_unlabelled_goes_with_it_and_a_stale_measure_does_not(origin: Path, tmp_path: Path):
    def change(items: list[Item]) -> list[Item]:
        return [{**item, "unlabelled": ["left_atrium"], "outside_sector": 0.1, "spacing": None} for item in items]

    for job in moved(changed(origin, tmp_path, change)).jobs:
        assert job.item["unlabelled"] == ["left_atrium"]
        assert ("outside_sector" in job.item) == (job.item["dataset"] == "camus_like")
        assert job.read().spacing is None


def test_an_image_that_shows_no_sector_is_left_out_with_its_name(origin: Path, tmp_path: Path):
    folder = shutil.copytree(origin, tmp_path / "origin")
    black = Path(read_datalist(folder)[0]["image"])
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(black)
    source = moved(folder, share=1.0)
    assert len(prepare(source, tmp_path / "out", 64, workers=1)) == 39
    assert source.skipped[black.stem] == f"{black}: the image is black: it shows no sector."


def test_another_size_is_asked_for(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "small"
    words = ["moved", str(origin), str(out), "--workers", "1", "--size", "32", "--share", "0"]
    monkeypatch.setattr(sys, "argv", ["common.datasets", *words])
    main()
    assert read_provenance(out)["size"] == 32
    item, old = read_datalist(out)[0], read_datalist(origin)[0]
    assert pixels(item).shape == (32, 32)
    assert item["spacing"] == pytest.approx([2 * step for step in old["spacing"]])


@pytest.mark.parametrize(
    ("source", "words", "message"),
    [
        ("origin", ["--share", "1.5"], r"moved: expected a share of 0 to 1, got 1.5"),
        ("both", [], r"moved: .*both holds \['camus_like_moved'\]: its patients were moved before"),
        ("nowhere", [], r"moved: .*nowhere is not a prepared dataset: it has no provenance.json"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(
    origin: Path,
    both: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    words: list[str],
    message: str,
):
    folder = {"origin": origin, "both": both}.get(source, tmp_path / source)
    monkeypatch.setattr(sys, "argv", ["common.datasets", "moved", str(folder), str(tmp_path / "out"), *words])
    with pytest.raises(SystemExit, match=message):
        main()
    assert not (tmp_path / "out").exists()


def test_a_folder_without_test_fold_gets_one(origin: Path, tmp_path: Path):
    folder = changed(origin, tmp_path, lambda items: [item for item in items if item["fold"] != "test"])
    before = {item["patient"]: item["fold"] for item in read_datalist(folder)}
    after = {job.item["patient"]: job.item["fold"] for job in moved(folder).jobs}
    assert Counter(before.values()) == {"training": 14, "validation": 2}
    assert Counter(after.values()) == {"training": 13, "validation": 1, "test": 2}
    assert {name for name, fold in after.items() if fold == "test"} == {
        n for n, f in before.items() if f == "validation"
    }
    assert after == {job.item["patient"]: job.item["fold"] for job in moved(folder, seed=5).jobs}
