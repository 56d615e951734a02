"""The fitted sector is the one that was drawn, even if its mask is ragged."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.datasets.sector.geometry import Sector, fit_sector

SHAPE = (220, 256)
WHOLE = (0.0, 0.0, 219.0, 255.0)
PLAIN = Sector((12.0, 128.0), -40.0, 40.0, inner=0.0, outer=195.0, frame=WHOLE)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def fitted(mask: np.ndarray) -> tuple[Sector, float]:
    result = fit_sector(mask)
    assert result is not None
    return result


def test_a_quarter_disc_has_the_area_of_one():
    sector = Sector((0.0, 150.0), -45.0, 45.0, inner=0.0, outer=100.0, frame=(0.0, 0.0, 300.0, 300.0))
    assert sector.mask((150, 300)).sum() == pytest.approx(np.pi * 100**2 / 4, rel=0.005)
    ring = Sector((0.0, 150.0), -45.0, 45.0, inner=50.0, outer=100.0, frame=(0.0, 0.0, 300.0, 300.0))
    assert ring.mask((150, 300)).sum() == pytest.approx(np.pi * (100**2 - 50**2) / 4, rel=0.005)


@settings(max_examples=25)
@given(
    row=st.floats(-20, 40),
    column=st.floats(100, 156),
    left=st.floats(-55, -20),
    right=st.floats(20, 55),
    inner=st.one_of(st.just(0.0), st.floats(15, 40)),
    outer=st.floats(120, 170),
)
def test_an_exact_mask_gives_its_geometry_back(
    row: float, column: float, left: float, right: float, inner: float, outer: float
):
    drawn = Sector((row, column), left, right, inner, outer, WHOLE)
    found, support = fitted(drawn.mask(SHAPE))
    assert support > 0.95
    assert overlap(found.mask(SHAPE), drawn.mask(SHAPE)) > 0.985
    assert (found.left, found.right) == pytest.approx((left, right), abs=1.5)  # degrees
    assert found.outer == pytest.approx(outer, abs=3)  # pixels


def test_text_that_touches_it_and_a_dark_corner_do_not_change_the_fit():
    truth = PLAIN.mask(SHAPE)
    ragged = truth.copy()
    ragged[150:170, 200:] = True  # a block of text
    ragged[5:20, 130:180] = True  # another one at the apex
    rows, columns = np.indices(SHAPE)
    ragged &= np.hypot(rows - 150, columns - 10) > 65  # the left corner is dark
    assert overlap(ragged, truth) < 0.94
    found, support = fitted(ragged)
    assert overlap(found.mask(SHAPE), truth) > 0.985
    assert 0.4 < support < 0.9, "the support is the visible part of the outline"


@pytest.mark.parametrize(
    "frame", [(0.0, 0.0, 180.0, 255.0), (0.0, 50.0, 219.0, 210.0), (0.0, 0.0, 170.0, 200.0), (30.0, 60.0, 219.0, 190.0)]
)
def test_straight_cuts_are_found(frame: tuple[float, float, float, float]):
    row, column, end_row, end_column = map(int, frame)
    screen = PLAIN.mask(SHAPE)[row:]
    screen[end_row - row + 1 :], screen[:, :column], screen[:, end_column + 1 :] = False, False, False
    found, support = fitted(screen)
    assert support > 0.95
    assert overlap(found.mask((screen.shape[0], screen.shape[1])), screen) > 0.99


def test_a_sector_larger_than_the_image_is_cut_by_it():
    drawn = Sector((-15.0, 120.0), -45.0, 42.0, inner=0.0, outer=260.0, frame=WHOLE)
    found, support = fitted(drawn.mask(SHAPE))
    assert support > 0.95
    assert overlap(found.mask(SHAPE), drawn.mask(SHAPE)) > 0.99


def test_other_shapes_are_not_taken_for_a_sector():
    box = np.zeros(SHAPE, bool)
    assert fit_sector(box) is None
    box[40:180, 60:200] = True
    assert fit_sector(box) is None
    rows, columns = np.indices(SHAPE)
    disc = np.hypot(rows - 110, columns - 128) < 80
    result = fit_sector(disc)
    assert result is None or result[1] < 0.75


def test_a_scaled_sector_is_the_resized_mask():
    large = PLAIN.scaled(2.0, 2.0).mask((440, 512))
    assert overlap(large, np.kron(PLAIN.mask(SHAPE), np.ones((2, 2), bool))) > 0.99


def test_the_same_mask_gives_the_same_sector():
    mask = PLAIN.mask(SHAPE)
    mask[120:140, 180:] = True
    assert fit_sector(mask) == fit_sector(mask.copy())
