"""Hearts drawn from the CAMUS shape statistics (S. Leclerc et al., IEEE TMI 38(9):2198-2210, 2019)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from common.contours import fill
from common.datasets.phantom.heart import echogenicity, offset, sample_heart

PATIENTS = 200


@pytest.fixture(scope="module")
def hearts():
    return [sample_heart(np.random.default_rng(seed)) for seed in range(PATIENTS)]


def area(contour):
    x, y = contour.T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def inside(points, polygon):
    """Even-odd rule written plainly: count the edges that a ray to the right crosses."""
    result = []
    for row, column in points:
        crossings = 0
        for (row0, column0), (row1, column1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if (row0 <= row) != (row1 <= row):
                crossings += column < column0 + (row - row0) / (row1 - row0) * (column1 - column0)
        result.append(crossings % 2 == 1)
    return np.array(result)


@given(st.lists(st.tuples(st.floats(-3.3, 12.7), st.floats(-3.3, 12.7)), min_size=3, max_size=7))
def test_fill_follows_the_even_odd_rule(points):
    polygon = np.array(points) + 0.01234  # no corner or edge on a pixel centre
    pixels = np.stack(np.indices((9, 8)), axis=-1).reshape(-1, 2)
    got = fill(polygon, (9, 8)).ravel()
    assert (got != inside(pixels, polygon)).sum() <= (np.abs(cdist(pixels, polygon)) < 1e-6).sum()


def test_fill_has_the_area_of_the_polygon():
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = 50.3 + 30 * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    assert fill(circle, (101, 101)).sum() == pytest.approx(np.pi * 30**2, rel=0.005)


@pytest.mark.parametrize("distance", [-5.0, 0.0, 5.0])
def test_offset_moves_a_circle_along_its_radius(distance):
    turn = np.linspace(-np.pi, np.pi * 0.99, 300)  # clockwise on the screen, where y points down
    moved = offset(20 * np.stack([np.cos(turn), np.sin(turn)], axis=1), distance)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 20 + distance, rtol=2e-3)


def test_sizes_and_positions_are_those_of_camus(hearts):
    def length(heart):
        return np.linalg.norm(heart.endocardium - heart.mitral, axis=1).max()

    def check(values, mean, spread):
        # 200 patients: the mean is good to 0.07, the spread to 0.05 of the spread; the draws are cut at 2 spreads
        assert np.mean(values) == pytest.approx(mean, abs=0.3 * spread)
        assert np.std(values) == pytest.approx(spread, rel=0.3)

    ed, es = ([heart[phase] for heart in hearts] for phase in ("ED", "ES"))
    check([length(heart) for heart in ed], 76.6, 9.1)  # mm
    check([length(late) / length(early) for early, late in zip(ed, es, strict=True)], 0.853, 0.053)
    check([np.linalg.norm(np.diff(heart.endocardium[[0, -1]], axis=0)) for heart in ed], 29.4, 6.2)  # annulus, mm
    check([heart.endocardium[:, 1].min() for heart in ed], 30.4, 6.8)  # depth of the apex, mm
    check([heart.mitral[1] for heart in ed], 104.9, 11.7)  # depth of the annulus, mm
    check([heart.mitral[0] for heart in ed], 10.4, 7.7)  # and to the right, mm
    assert np.corrcoef([length(heart) for heart in ed], [length(heart) for heart in es])[0, 1] > 0.8  # CAMUS: 0.90


def test_the_cavity_always_ejects(hearts):
    ratios = [area(heart["ES"].endocardium) / area(heart["ED"].endocardium) for heart in hearts]
    assert max(ratios) < 0.93
    assert np.median(ratios) == pytest.approx(18.2 / 28.9, rel=0.05)  # CAMUS


def test_the_wall_is_outside_the_cavity_and_thicker_in_systole(hearts):
    wall = {}
    for phase in ("ED", "ES"):
        thickness = []
        for heart in (both[phase] for both in hearts[:40]):
            assert area(heart.epicardium) > 1.4 * area(heart.endocardium)
            distance = cdist(heart.epicardium, heart.endocardium).min(axis=1)
            assert distance.min() > 5  # mm: it nowhere comes near the cavity
            thickness.append(distance.mean())
        wall[phase] = np.mean(thickness)
    assert 10 < wall["ED"] < 13 < wall["ES"] + 1 < 16  # CAMUS draws it thick


def test_chambers_lie_where_they_belong(hearts):
    for heart in (both["ED"] for both in hearts[:40]):
        assert ((heart.left_atrium - heart.mitral) @ heart.up).max() < 6  # mm: below the mitral plane
        assert heart.right_ventricle[:, 0].mean() < heart.endocardium[:, 0].mean()  # image left
        assert heart.right_atrium[:, 0].max() < heart.left_atrium[:, 0].min()
        np.testing.assert_allclose(heart.left_atrium[[-1, 0]], heart.endocardium[[0, -1]])  # they share the hinges


def test_blood_scatters_less_than_muscle():
    heart = sample_heart(np.random.default_rng(0))["ED"]
    x, y = np.meshgrid(np.arange(-80.0, 80), np.arange(160.0))

    def to_pixels(points):
        return points[:, ::-1] + [0, 80]

    echo = echogenicity(heart, (x, y), to_pixels, -13.0, np.random.default_rng(1))
    cavity = fill(to_pixels(offset(heart.endocardium, -3.0)), x.shape)
    wall = fill(to_pixels(heart.epicardium), x.shape) & ~fill(to_pixels(heart.endocardium), x.shape)
    assert np.median(echo[cavity]) == pytest.approx(-13, abs=2.5)  # dB
    assert np.median(echo[wall]) > -5
