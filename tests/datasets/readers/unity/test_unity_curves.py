"""Unity's curves become masks of known area; absent, unknown and drawn structures are distinguished."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from PIL import Image
from scipy.interpolate import CubicSpline
from unity_release import (
    ATRIUM,
    BLURRED,
    CHAMBER,
    ENDO,
    EPI,
    LOW_WALL,
    OFF,
    SHAPE,
    VENTRICLE,
    WALL,
    arch,
    curve,
    mask,
    name_of,
    one,
)

from common.datasets.readers.unity.curves import annotation, structures_of, unlabelled


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


def test_a_flag_belongs_to_the_segment_after_its_node():
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
def test_absent_unknown_and_drawn_structures_are_distinguished(label: Any, state: str):
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
def test_the_wall_is_known_between_two_curves_or_without_a_ventricle(endo: Any, epi: Any, missing: list[str]):
    structures = structures_of({ENDO: endo, EPI: epi, ATRIUM: CHAMBER})
    assert unlabelled(structures) == missing
    assert (2 in annotation(structures, SHAPE)) == (endo is VENTRICLE and epi is WALL)


def test_a_curve_that_leaves_the_image_a_little_is_cut_off():
    label = mask({ENDO: VENTRICLE, ATRIUM: arch(-150, 60)})
    assert label[-1].any()
    assert (label == 3).sum() < np.pi / 2 * 150 * 60


def test_an_image_with_too_many_rows_is_refused(tmp_path: Path):
    (job,) = one(tmp_path, {ENDO: VENTRICLE}).jobs
    Image.new("L", (1, 5000)).save(next((tmp_path / "png-cache").rglob("*.png")))
    with pytest.raises(ValueError, match=rf"{name_of(1)}: the image has 5000 rows .*, expected at most 4096"):
        job.read()
