"""The Unity reader: releases made here in the public layout, curves of known area, labels of strangers."""

import json
import os
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from PIL import Image
from scipy.interpolate import CubicSpline

from common.datasets import unity_tables
from common.datasets.preparation import prepare
from common.datasets.prepared import read_datalist, read_provenance
from common.datasets.source import Source
from common.datasets.splits import fold_of
from common.datasets.unity import unity
from common.datasets.unity_curves import annotation, structures_of, unlabelled
from common.datasets.unity_tables import view_of

SHAPE = (240, 320)  # rows, columns
ENDO, EPI, ATRIUM = "curve-lv-endo", "curve-lv-epi", "curve-la-endo"
OFF, BLURRED = ({"type": kind, "x": "", "y": ""} for kind in ("off", "blurred"))


def curve(rows: np.ndarray, columns: np.ndarray, **more: Any) -> dict[str, Any]:
    return {
        "type": "curve",
        **{key: " ".join(f"{v:.3f}" for v in axis) for key, axis in (("x", columns), ("y", rows))},
        **more,
    }


def arch(height: float, width: float, nodes: int = 21, **more: Any) -> dict[str, Any]:
    """Half an ellipse over the annulus at row 140 around column 160; a negative height hangs below it."""
    angle = np.linspace(0, np.pi, nodes)
    return curve(140 - height * np.sin(angle), 160 - width * np.cos(angle), **more)


VENTRICLE, WALL, CHAMBER = arch(100, 40), arch(112, 54), arch(-60, 35)
LOW_WALL = curve(
    np.array([150.0, 100, 28, 100, 150]), np.array([106.0, 110, 160, 210, 214])
)  # ends 10 rows below the ventricle


def mask(labels: dict[str, Any], shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return annotation(structures_of(labels), shape)


def name_of(video: int, frame: int = 7, prefix: str = "01-") -> str:
    return f"{prefix}{video:064x}-{frame:04d}.png"


def write_image(root: Path, name: str, grey: int = 90, mode: str = "L") -> Path:
    bare = name.removeprefix("01-")
    path = root / "png-cache" / "01" / bare[:2] / bare[2:4] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", SHAPE[::-1], grey).convert(mode).save(path)
    return path


def write_labels(root: Path, which: str, entries: dict[str, Any]) -> Path:
    path = root / "labels" / f"labels-{which}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({name: {"labels": labels} for name, labels in entries.items()}))
    return path


def release(root: Path, **lists: dict[str, Any]) -> Path:
    for which, entries in lists.items():
        write_labels(root, which, entries)
        for name in entries:
            write_image(root, name)
    return root


def one(root: Path, labels: dict[str, Any]) -> Source:
    return unity(release(root, train={name_of(1): labels}))


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
    assert provenance["label_sets"]["unity"][3] == ["left_atrium"]


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


def test_drawn_structures_have_the_areas_of_their_ellipses():
    label = mask({ENDO: VENTRICLE, EPI: WALL, ATRIUM: CHAMBER})
    areas = {value: int((label == value).sum()) for value in (1, 2, 3)}
    half = np.pi / 2
    assert areas == {
        1: pytest.approx(half * 100 * 40, rel=0.01),
        2: pytest.approx(half * (112 * 54 - 100 * 40), rel=0.01),
        3: pytest.approx(half * 60 * 35, rel=0.01),
    }
    assert np.argwhere(label == 1)[:, 0].max() <= 140 <= np.argwhere(label == 3)[:, 0].min()


def test_a_curve_is_the_natural_spline_through_its_nodes():
    rows, columns = np.array([150.0, 80, 30, 70, 160]), np.array([60.0, 50, 110, 190, 170])
    nodes = np.stack([columns, rows], axis=1)
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(nodes, axis=0).T))])
    outline = Outline(CubicSpline(along, nodes, bc_type="natural")(np.linspace(0, along[-1], 1000)))
    row, column = np.indices(SHAPE)
    expected = outline.contains_points(np.stack([column.ravel(), row.ravel()], axis=1)).reshape(SHAPE)
    difference = (mask({ENDO: curve(rows, columns)}) == 1) != expected
    assert expected.sum() > 10_000
    assert difference.sum() <= 20  # pixels on the outline, which here has 16 points a segment


@given(st.integers(-20, 20), st.integers(-20, 20))
def test_a_curve_that_moves_by_whole_pixels_moves_its_mask(down: int, right: int):
    rows, columns = np.array([150.2, 80, 60, 70, 160]), np.array([60.3, 50, 110, 190, 170])
    moved = mask({ENDO: curve(rows + down, columns + right)})
    np.testing.assert_array_equal(moved, np.roll(mask({ENDO: curve(rows, columns)}), (down, right), axis=(0, 1)))


def test_the_wall_does_not_depend_on_the_direction_it_is_drawn_in():
    back = {**LOW_WALL, **{axis: " ".join(LOW_WALL[axis].split()[::-1]) for axis in "xy"}}
    np.testing.assert_array_equal(mask({ENDO: VENTRICLE, EPI: back}), mask({ENDO: VENTRICLE, EPI: LOW_WALL}))


def test_the_wall_ends_at_the_lines_between_the_hinges():
    label = mask({ENDO: VENTRICLE, EPI: LOW_WALL})
    assert label[145, 160] == 0
    assert label[141, 115] == 2


def test_the_atrium_does_not_overwrite_the_ventricle():
    label = mask({ENDO: VENTRICLE, EPI: WALL, ATRIUM: arch(60, 50)})
    np.testing.assert_array_equal(label, mask({ENDO: VENTRICLE, EPI: WALL}))


@pytest.mark.parametrize("flags", ["1 1 1 1", "1 1 1", "True True True False", [1, 1, 1, 0], [True, True, True]])
def test_straight_segments_are_straight(flags: Any):
    square = curve(np.array([100.5, 50.5, 50.5, 100.5]), np.array([40.5, 40.5, 100.5, 100.5]), straight_segment=flags)
    expected = np.zeros(SHAPE, np.uint8)
    expected[51:101, 41:101] = 1
    np.testing.assert_array_equal(mask({ENDO: square}), expected)


def test_a_flag_tells_of_the_segment_after_its_node():
    rows, columns = np.array([100.5, 50.5, 50.5, 100.5]), np.array([40.5, 40.5, 100.5, 100.5])
    for flags, roof_is_straight in (("0 1 0 0", True), ("1 0 1 0", False), ("", False)):
        label = mask({ENDO: curve(rows, columns, straight_segment=flags)})
        assert label[:51].any() != roof_is_straight


@pytest.mark.parametrize(
    ("label", "state"),
    [
        (OFF, "absent"),
        ([OFF], "absent"),
        (BLURRED, "unknown"),
        ([OFF, BLURRED], "unknown"),
        ([], "unknown"),
        (None, "unknown"),
        ({"type": "point", "x": "3", "y": "4"}, "unknown"),
        ({"x": "", "y": ""}, "unknown"),
        ({"type": "curve", "x": "3 9 3 9", "y": "4 4 4 4"}, "unknown"),
        ({"type": "curve", "x": "", "y": ""}, "unknown"),
        (CHAMBER, "drawn"),
        ([BLURRED, CHAMBER], "drawn"),
        ({"type": "curve", "x": [3, 9.5, 4], "y": [4, 4, 8], "conf": [1, 1, 1]}, "drawn"),
    ],
)
def test_absent_unknown_and_drawn_are_told_apart(label: Any, state: str):
    structures = structures_of({ENDO: VENTRICLE, ATRIUM: label})
    assert structures[ATRIUM].state == state
    assert ("left_atrium" in unlabelled(structures)) == (state == "unknown")
    assert (3 in annotation(structures, SHAPE)) == (state == "drawn")


@pytest.mark.parametrize(
    ("endo", "epi", "missing"),
    [
        (VENTRICLE, WALL, []),
        (VENTRICLE, None, ["lv_myocardium"]),
        (VENTRICLE, OFF, ["lv_myocardium"]),
        (OFF, OFF, []),
        (OFF, None, ["lv_myocardium"]),
        (BLURRED, WALL, ["lv_cavity", "lv_myocardium"]),
    ],
)
def test_the_wall_is_known_between_two_curves_or_where_there_is_no_ventricle(endo: Any, epi: Any, missing: list[str]):
    structures = structures_of({ENDO: endo, EPI: epi, ATRIUM: CHAMBER})
    assert unlabelled(structures) == missing
    assert (2 in annotation(structures, SHAPE)) == (endo is VENTRICLE and epi is WALL)


def test_an_atrium_without_a_ventricle_is_kept(tmp_path: Path):
    (job,) = one(tmp_path, {ENDO: BLURRED, ATRIUM: CHAMBER}).jobs
    assert job.item["unlabelled"] == ["lv_cavity", "lv_myocardium"]
    assert set(np.unique(job.read().label)) == {0, 3}


def test_of_several_curves_the_first_is_taken_and_the_odd_is_counted(tmp_path: Path):
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
    assert [job.item["view"] for job in unity(tmp_path, views=("2CH",)).jobs] == ["2CH"]
    other = tmp_path / "mine.csv"
    other.write_text(f"view,file\na4c,{name_of(4)}\n")
    assert [int(job.item["patient"], 16) for job in unity(tmp_path, view_index=other).jobs] == [4]


def test_the_newest_of_several_view_indices_wins(tmp_path: Path):
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
    assert found.facts["remarks"] == {"implausible size of a pixel, not used": 3}


def test_what_no_official_list_names_is_split_by_video(tmp_path: Path):
    labels = {ENDO: VENTRICLE}
    release(tmp_path, tune={name_of(0): labels}, all={name_of(n, 9): labels for n in range(30)} | {name_of(0): labels})
    folds = {job.id: job.item["fold"] for job in unity(tmp_path).jobs}
    assert len(folds) == 31
    assert folds.pop(name_of(0, 7, "")[:-4]) == folds.pop(name_of(0, 9, "")[:-4]) == "validation"
    assert folds == {name_of(n, 9, "")[:-4]: fold_of("unity", f"{n:064x}") for n in range(1, 30)}
    assert set(folds.values()) == {"training", "validation", "test"}


def test_the_labels_of_the_split_come_before_labels_all(tmp_path: Path):
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
    assert reason == "no name of an image, in labels-tune.json"


def test_missing_images_and_links_that_lead_outside_are_left_out(tmp_path: Path):
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
    assert set(found.skipped.values()) == {"its image is missing, or a link that leads outside the source"}
    (tmp_path / "elsewhere").mkdir()
    (root / "png-cache").rename(tmp_path / "elsewhere" / "png-cache")
    (root / "png-cache").symlink_to(tmp_path / "elsewhere" / "png-cache")
    with pytest.raises(
        FileNotFoundError, match=r"source holds no png-cache/\*\*/\*\.png; .* outside it are not followed"
    ):
        unity(root)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({"type": "curve", "x": "1 2 3", "y": "1 2"}, r"curve-la-endo has 3 x and 2 y\."),
        ({"type": "curve", "x": "1 2 three", "y": "1 2 3"}, r"x of curve-la-endo: could not convert .*'three'"),
        ({"type": "curve", "x": "1 2 3", "y": "1 nan 3"}, r"y of curve-la-endo holds a number that is not finite\."),
        ({"type": "curve", "x": [1, 2, float("inf")], "y": [1, 2, 3]}, r"x of .* not finite"),
        (
            {"type": "curve", "x": [1, 2, 10**400], "y": [1, 2, 3]},
            r"x of curve-la-endo holds something else than numbers",
        ),
        ({"type": "curve", "x": [1, [2], 3], "y": [1, 2, 3]}, r"x of curve-la-endo holds something else than numbers"),
        ({"type": "curve", "x": {"0": 1}, "y": "1 2 3"}, r"x of curve-la-endo is no list of at most 1000 numbers"),
        ({"type": "curve", "y": "1 2 3"}, r"x of curve-la-endo is no list"),
        ({"type": "curve", "x": "1 " * 1001, "y": "1 " * 1001}, r"y of curve-la-endo is no list of at most 1000"),
        (arch(-60, 35, straight_segment="1 0"), r"straight_segment of curve-la-endo is .* each of its 21 nodes"),
        (arch(-60, 35, straight_segment="2 " * 21), r"straight_segment of curve-la-endo is no list of 0 and 1"),
        ("curve", r"curve-la-endo is no object with type, x and y\."),
        ([CHAMBER, 3], r"curve-la-endo is no object"),
    ],
)
def test_a_label_that_makes_no_sense_is_left_out_with_its_name(tmp_path: Path, label: Any, message: str):
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


def test_a_curve_that_leaves_the_image_a_little_is_cut_off():
    label = mask({ENDO: VENTRICLE, ATRIUM: arch(-150, 60)})
    assert label[-1].any()
    assert (label == 3).sum() < np.pi / 2 * 150 * 60


def test_an_image_too_long_to_draw_on_is_refused(tmp_path: Path):
    (job,) = one(tmp_path, {ENDO: VENTRICLE}).jobs
    Image.new("L", (1, 5000)).save(next((tmp_path / "png-cache").rglob("*.png")))
    with pytest.raises(ValueError, match=rf"{name_of(1)}: the image has 5000 rows and 1 columns; at most 4096"):
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
        (b"[]", r"labels-train\.json is no JSON object with an entry for each image"),
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
    monkeypatch.setattr(unity_tables, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match=r"labels-train\.json has \d+ bytes, read are at most 100"):
        unity(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,view\n1,2\n", r"no column \['file'\]"),
        (b"", r"no column \['file', 'view'\]"),
        (b"file,view\n\xff\xfe,4\n", "codec"),
        (b'file,view\n"' + b"a" * 200_000, "field larger than field limit"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, content: bytes, message: str):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE}})
    (tmp_path / "view_index_1.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"view_index_1\.csv cannot be read as a table: .*{message}"):
        unity(tmp_path)


def test_a_wrong_request_is_refused(tmp_path: Path):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE}})
    with pytest.raises(FileNotFoundError, match=r"none\.csv is missing or no file"):
        unity(tmp_path, physical=tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"views \['plax'\] are unknown; taken are \['2CH', '4CH'\]"):
        unity(tmp_path, views=("4CH", "plax"))
    with pytest.raises(
        FileNotFoundError, match=r"png-cache holds no labels-train\.json or labels-all\.json; SOURCE is"
    ):
        unity(tmp_path / "png-cache")
    with pytest.raises(FileNotFoundError, match=r"labels holds no png-cache"):
        unity(tmp_path / "labels")


def test_a_list_of_labels_that_is_there_twice_is_refused(tmp_path: Path):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE}})
    (tmp_path / "u4s-labels").mkdir()
    (tmp_path / "u4s-labels" / "labels-train.json").write_text("{}")
    with pytest.raises(
        ValueError, match=r"labels/labels-train\.json and .*u4s-labels/labels-train\.json are the same list"
    ):
        unity(tmp_path)


def test_folders_that_go_too_deep_are_not_searched(tmp_path: Path):
    release(tmp_path, train={name_of(1): {ENDO: VENTRICLE}, name_of(2): {ENDO: VENTRICLE}})
    deep = tmp_path / os.path.join(*"abcdefghi")
    deep.mkdir(parents=True)
    next((tmp_path / "png-cache").rglob(name_of(1))).rename(deep / name_of(1))
    next((tmp_path / "png-cache").rglob(name_of(2))).rename(deep.parent / name_of(2))
    assert [int(job.item["patient"], 16) for job in unity(tmp_path).jobs] == [2]
