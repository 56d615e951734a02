"""Outline, long axis and diameters of a chamber."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from common.contours import outlines
from common.heart.biomarkers.chamber import DISCS, Chamber, atrium, ventricle
from common.heart.biomarkers.volumes import discs_volume

Labels = NDArray[np.int64]
SPACING = (0.5, 0.5)
HALF_ELLIPSOID = 2 / 3 * math.pi * 60 * 20 * 20 / 1000  # ml


def measured(labels: Labels, spacing: tuple[float, float] = SPACING, by: str = "myocardium") -> Chamber:
    beside = {"myocardium": {"myocardium": labels == 2}, "neighbour": {"atrium": labels == 3}, "principal": {}}[by]
    return ventricle(labels == 1, spacing, **beside)


@pytest.mark.parametrize("by", ["myocardium", "neighbour", "principal"])
def test_a_bullet_has_the_measures_it_was_drawn_with(bullet: Labels, by: str):
    found = measured(bullet, by=by)
    assert (found.landmark, found.reason) == (by, "")
    assert found.length == pytest.approx(60, abs=1)
    assert found.area == pytest.approx(math.pi * 60 * 20 / 2, rel=0.01)
    np.testing.assert_allclose(found.base, [80, 50], atol=1)
    np.testing.assert_allclose(found.apex, [20, 50], atol=1)
    heights = (np.arange(DISCS) + 0.5) / DISCS
    np.testing.assert_allclose(found.diameters, 40 * np.sqrt(1 - heights**2), atol=1)
    assert discs_volume(found) == pytest.approx(HALF_ELLIPSOID, rel=0.02)


def test_the_atrium_is_measured_from_the_valve_to_its_roof(bullet: Labels):
    found = atrium(bullet == 3, SPACING, bullet == 1)
    assert found.length == pytest.approx(40, abs=1.5)
    assert found.base[0] < found.apex[0]
    assert discs_volume(found) == pytest.approx(4 / 3 * math.pi * 20 * 18 * 18 / 1000, rel=0.03)


@given(shift=st.tuples(st.integers(-30, 30), st.integers(-20, 20)), mirrored=st.booleans(), scale=st.floats(0.5, 2))
def test_place_and_side_do_not_matter_and_volume_grows_with_the_cube(
    shift: tuple[int, int], mirrored: bool, scale: float
):
    rows, columns = np.indices((200, 160))
    cavity = ((rows - 100) / 60) ** 2 + ((columns - 80 + (rows - 100) / 10) / 30) ** 2 <= 1
    moved = np.roll(cavity[:, ::-1] if mirrored else cavity, shift, axis=(0, 1))
    before, after = ventricle(cavity, (1.0, 1.0)), ventricle(moved, (scale, scale))
    assert discs_volume(after) == pytest.approx(discs_volume(before) * scale**3, rel=1e-6)
    assert after.length == pytest.approx(before.length * scale)


def test_stretched_pixels_with_their_spacing_change_nothing(bullet: Labels):
    for factors in ((2, 1), (1, 3)):
        stretched = np.repeat(np.repeat(bullet, factors[0], axis=0), factors[1], axis=1)
        found = measured(stretched, (SPACING[0] / factors[0], SPACING[1] / factors[1]))
        assert discs_volume(found) == pytest.approx(discs_volume(measured(bullet)), rel=0.01)


def test_a_tilted_ventricle_is_measured_along_its_own_axis(bullet: Labels):
    tilted = ndimage.rotate(bullet, 25, order=0, reshape=True)
    for by in ("myocardium", "neighbour"):
        assert measured(tilted, by=by).length == pytest.approx(60, abs=2)
        assert discs_volume(measured(tilted, by=by)) == pytest.approx(HALF_ELLIPSOID, rel=0.04)


def test_an_outline_is_closed_and_encloses_the_mask():
    mask = np.zeros((20, 30), dtype=bool)
    mask[0:4, 0:5] = True  # at the corner of the image
    (points,) = outlines(mask)
    np.testing.assert_array_equal(points[0], points[-1])
    np.testing.assert_allclose(points.min(axis=0), [-0.5, -0.5])
    np.testing.assert_allclose(points.max(axis=0), [3.5, 4.5])
    assert outlines(np.zeros((5, 5), dtype=bool)) == []


def test_a_speck_beside_the_cavity_is_left_out(bullet: Labels):
    speckled = bullet.copy()
    speckled[2:5, 2:5] = 1
    assert measured(speckled).area == measured(bullet).area


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("nothing", r"left ventricle: not found"),
        ("two", r"left ventricle: in several pieces"),
        ("tiny", r"left ventricle: area 25 mm², less than 100"),
        ("flat", r"left ventricle: long axis 1\d mm, less than 20"),
        ("closed", r"left ventricle: annulus 0\.0 mm wide, less than 5"),
        ("turned", r"left ventricle: upside down, or its annulus is misplaced"),
    ],
)
def test_implausible_chambers_give_nan_and_a_reason(bullet: Labels, change: str, reason: str):
    labels = bullet.copy()
    if change == "nothing":
        labels[labels == 1] = 0
    elif change == "two":
        labels[95:100] = np.where(labels[95:100] == 1, 0, labels[95:100])
    elif change == "tiny":
        labels[:] = 0
        labels[10:20, 10:20] = 1
    elif change == "flat":
        labels[:] = 0
        labels[10:30, 10:40] = 1
    elif change == "closed":
        labels[(labels == 0) & ndimage.binary_dilation(labels == 1, iterations=4)] = 2
        labels[labels == 3] = 2
    else:
        labels = labels[::-1]
    found = measured(labels)
    assert re.fullmatch(reason, found.reason), found.reason
    for value in (found.area, found.length, *found.base, *found.apex, *found.diameters, discs_volume(found)):
        assert math.isnan(value)


def test_wrong_use_is_refused(bullet: Labels):
    with pytest.raises(ValueError, match=r"expected masks of one shape, got \(260, 200\) and \(3, 3\)"):
        ventricle(bullet == 1, SPACING, myocardium=np.zeros((3, 3), dtype=bool))
    for spacing in ((0.0, 1.0), (math.nan, 1.0), (1.0, -1.0)):
        with pytest.raises(ValueError, match=r"expected two positive lengths as spacing, mm per pixel \(row, column\)"):
            ventricle(bullet == 1, spacing)
