"""The statistics, compared with numbers by hand and with other routes to them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from common.experiments.reports.claims.statistics import (
    Effect,
    Variance,
    holm,
    paired_effect,
    pooled_variance,
    time_effect,
)

RANDOM = np.random.default_rng(5)
OF, AGAINST = RANDOM.normal(0.8, 0.05, (4, 15)), RANDOM.normal(0.7, 0.05, (3, 15))
NOTHING_BETWEEN_TRAININGS = Variance(0.0, 8)


def test_without_variance_of_trainings_the_interval_is_that_of_the_paired_t_test():
    of, against = OF[:1], AGAINST[:1]  # one training a side: only the pool knows how much they vary
    expected = stats.ttest_rel(of[0], against[0])
    effect = paired_effect(of, against, NOTHING_BETWEEN_TRAININGS)
    assert effect.mean == pytest.approx(expected.statistic * expected._standard_error, abs=1e-8)
    interval = expected.confidence_interval(0.95)
    assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high), abs=1e-6)
    assert min(effect.p_above(0.0), effect.p_below(0.0)) == pytest.approx(expected.pvalue, rel=1e-4)


def test_without_variance_of_patients_the_interval_is_that_of_the_t_test_of_trainings():
    ours, theirs = np.array([0.80, 0.83, 0.82]), np.array([0.70, 0.75, 0.78, 0.74])
    of, against = (np.repeat(side[:, None], 12, axis=1) for side in (ours, theirs))
    welch = stats.ttest_ind(ours, theirs, equal_var=False)
    effect = paired_effect(of, against, Variance(0.0, 50))  # the other cells do not vary: these two count
    interval = welch.confidence_interval(0.95)
    assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high), abs=1e-6)
    large = 0.002
    pooled = paired_effect(of, against, Variance(large, 20))  # the others vary more
    half = stats.t.ppf(0.975, 20) * math.sqrt(large * (1 / 3 + 1 / 4))
    assert pooled.high - pooled.mean == pytest.approx(half, rel=1e-5)


def test_variances_of_patients_and_trainings_add_up_with_satterthwaites_degrees_of_freedom():
    pooled = Variance(0.001, 10)
    effect = paired_effect(OF, AGAINST, pooled)
    patients = (OF.mean(axis=0) - AGAINST.mean(axis=0)).var(ddof=1) / 15
    trainings = 0.001 * (1 / 4 + 1 / 3)
    total = patients + trainings
    freedom = total**2 / (patients**2 / 14 + trainings**2 / 10)
    assert effect.variance.value == pytest.approx(total)
    assert effect.variance.freedom == pytest.approx(freedom)
    assert effect.high - effect.mean == pytest.approx(stats.t.ppf(0.975, freedom) * math.sqrt(total))


def test_the_effect_of_a_training_is_its_difference_from_the_mean_of_the_other_side():
    of, against = np.array([[0.9], [0.8]]), np.array([[0.6], [0.5], [0.85]])  # means 0.85 and 0.65
    effect = paired_effect(of, against, NOTHING_BETWEEN_TRAININGS)
    assert (effect.lowest, effect.highest) == pytest.approx((0.0, 0.35))  # 0.85 - 0.85 and 0.85 - 0.5
    assert effect.seeds == 2


@given(st.permutations(range(4)), st.permutations(range(3)), st.permutations(range(15)))
def test_numbers_of_seeds_and_order_of_patients_do_not_matter(ours: list[int], theirs: list[int], patients: list[int]):
    pooled = Variance(0.0005, 6)
    moved = paired_effect(OF[ours][:, patients], AGAINST[theirs][:, patients], pooled)
    first = paired_effect(OF, AGAINST, pooled)
    assert (moved.mean, moved.low, moved.high) == pytest.approx((first.mean, first.low, first.high))
    assert (moved.lowest, moved.highest) == pytest.approx((first.lowest, first.highest))


@given(st.permutations(range(3)), st.permutations(range(15)))
def test_a_pool_of_the_two_compared_cells_counts_whatever_rounding_says(seeds: list[int], patients: list[int]):
    of, against = OF[:3][seeds][:, patients], AGAINST[:, patients]
    effect = paired_effect(of, against, pooled_variance([of.mean(axis=1), against.mean(axis=1)]))
    apart = paired_effect(of, against, Variance(10.0, 4))  # certainly more than the own
    assert effect.variance.freedom > 4
    between = pooled_variance([OF[:3].mean(axis=0) - AGAINST.mean(axis=0)]).times(1 / 15)
    trainings = pooled_variance([OF[:3].mean(axis=1), AGAINST.mean(axis=1)]).times(2 / 3)
    expected = between + trainings
    assert (effect.mean, effect.variance.freedom) == pytest.approx((apart.mean, expected.freedom))


def test_sides_are_symmetric():
    pooled = Variance(0.0005, 6)
    one, other = paired_effect(OF, AGAINST, pooled), paired_effect(AGAINST, OF, pooled)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p_above(0.03) == pytest.approx(other.p_below(-0.03))


@given(st.floats(-0.3, 0.3))
def test_a_p_value_is_below_5_percent_where_the_interval_lies_beyond_the_border(border: float):
    effect = paired_effect(OF, AGAINST, Variance(0.001, 10))
    assert (effect.p_above(border) < 0.05) == (effect.low > border)
    assert (effect.p_below(border) < 0.05) == (effect.high < border)


def test_equal_differences_have_an_interval_without_width_in_spite_of_rounding():
    of = np.array([[0.1 + 0.2, 0.7, 0.3, 0.8, 0.4, 0.6]] * 3)
    effect = paired_effect(of, of - 0.1, pooled_variance([of.mean(axis=1)]))
    assert (effect.mean, effect.low, effect.high) == (0.1, 0.1, 0.1)
    assert (effect.p_above(0.0), effect.p_above(0.1), effect.p_below(0.1), effect.p_below(0.2)) == (0, 1, 1, 0)


@pytest.mark.parametrize(("trainings", "patients"), [(0, 5), (3, 0)])
def test_nothing_to_compare_has_no_effect(trainings: int, patients: int):
    effect = paired_effect(np.zeros((trainings, patients)), np.zeros((3, patients)), Variance(0.001, 10))
    assert (effect.patients, effect.seeds) == (0, 0)
    assert math.isnan(effect.mean)


@pytest.mark.parametrize("effect", [paired_effect(OF[:, :1], AGAINST[:, :1], Variance(0.001, 10))])
def test_one_patient_has_an_effect_without_interval(effect: Effect):
    assert not math.isnan(effect.mean)
    assert all(math.isnan(value) for value in (effect.low, effect.high, effect.p_above(0), effect.p_below(0)))


def test_variance_that_no_cell_shows_is_unknown():
    assert pooled_variance([[0.8], [0.7], []]).freedom == 0
    effect = paired_effect(OF[:1], AGAINST[:1], pooled_variance([OF[:1].mean(axis=1), AGAINST[:1].mean(axis=1)]))
    assert math.isnan(effect.low)
    assert math.isnan(effect.p_above(0.0))


def test_the_pooled_variance_is_the_mean_square_within_cells():
    cells = [RANDOM.normal(mean, 1, size) for mean, size in ((0, 3), (5, 4), (9, 2))]
    squares = stats.f_oneway(*cells)
    everything = np.concatenate(cells)
    between = sum(len(cell) * (cell.mean() - everything.mean()) ** 2 for cell in cells) / 2
    assert pooled_variance(cells).value == pytest.approx(between / squares.statistic)
    assert pooled_variance(cells).freedom == 6


def test_seconds_are_compared_cell_by_cell_as_ratios():
    cells = [(np.array([1.1, 1.1, 1.1]), np.ones(3)), (np.array([22.0] * 3), np.array([20.0] * 3))]
    effect = time_effect(cells, Variance(0.0, 8))
    assert effect.mean == pytest.approx(0.1)
    assert (effect.low, effect.high) == pytest.approx((0.1, 0.1))
    assert (effect.patients, effect.seeds) == (None, 6)
    noisy = time_effect(cells[:1], Variance(0.0004, 8))
    half = stats.t.ppf(0.975, 8) * 1.1 * 0.02 * math.sqrt(2 / 3)  # 2% each
    assert noisy.high - noisy.mean == pytest.approx(half)
    uneven = time_effect([(np.array([1.0, 1.2]), np.array([1.0, 1.0]))], Variance(0.01, 2))
    assert (uneven.lowest, uneven.highest) == pytest.approx((0.0, 0.2))


def test_holm_by_hand():
    # 4 * .01, then 3 * .02 = .06, then 2 * .03 raised to .06, then 1 * .9
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_test_that_could_not_be_made_is_not_counted():
    corrected = holm([0.01, math.nan, 0.04])
    assert corrected[0] == pytest.approx(0.02)
    assert math.isnan(corrected[1])
    assert corrected[2] == pytest.approx(0.04)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p_values: list[float]):
    corrected = holm(p_values)
    assert all(p <= one <= min(1, p * len(p_values)) + 1e-12 for p, one in zip(p_values, corrected, strict=True))
    assert [one for _, one in sorted(zip(p_values, corrected, strict=True))] == sorted(corrected)
