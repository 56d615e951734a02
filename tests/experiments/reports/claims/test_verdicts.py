"""The rules by which a claim is judged."""

import math

import pytest

from common.experiments.reports.claims.statistics import Effect
from common.experiments.reports.claims.verdicts import contrast_verdict, together

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"


@pytest.mark.parametrize(
    ("expect", "low", "high", "p", "expected"),
    [
        ("lower", -0.2, -0.1, 0.01, HOLDS),
        ("lower", -0.2, -0.1, 0.06, UNDECIDED),  # not significant after correction
        ("lower", -0.2, 0.01, 0.01, UNDECIDED),
        ("lower", -0.029, 0.2, 0.5, FAILS),  # a loss that matters is excluded
        ("lower", -0.031, 0.2, 0.5, UNDECIDED),
        ("lower", 0.1, 0.2, 0.01, FAILS),  # the opposite direction
        ("lower", -0.02, -0.01, 0.01, HOLDS),  # small but significant
        ("higher", 0.1, 0.2, 0.01, HOLDS),
        ("higher", 0.1, 0.2, 0.05, UNDECIDED),
        ("higher", -0.2, -0.1, 0.01, FAILS),
        ("higher", -0.01, 0.02, 0.9, FAILS),
        ("equal", -0.03, 0.03, 0.9, HOLDS),
        ("equal", 0.01, 0.02, 0.001, HOLDS),  # significant, yet too small to matter
        ("equal", -0.04, 0.01, 0.9, UNDECIDED),  # not significant is not equal
        ("equal", 0.031, 0.2, 0.001, FAILS),
        ("equal", -0.2, -0.031, 0.001, FAILS),
        ("not_lower", -0.03, 0.5, 0.9, HOLDS),
        ("not_lower", -0.04, 0.5, 0.9, UNDECIDED),
        ("not_lower", -0.2, -0.031, 0.9, FAILS),
    ],
)
def test_contrasts_are_judged_by_interval_margin_and_corrected_p(
    expect: str, low: float, high: float, p: float, expected: str
):
    effect = Effect(20, (low + high) / 2, low, high, p / 2)
    assert contrast_verdict(expect, effect, p, margin=0.03) == expected


@pytest.mark.parametrize("expect", ["lower", "higher", "equal", "not_lower"])
def test_few_patients_are_undecided_and_none_have_no_results(expect: str):
    few = Effect(5, -0.5, math.nan, math.nan, math.nan)
    assert contrast_verdict(expect, few, math.nan, 0.03) == UNDECIDED
    none = Effect(0, math.nan, math.nan, math.nan, math.nan)
    assert contrast_verdict(expect, none, math.nan, 0.03) == "no results"


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([HOLDS, HOLDS], HOLDS),
        ([HOLDS, UNDECIDED, FAILS], FAILS),
        ([HOLDS, UNDECIDED], UNDECIDED),
        ([HOLDS, "no results"], UNDECIDED),
        (["no results", "no results"], "no results"),
    ],
)
def test_a_claim_holds_if_all_its_contrasts_hold(verdicts: list[str], expected: str):
    assert together(verdicts) == expected
