"""Known deformations are recovered; diverging steps are undone with a reason; equal images give equal results."""

import re
from collections.abc import Callable
from typing import Any

import itk
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.datasets.phantom.study import PhantomFrame, render
from common.registration import AffineThenBSpline, Stage
from common.registration.itk_images import affine_of, bspline_grid, composed, coordinates_of, image_of
from common.registration.sector_alignment import Alignment
from common.registration.stage import refusal
from common.registration.warp import carry_image, carry_label, jacobian

pytestmark = pytest.mark.slow  # ITK takes ten seconds to load its registration
SIZE = 96
QUICK = {"affine_iterations": 3, "bspline_iterations": 3}
GRID = np.indices((SIZE, SIZE)).astype(float)


@pytest.fixture(scope="module")
def frame() -> PhantomFrame:
    return render("camus_like", patient=3, phase="ED", size=SIZE)


def mean_dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(
        np.mean([2 * ((one == c) & (other == c)).sum() / ((one == c).sum() + (other == c).sum()) for c in (1, 2, 3)])
    )


def moved(frame: PhantomFrame, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make a target from a known map: image, with new noise and other grey levels, and annotation."""
    image = carry_image(frame.image, coordinates)
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.where(image > 0, (0.7 * image + 20 + noise).clip(1, 255), 0), carry_label(frame.label, coordinates)


def scores(frame: PhantomFrame, stages: list[Stage], label: np.ndarray) -> dict[str, float]:
    return {stage.name: mean_dice(carry_label(frame.label, stage.coordinates), label) for stage in stages}


def rotated(degrees: float, stretch: float, shift: tuple[float, float]) -> np.ndarray:
    angle, middle = np.deg2rad(degrees), (SIZE - 1) / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([stretch, 1 / stretch])
    return np.einsum("ij,jrc->irc", turn, GRID - middle) + middle + np.reshape(shift, (2, 1, 1))


def waves(amplitude: float) -> np.ndarray:
    return GRID + amplitude * np.stack([np.sin(GRID[1] / 13), np.cos(GRID[0] / 15)])


@pytest.mark.parametrize("map_", [rotated(10, 1.1, (2, -3)), rotated(-8, 0.93, (-2, 2))], ids=["turned", "turned back"])
def test_a_known_affine_map_is_recovered(frame: PhantomFrame, map_: np.ndarray):
    target, label = moved(frame, map_)
    stages = AffineThenBSpline()(frame.image, target, frame.spacing, frame.spacing)
    dice = scores(frame, stages, label)
    assert [stage.refused for stage in stages] == ["", "", ""]
    assert dice["start"] < 0.80
    assert dice["affine"] > 0.95
    assert dice["affine"] - dice["start"] > 0.15
    error = np.linalg.norm(stages[1].coordinates - map_, axis=0)[label > 0]
    assert error.mean() < 1.0, "pixels"


def test_a_known_smooth_deformation_is_recovered_by_the_bspline(frame: PhantomFrame):
    map_ = waves(3.5)
    target, label = moved(frame, map_)
    stages = AffineThenBSpline()(frame.image, target, frame.spacing, frame.spacing)
    dice = scores(frame, stages, label)
    assert dice["bspline"] > 0.93
    assert dice["bspline"] - dice["affine"] > 0.05
    errors = [np.linalg.norm(stage.coordinates - map_, axis=0)[label > 0].mean() for stage in stages]
    assert errors[2] < min(1.0, 0.6 * errors[1]), "pixels"
    assert stages[0].metric < stages[1].metric < stages[2].metric


def test_sizes_and_spacings_may_differ(frame: PhantomFrame):
    fine = render("camus_like", patient=3, phase="ED", size=2 * SIZE)
    for spacings in ((frame.spacing, fine.spacing), (None, None), (frame.spacing, None)):
        stages = AffineThenBSpline()(frame.image, fine.image, *spacings)
        assert stages[-1].coordinates.shape == (2, 2 * SIZE, 2 * SIZE)
        assert scores(frame, stages, fine.label)["bspline"] > 0.93, spacings


def test_the_same_images_give_the_same_result_to_the_last_bit(frame: PhantomFrame):
    target, _ = moved(frame, waves(3))
    first, second = (AffineThenBSpline(affine_iterations=20)(frame.image, target) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.coordinates, other.coordinates)
        assert (one.metric, one.refused) == (other.metric, other.refused)


def failing(error: str) -> Callable[..., Any]:
    def step(*_: Any) -> Any:
        raise RuntimeError(error)

    return step


def test_a_step_that_fails_is_undone_and_the_next_goes_on_from_the_start(
    frame: PhantomFrame, monkeypatch: pytest.MonkeyPatch
):
    message = "/itk/metric.hxx:93:\nITK ERROR: Metric(0x55d8): All samples map outside. The images do not overlap."
    monkeypatch.setattr(AffineThenBSpline, "_affine", failing(message))
    target, _ = moved(frame, waves(2))
    start, affine, bspline = AffineThenBSpline(**QUICK)(frame.image, target)
    assert affine.refused == "failed: All samples map outside"
    np.testing.assert_array_equal(affine.coordinates, start.coordinates)
    assert affine.metric == start.metric < bspline.metric
    assert bspline.refused == ""


@pytest.mark.parametrize(
    ("factor", "offset", "itself", "reason"),
    [
        ((1.0, -1.0), (0.0, SIZE - 1.0), False, rf"folds at {SIZE * SIZE} pixels"),
        ((1.0, 1.0), (0.0, 2.0 * SIZE), False, r"metric or map is not finite"),
        ((1.0, 1.0), (0.0, 0.45 * SIZE), False, r"sectors overlap with a Dice of 0\.\d+ only"),
        ((0.8, 0.8), (9.0, 9.0), True, r"metric fell from 1\.\d+ to 0\.\d+"),
    ],
    ids=["mirrored", "lost", "beside", "worse"],
)
def test_a_step_that_diverges_is_undone(
    frame: PhantomFrame,
    monkeypatch: pytest.MonkeyPatch,
    factor: tuple[float, float],
    offset: tuple[float, float],
    itself: bool,
    reason: str,
):
    target = frame.image if itself else render("unity_like", patient=8, phase="ES", size=SIZE).image
    wrong = affine_of(Alignment(factor, offset), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0))
    monkeypatch.setattr(AffineThenBSpline, "_affine", lambda *_: wrong)
    start, affine, bspline = AffineThenBSpline(**QUICK)(frame.image, target)
    assert re.fullmatch(reason, affine.refused), affine.refused
    np.testing.assert_array_equal(affine.coordinates, start.coordinates)
    assert np.abs(bspline.coordinates - start.coordinates).max() < SIZE / 4, "the B-spline went on from the start"


def test_a_bspline_without_a_sensible_bound_folds_and_is_undone(frame: PhantomFrame):
    other = render("unity_like", patient=8, phase="ES", size=SIZE)
    _, affine, bspline = AffineThenBSpline(affine_iterations=3, bspline_iterations=60, mesh=16, bend=5.0)(
        frame.image, other.image
    )
    assert bspline.refused.startswith("folds at ")
    np.testing.assert_array_equal(bspline.coordinates, affine.coordinates)


@pytest.mark.parametrize("level", [0, 90])
def test_an_image_without_structure_stays_where_it_starts(frame: PhantomFrame, level: int):
    stages = AffineThenBSpline(**QUICK)(np.full((SIZE, SIZE), level, np.uint8), frame.image)
    assert all(stage.refused for stage in stages[1:])
    assert np.isfinite(stages[-1].coordinates).all()


def test_sectors_that_drift_apart_are_refused():
    sector = np.zeros((40, 40), bool)
    sector[5:35, 5:35] = True
    start = Stage("start", np.indices((40, 40)).astype(float), 0.1)
    drifted = Stage("affine", start.coordinates + 18, 0.5)
    # 17 x 17 pixels are carried into view, 12 x 12 of them meet the 30 x 30: 2 * 144 / (289 + 900)
    assert refusal(start, drifted, sector, sector) == "sectors overlap with a Dice of 0.24 only"
    assert refusal(start, Stage("affine", start.coordinates + 2, 0.5), sector, sector) == ""
    assert refusal(start, Stage("affine", start.coordinates, float("nan")), sector, sector).endswith("not finite")


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
def test_a_cubic_bspline_within_its_bound_never_folds(seed: int, mesh: int):
    target = image_of(np.zeros((48, 48)), (1.0, 1.0))
    spline = bspline_grid(target, mesh)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], spline.GetNumberOfParameters())
    parameters = itk.OptimizerParameters[itk.D](len(signs))
    for index, value in enumerate(0.48 * 48 / mesh * signs):  # Choi and Lee: below 0.488 of the distance
        parameters.SetElement(index, float(value))
    spline.SetParameters(parameters)
    assert jacobian(coordinates_of(composed(spline), target, (1.0, 1.0))).min() > 0
