"""The weight of the consistency grows as in Filbrandt et al., 2021."""

import math

import pytest

from common.engines.semi_supervised import gaussian_ramp, ramp


@pytest.mark.parametrize(("epoch", "expected"), [(0, 0), (3, 0), (5, 0.2), (8, 0.5), (10, 0.7), (13, 1), (34, 1)])
@pytest.mark.parametrize("epochs", [35, 350, 7])
def test_the_check_values_hold_for_trainings_of_any_length(epoch: int, expected: float, epochs: int):
    progress = epoch * epochs / 35 / epochs
    assert ramp(progress, 3 / 35, 13 / 35) == pytest.approx(expected, abs=1e-12)


def test_a_ramp_may_begin_at_once():
    assert [ramp(progress, 0, 0.5) for progress in (0, 0.25, 0.5, 1)] == [0, 0.5, 1, 1]


@pytest.mark.parametrize("progress", [0, 0.1, 0.5, 0.9, 1])
def test_the_gaussian_ramp_solves_its_differential_equation(progress: float):
    """Its logarithm grows by 10 (1 - progress)."""
    step = 1e-6
    growth = (gaussian_ramp(progress) - gaussian_ramp(progress - step)) / step / gaussian_ramp(progress)
    assert growth == pytest.approx(10 * (1 - progress) if progress else 0, abs=1e-4)


def test_the_gaussian_ramp_ends_at_its_full_weight_and_stays():
    assert [0.1 * gaussian_ramp(progress) for progress in (1, 1.5)] == [0.1, 0.1]
    assert 0.1 * gaussian_ramp(0) == pytest.approx(0.1 / math.e**5)
