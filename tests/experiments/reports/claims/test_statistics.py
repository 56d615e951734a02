"""The statistics, compared with numbers by hand and with their definitions."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, t, wilcoxon

from common.experiments.reports.claims.statistics import FEWEST, holm, paired_effect, signed_rank_p

UP = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]


def by_every_sign(differences: list[float]) -> float:
    """Compute the two-sided signed-rank test by trying every sign; zeros are ranked, then lose their rank (Pratt)."""
    ranks = rankdata(np.abs(differences))[np.array(differences) != 0]
    signs = np.sign([one for one in differences if one])
    sums = [
        sum(rank for rank, sign in zip(ranks, every, strict=True) if sign > 0)
        for every in product([1, -1], repeat=len(ranks))
    ]
    middle = ranks.sum() / 2
    observed = abs(ranks[signs > 0].sum() - middle)
    return float(np.mean([abs(one - middle) >= observed - 1e-9 for one in sums]))


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        (UP, 2 / 64),
        ([-one for one in UP], 2 / 64),
        ([0.1] * 6, 2 / 64),  # all tied
        ([0.0, *UP[:5]], 2 / 32),  # the zero has no direction
        ([-0.01, *UP[1:]], 4 / 64),  # smallest rank against
        ([0.01, 0.02, 0.03, 0.04, 0.05, -0.06], 0.4375),  # W+ = 15 of 21: 28 of 64 sign patterns are as far
    ],
)
def test_p_values_by_hand(differences: list[float], p: float):
    assert paired_effect(differences).p == pytest.approx(p)
    assert by_every_sign(differences) == pytest.approx(p)


@given(st.lists(st.integers(-5, 5), min_size=FEWEST, max_size=9).filter(any))
def test_p_values_with_zeros_and_ties_are_those_of_trying_every_sign(hundredths: list[int]):
    differences = [one / 100 for one in hundredths]
    assert paired_effect(differences).p == pytest.approx(by_every_sign(differences))


@pytest.mark.parametrize("n", [15, 50])
def test_p_values_are_scipys_exact_ones_where_it_has_them(n: int):
    values = np.random.default_rng(n).normal(0.3, 1, n)
    assert signed_rank_p(values) == pytest.approx(wilcoxon(values, method="exact").pvalue)


def test_p_values_of_many_tied_differences_are_near_scipys_approximation():
    values = np.random.default_rng(2).normal(0.1, 1, 300).round(1)
    expected = wilcoxon(values, zero_method="pratt", method="asymptotic").pvalue
    assert signed_rank_p(values) == pytest.approx(expected, rel=0.02)


def test_rounding_errors_do_not_break_ties():
    noisy = [0.1 + 0.2 - 0.2, 0.1, 0.3 - 0.2, 0.7 - 0.6, 0.1, 0.1]
    assert len(set(noisy)) > 1
    assert paired_effect(noisy) == paired_effect([0.1] * 6)


def test_differences_of_zero_have_a_p_value_of_one():
    effect = paired_effect([0.0] * 8)
    assert (effect.n, effect.mean, effect.low, effect.high, effect.p) == (8, 0.0, 0.0, 0.0, 1.0)


def test_a_constant_difference_has_an_interval_without_width():
    effect = paired_effect([-0.05] * 7)
    assert (effect.mean, effect.low, effect.high) == (-0.05, -0.05, -0.05)
    assert effect.p == pytest.approx(2 / 128)


@pytest.mark.parametrize("n", [0, 1, FEWEST - 1])
def test_few_patients_give_an_effect_without_interval_and_test(n: int):
    effect = paired_effect([0.1] * n)
    assert effect.n == n
    assert math.isnan(effect.mean) if n == 0 else effect.mean == 0.1
    assert math.isnan(effect.low)
    assert math.isnan(effect.high)
    assert math.isnan(effect.p)


def test_the_interval_of_many_normal_differences_is_that_of_students_t():
    values = np.random.default_rng(0).normal(0.02, 0.05, 200)
    effect = paired_effect(values)
    half = t.ppf(0.975, 199) * values.std(ddof=1) / np.sqrt(200)
    assert effect.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert effect.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_interval_follows_a_shift_and_is_the_same_every_time():
    values = np.random.default_rng(1).normal(0, 0.05, 20).round(4)
    first, shifted = paired_effect(values), paired_effect(values + 0.5)
    assert paired_effect(values) == first
    # a resampled mean that ties with the mean may round to either side, which moves the ends by a resample of 9,999
    assert shifted.low == pytest.approx(first.low + 0.5, abs=1e-4)
    assert shifted.high == pytest.approx(first.high + 0.5, abs=1e-4)


def test_the_interval_leans_to_the_side_of_the_tail():
    effect = paired_effect([0.0] * 17 + [0.1, 0.3, 0.9])
    assert effect.high - effect.mean > effect.mean - effect.low > 0


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
