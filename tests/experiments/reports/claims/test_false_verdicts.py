"""Rates of false verdicts, by simulation; `python -m benchmarks.verdicts` does the same on a finer scale."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.verdicts import BORDERS, Condition, draw_grid, holding, too_often, whole_grid
from common.experiments.reports.claims.contrasts import judge_claims
from common.experiments.reports.claims.statistics import paired_effect, pooled_variance
from common.experiments.reports.settings import Claim, Contrast, ReportSettings

GRIDS = 300
MOST = binom.ppf(0.999, GRIDS, 0.05)  # 27 of 300
TRUE = {"lower": -0.05, "higher": 0.05, "equal": 0.0, "not_lower": 0.0}


@pytest.mark.parametrize(
    "condition",
    [
        Condition(6, 3, 0.0),
        Condition(12, 3, 0.05),
        Condition(100, 5, 0.02),
        Condition(20, 3, 0.02, "heavy tails"),
        Condition(20, 3, 0.0, "skewed"),
        Condition(20, 3, 0.04, others=0.25),
    ],
    ids=str,
)
def test_claims_at_the_border_of_what_they_exclude_rarely_hold(condition: Condition):
    counts = holding(condition, BORDERS, GRIDS)
    assert max(counts.values()) <= MOST


@pytest.mark.parametrize("seeds", [1, 2])
def test_nothing_holds_with_fewer_than_three_seeds(seeds: int):
    assert set(holding(Condition(100, seeds, 0.0), TRUE, 50).values()) == {0}


def test_true_claims_hold():
    counts = holding(Condition(50, 3, 0.005), TRUE, GRIDS)
    assert min(counts.values()) > 0.8 * GRIDS


def test_the_simulation_sees_intervals_that_do_not_know_of_other_trainings():
    random, condition = np.random.default_rng(0), Condition(50, 3, 0.02)
    wrong = 0
    for _ in range(GRIDS):
        dice = draw_grid(condition, random)
        of = np.repeat(dice[0].mean(axis=0)[None], 3, axis=0)  # as if the trainings were one
        against = np.repeat(dice[1].mean(axis=0)[None], 3, axis=0)
        patients = paired_effect(of, against, pooled_variance([np.zeros(9)]))
        wrong += patients.p_below(0.0) < 0.05
    assert too_often(wrong, GRIDS, seeds=3)
    assert too_often(1, GRIDS, seeds=1)
    assert not too_often(GRIDS // 20, GRIDS, seeds=3)


def test_the_judged_table_has_the_effects_of_the_arrays():
    results = whole_grid(3, 0.02, np.random.default_rng(2))
    sides = [{"method": "a", "label_dropout": 0.2}, {"method": "b", "label_dropout": 0.6}]
    claim = Claim("c", "", "", [Contrast(*sides, "lower", "d", "c")], 0.03, "dice")
    row = judge_claims(results, ReportSettings("e", Path(), "", {}, {}, (), [claim])).iloc[0]
    dice = results.images["dice"].to_numpy().reshape(8, 3, 12)  # cells in the order in which they were drawn
    effect = paired_effect(dice[1], dice[7], pooled_variance(list(dice.mean(axis=2))))
    assert (row["effect"], row["low"], row["high"]) == pytest.approx((effect.mean, effect.low, effect.high))
    assert row["p"] == pytest.approx(effect.p_below(0.0))
