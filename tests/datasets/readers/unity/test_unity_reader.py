"""Unity reader on releases written here in the public layout, with curves of known area and malformed labels."""

import json
import os
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unity_release import (
    ATRIUM,
    BLURRED,
    CHAMBER,
    ENDO,
    EPI,
    OFF,
    SHAPE,
    VENTRICLE,
    arch,
    mask,
    name_of,
    one,
    release,
    write_image,
    write_labels,
)

from common.datasets.prepared.layout import read_datalist, read_provenance
from common.datasets.prepared.preparation import prepare
from common.datasets.readers import tables
from common.datasets.readers.unity.reader import unity
from common.datasets.readers.unity.tables import view_of


def test_a_release_is_found_in_its_official_folds(tmp_path: Path):
    labels = {ENDO: VENTRICLE, ATRIUM: CHAMBER, "mv-ant-hinge": {"type": "point", "x": "1", "y": "2"}}
    release(
        tmp_path,
        train={name_of(1, 31): labels, name_of(1, 2): labels},
        tune={name_of(2): labels},
        ival={name_of(3): labels},
    )
    found = unity(tmp_path)
    assert {job.id: job.item["fold"] for job in found.jobs} == {
        name_of(1, 2, "")[:-4]: "training",
        name_of(1, 31, "")[:-4]: "training",
        name_of(2, prefix="")[:-4]: "validation",
        name_of(3, prefix="")[:-4]: "test",
    }
    assert found.jobs[1].item == {
        "dataset": "unity",
        "patient": f"{1:064x}",
        "view": None,
        "phase": None,
        "fold": "training",
        "frame": 31,
        "unlabelled": ["lv_myocardium"],
    }
    assert found.skipped == {}
    assert found.facts["remarks"] == {}


def test_a_release_is_prepared(tmp_path: Path):
    release(
        tmp_path / "source",
        train={name_of(1): {ENDO: VENTRICLE, ATRIUM: CHAMBER}},
        ival={name_of(2): {ENDO: VENTRICLE}},
    )
    write_image(tmp_path / "source", name_of(2)).write_bytes(b"no image")
    prepare(unity(tmp_path / "source"), tmp_path / "out", size=64, workers=1)
    (item,) = read_datalist(tmp_path / "out", "training")
    assert (item["values"], item["unlabelled"], item["spacing"]) == ([0, 1, 3], ["lv_myocardium"], None)
    provenance = read_provenance(tmp_path / "out")
    assert list(provenance["skipped"]) == [name_of(2, prefix="")[:-4]]
    assert provenance["label_sets"]["unity"]["3"] == ["left_atrium"]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_grey_and_coloured_images_are_read(tmp_path: Path, mode: str):
    found = one(tmp_path, {ENDO: VENTRICLE})
    write_image(tmp_path, name_of(1), 123, mode)
    frame = pickle.loads(pickle.dumps(found.jobs[0].read))()
    assert frame.image.shape == frame.label.shape == SHAPE
    assert set(np.unique(frame.image)) == {123}
    assert frame.spacing is None


@pytest.mark.parametrize(("labelled", "stored"), [("01-", ""), ("", "01-"), ("02-", "01-")])
def test_names_match_with_and_without_their_prefix(tmp_path: Path, labelled: str, stored: str):
    write_labels(tmp_path, "train", {name_of(1, prefix=labelled): {ENDO: VENTRICLE}})
    write_image(tmp_path, name_of(1, prefix=stored))
    assert [job.read().label.any() for job in unity(tmp_path).jobs] == [True]


def test_an_atrium_without_a_ventricle_is_kept(tmp_path: Path):
    (job,) = one(tmp_path, {ENDO: BLURRED, ATRIUM: CHAMBER}).jobs
    assert job.item["unlabelled"] == ["lv_cavity", "lv_myocardium"]
    assert set(np.unique(job.read().label)) == {0, 3}


def test_the_first_of_several_curves_is_used_and_oddities_are_counted(tmp_path: Path):
    found = one(
        tmp_path,
        {
            ENDO: [VENTRICLE, {**CHAMBER, "straight_segment": "1 " * 21}],
            ATRIUM: {"type": "vague"},
            EPI: {"type": "curve", "x": "1 2", "y": "1 2"},
        },
    )
    np.testing.assert_array_equal(found.jobs[0].read().label, mask({ENDO: VENTRICLE}))
    assert found.facts["remarks"] == {
        "curve-lv-endo: several curves, the first taken": 1,
        "curve-la-endo: unknown type 'vague'": 1,
        "curve-lv-epi: a curve of fewer than 3 different nodes": 1,
    }


def test_images_without_a_structure_are_counted(tmp_path: Path):
    entries = {name_of(n): {ENDO: OFF, ATRIUM: state} for n, state in enumerate([OFF, BLURRED, None])}
    found = unity(release(tmp_path, train={**entries, name_of(9): {ENDO: VENTRICLE}}))
    assert len(found.jobs) == 1
    assert found.skipped == {"3 images without curve-lv-endo and curve-la-endo": "no structure annotated"}


@pytest.mark.parametrize(
    ("words", "view"),
    [
        ("A4C", "4CH"),
        ("a2c", "2CH"),
        ("2CH", "2CH"),
        ("unity_a4c_1", "4CH"),
        ("apical-four", None),
        ("Apical 4-chamber", "4CH"),
        ("a3c", None),
        ("a5c", None),
        ("plax", None),
        ("14c", None),
        ("depth 4cm", None),
        ("", None),
    ],
)
def test_views_are_recognised_in_their_spellings(words: str, view: str | None):
    assert view_of(words) == view


def test_the_view_index_chooses_the_images(tmp_path: Path):
    release(tmp_path, train={name_of(n): {ENDO: VENTRICLE} for n in range(5)})
    rows = [(name_of(0), "A4C"), (name_of(1), "a2c"), (name_of(2, prefix=""), "plax"), (name_of(3), "plax")]
    index = tmp_path / "view_index_20220705.csv"
    index.write_text("\ufefffile,view\n" + "".join(f"{file},{view}\n" for file, view in rows))
    found = unity(tmp_path)
    assert [(int(job.item["patient"], 16), job.item["view"]) for job in found.jobs] == [(0, "4CH"), (1, "2CH")]
    assert found.skipped == {
        "2 images of view 'plax'": "not of the views ['2CH', '4CH']",
        "1 images of view 'unknown'": "not of the views ['2CH', '4CH']",
    }
    assert found.facts["tables"] == ["view_index_20220705.csv"]
    other = tmp_path / "mine.csv"
    other.write_text(f"view,file\na4c,{name_of(4)}\n")
    assert [int(job.item["patient"], 16) for job in unity(tmp_path, view_index=other).jobs] == [4]


def test_the_newest_of_several_view_indices_is_used(tmp_path: Path):
    release(tmp_path, train={name_of(n): {ENDO: VENTRICLE} for n in range(2)})
    (tmp_path / "view_index_20230101.csv").write_text(f"file,view\n{name_of(0)},a2c\n")
    older = "".join(f"{name_of(n)},a4c\n" for n in range(2))
    (tmp_path / "labels" / "view_index_20220705.csv").write_text(f"file,view\n{older}")
    assert [job.item["view"] for job in unity(tmp_path).jobs] == ["2CH", "4CH"]


def test_spacing_comes_from_the_physical_table(tmp_path: Path):
    release(tmp_path, train={name_of(n): {ENDO: VENTRICLE} for n in range(6)})
    hashes = [f"01-{0:064x}", f"{1:064x}", *(f"01-{n:064x}" for n in (2, 3, 4))]
    sizes = ["0.02,0.03", "0.04,0.04", "0,0.03", "nan,0.03", "0.02,0.6"]  # cm, x before y
    table = tmp_path / "01_database_physical.csv"
    rows = "".join(f"{video},GE,{size}\n" for video, size in zip(hashes, sizes, strict=True))
    table.write_text("FileHash,Maker,PhysicalDeltaX,PhysicalDeltaY\n" + rows)
    found = unity(tmp_path)
    spacings = [job.read().spacing for job in found.jobs]
    assert spacings[:2] == [pytest.approx((0.3, 0.2)), pytest.approx((0.4, 0.4))]
    assert spacings[2:] == [None] * 4
    assert found.facts["remarks"] == {"implausible pixel size, not used": 3}


def test_images_outside_the_official_split_are_split_by_video(tmp_path: Path):
    labels = {ENDO: VENTRICLE}
    release(tmp_path, tune={name_of(0): labels}, all={name_of(n, 9): labels for n in range(30)} | {name_of(0): labels})
    folds = {job.id: job.item["fold"] for job in unity(tmp_path).jobs}
    assert len(folds) == 31
    assert folds.pop(name_of(0, 7, "")[:-4]) == folds.pop(name_of(0, 9, "")[:-4]) == "validation"
    assert folds == {name_of(n, 9, "")[:-4]: None for n in range(1, 30)}


def test_the_labels_of_the_split_override_labels_all(tmp_path: Path):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE}}, all={name_of(1, prefix=""): {ATRIUM: CHAMBER}})
    (job,) = unity(tmp_path).jobs
    assert 1 in job.read().label


def test_a_video_in_two_official_lists_is_left_out(tmp_path: Path):
    labels = {ENDO: VENTRICLE}
    release(tmp_path, train={name_of(1, 3): labels, name_of(2): labels}, ival={name_of(1, 4): labels})
    found = unity(tmp_path)
    assert [int(job.item["patient"], 16) for job in found.jobs] == [2]
    assert list(found.skipped) == [name_of(1, 3, "")[:-4], name_of(1, 4, "")[:-4]]
    assert set(found.skipped.values()) == {"its video is in more than one list of the official split"}


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "01-" + "a" * 63 + "-0001.png",
        "01-" + "A" * 64 + "-0001.png",
        "01-" + "a" * 64 + "-0001_(1).png",
        "01-" + "a" * 64 + "-0001.png\n",
        "/" + "a" * 64 + "-0001.png",
        "\x1b[31m" * 1000,
        "",
    ],
)
def test_a_malformed_name_is_left_out(tmp_path: Path, name: str):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE}})
    write_labels(tmp_path, "tune", {name: {ENDO: VENTRICLE}})
    found = unity(tmp_path)
    assert len(found.jobs) == 1
    ((key, reason),) = found.skipped.items()
    assert key.isprintable()
    assert len(key) < 600
    assert reason == "not the name of an image, in labels-tune.json"


def test_missing_images_and_links_that_lead_out_are_left_out(tmp_path: Path):
    root = release(tmp_path / "source", train={name_of(n): {ENDO: VENTRICLE} for n in range(4)})
    paths = sorted((root / "png-cache").rglob("*.png"))
    paths[0].unlink()
    paths[1].rename(tmp_path / "outside.png")
    paths[1].symlink_to(tmp_path / "outside.png")
    paths[2].rename(root / "inside.png")
    paths[2].symlink_to(root / "inside.png")
    found = unity(root)
    assert [int(job.item["patient"], 16) for job in found.jobs] == [2, 3]
    assert all(job.read().label.any() for job in found.jobs)
    assert list(found.skipped) == [name_of(0, prefix="")[:-4], name_of(1, prefix="")[:-4]]
    assert set(found.skipped.values()) == {"its image is missing, or a link that leads out of the source"}
    (tmp_path / "elsewhere").mkdir()
    (root / "png-cache").rename(tmp_path / "elsewhere" / "png-cache")
    (root / "png-cache").symlink_to(tmp_path / "elsewhere" / "png-cache")
    with pytest.raises(FileNotFoundError, match=r"source has no png-cache/\*\*/\*\.png; .* out of it are not followed"):
        unity(root)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({"type": "curve", "x": "1 2 3", "y": "1 2"}, r"curve-la-endo has 3 x and 2 y\."),
        ({"type": "curve", "x": "1 2 three", "y": "1 2 3"}, r"x of curve-la-endo: could not convert .*'three'"),
        ({"type": "curve", "x": "1 2 3", "y": "1 nan 3"}, r"y of curve-la-endo has a number that is not finite\."),
        ({"type": "curve", "x": [1, 2, float("inf")], "y": [1, 2, 3]}, r"x of .* not finite"),
        (
            {"type": "curve", "x": [1, 2, 10**400], "y": [1, 2, 3]},
            r"x of curve-la-endo has entries that are not numbers",
        ),
        ({"type": "curve", "x": [1, [2], 3], "y": [1, 2, 3]}, r"x of curve-la-endo has entries that are not numbers"),
        ({"type": "curve", "x": {"0": 1}, "y": "1 2 3"}, r"x of curve-la-endo is not a list of at most 1000 numbers"),
        ({"type": "curve", "y": "1 2 3"}, r"x of curve-la-endo is not a list"),
        ({"type": "curve", "x": "1 " * 1001, "y": "1 " * 1001}, r"y of curve-la-endo is not a list of at most 1000"),
        (arch(-60, 35, straight_segment="1 0"), r"straight_segment of curve-la-endo is .* each of its 21 nodes"),
        (arch(-60, 35, straight_segment="2 " * 21), r"straight_segment of curve-la-endo is not a list of 0 and 1"),
        ("curve", r"curve-la-endo is not an object with type, x and y\."),
        ([CHAMBER, 3], r"curve-la-endo is not an object"),
    ],
)
def test_a_malformed_label_is_left_out_and_named(tmp_path: Path, label: Any, message: str):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE, ATRIUM: label}, name_of(2): {ENDO: VENTRICLE}})
    found = unity(tmp_path)
    assert [int(job.item["patient"], 16) for job in found.jobs] == [2]
    with pytest.raises(ValueError, match=message):
        raise ValueError(found.skipped[name_of(1, prefix="")[:-4]])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (
            {"type": "curve", "x": "10 50 90", "y": "10 90 9000"},
            "curve-la-endo runs outside the image of 240 rows and 320 col",
        ),
        ({"type": "curve", "x": "-321 50 90", "y": "10 90 20"}, "curve-la-endo runs outside the image"),
        ({"type": "curve", "x": "-90 -50 -20", "y": "10 90 20"}, r"curve-la-endo encloses no pixel of the image\."),
        ({"type": "curve", "x": "10 50 90", "y": "20 20 20"}, "curve-la-endo encloses no pixel"),
    ],
)
def test_a_curve_that_does_not_fit_its_image_is_refused_with_the_file(tmp_path: Path, label: Any, message: str):
    (job,) = one(tmp_path, {ENDO: VENTRICLE, ATRIUM: label}).jobs
    with pytest.raises(ValueError, match=rf"{name_of(1)}: {message}"):
        job.read()


def test_an_image_that_claims_to_be_huge_is_refused(tmp_path: Path):
    (job,) = one(tmp_path, {ENDO: VENTRICLE}).jobs
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    next((tmp_path / "png-cache").rglob("*.png")).write_bytes(png + struct.pack(">I", 0) + b"IDAT" + bytes(4))
    with pytest.raises(ValueError, match=rf"{name_of(1)} cannot be read as PNG"):
        job.read()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": ', r"labels-train\.json is not readable JSON \(Expecting value"),
        (b"\xff\xfe\xfa", r"labels-train\.json is not readable JSON"),
        (b"[" * 100_000, r"labels-train\.json is not readable JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", r"labels-train\.json is not readable JSON"),
        (b"[]", r"labels-train\.json is not a JSON object with an entry for each image"),
    ],
)
def test_broken_labels_are_named(tmp_path: Path, content: bytes, message: str):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE}})
    (tmp_path / "labels" / "labels-train.json").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        unity(tmp_path)


def test_an_entry_without_labels_is_left_out(tmp_path: Path):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE}})
    for entry in ([], {}, {"labels": []}, None):
        (tmp_path / "labels" / "labels-tune.json").write_text(json.dumps({name_of(2): entry}))
        assert unity(tmp_path).skipped == {name_of(2, prefix="")[:-4]: "it has no labels, in labels-tune.json"}


def test_tables_that_are_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE}})
    monkeypatch.setattr(tables, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match=r"labels-train\.json has \d+ bytes, expected at most 100"):
        unity(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,view\n1,2\n", r"has no column 'file'; it has \['name', 'view'\]"),
        (b"", r"has no column 'file'; it has \[\]"),
        (b"file,view\n\xff\xfe,4\n", "cannot be read as a table .*codec"),
        (b'file,view\n"' + b"a" * 200_000, "cannot be read as a table .*field larger than field limit"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, content: bytes, message: str):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE}})
    (tmp_path / "view_index_1.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"view_index_1\.csv {message}"):
        unity(tmp_path)


def test_a_wrong_request_is_refused(tmp_path: Path):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE}})
    with pytest.raises(FileNotFoundError, match=r"none\.csv is missing or not a file"):
        unity(tmp_path, physical=tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match=r"png-cache has no labels-train\.json or labels-all\.json; SOURCE is"):
        unity(tmp_path / "png-cache")
    with pytest.raises(FileNotFoundError, match=r"labels has no png-cache"):
        unity(tmp_path / "labels")


def test_a_list_of_labels_that_exists_twice_is_refused(tmp_path: Path):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE}})
    (tmp_path / "u4s-labels").mkdir()
    (tmp_path / "u4s-labels" / "labels-train.json").write_text("{}")
    with pytest.raises(
        ValueError, match=r"labels/labels-train\.json and .*u4s-labels/labels-train\.json are the same list"
    ):
        unity(tmp_path)


def test_folders_that_are_too_deep_are_not_searched(tmp_path: Path):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE}, name_of(2): {ENDO: VENTRICLE}})
    deep = tmp_path / os.path.join(*"abcdefghi")
    deep.mkdir(parents=True)
    next((tmp_path / "png-cache").rglob(name_of(1))).rename(deep / name_of(1))
    next((tmp_path / "png-cache").rglob(name_of(2))).rename(deep.parent / name_of(2))
    assert [int(job.item["patient"], 16) for job in unity(tmp_path).jobs] == [2]
