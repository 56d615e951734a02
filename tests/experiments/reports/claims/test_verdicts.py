"""The rules by which a claim is judged."""

import math

import pytest

from common.experiments.reports.claims.statistics import Effect, Variance
from common.experiments.reports.claims.verdicts import contrast_verdict, p_values, together

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
EXPECTATIONS = ["lower", "higher", "equal", "not_lower"]
QUANTILE = 1.959964  # of many degrees of freedom


def effect_of(low: float, high: float, patients: int | None = 20, seeds: int = 3) -> Effect:
    """Return an effect with a 95% interval and trainings that agree in sign."""
    mean, error = (low + high) / 2, (high - low) / 2 / QUANTILE
    sign = math.copysign(1, mean)
    return Effect(patients, seeds, mean, Variance(error**2, 1e9), *sorted((mean - sign * abs(mean) / 2, 2 * mean)))


def judge(expect: str, effect: Effect, tests: int = 1) -> tuple[str, str]:
    """Judge as one of equally significant tests."""
    return contrast_verdict(expect, effect, *(min(1, tests * p) for p in p_values(expect, effect, margin=0.03)))


@pytest.mark.parametrize(
    ("expect", "low", "high", "expected"),
    [
        ("lower", -0.2, -0.1, HOLDS),
        ("lower", -0.2, 0.01, UNDECIDED),
        ("lower", -0.029, 0.2, FAILS),  # a loss that matters is excluded
        ("lower", -0.031, 0.2, UNDECIDED),
        ("lower", 0.1, 0.2, FAILS),  # the opposite direction
        ("lower", -0.02, -0.01, HOLDS),  # small but significant
        ("higher", 0.1, 0.2, HOLDS),
        ("higher", -0.2, -0.1, FAILS),
        ("higher", -0.01, 0.02, FAILS),
        ("higher", -0.01, 0.031, UNDECIDED),
        ("equal", -0.029, 0.029, HOLDS),
        ("equal", 0.01, 0.02, HOLDS),  # significant, yet too small to matter
        ("equal", -0.04, 0.01, UNDECIDED),  # not significant is not equal
        ("equal", -0.01, 0.04, UNDECIDED),
        ("equal", 0.031, 0.2, FAILS),
        ("equal", -0.2, -0.031, FAILS),
        ("not_lower", -0.029, 0.5, HOLDS),
        ("not_lower", -0.04, 0.5, UNDECIDED),
        ("not_lower", -0.2, -0.031, FAILS),
    ],
)
def test_contrasts_are_judged_by_the_interval_and_the_margin(expect: str, low: float, high: float, expected: str):
    assert judge(expect, effect_of(low, high)) == (expected, "")


@pytest.mark.parametrize(
    ("expect", "low", "high"),
    [("lower", -0.2, -0.001), ("equal", -0.0295, 0.0295), ("not_lower", -0.029, 0.5), ("equal", 0.031, 0.5)],
)
def test_every_verdict_is_corrected_for_the_number_of_tests(expect: str, low: float, high: float):
    assert judge(expect, effect_of(low, high))[0] in (HOLDS, FAILS)
    assert judge(expect, effect_of(low, high), tests=10) == (UNDECIDED, "")


@pytest.mark.parametrize("expect", EXPECTATIONS)
@pytest.mark.parametrize("interval", [(-0.5, -0.4), (-0.01, 0.01), (0.4, 0.5)])
@pytest.mark.parametrize(("seeds", "many"), [(1, "one seed"), (2, "two seeds")])
@pytest.mark.parametrize("patients", [100, None])  # None: seconds
def test_fewer_than_three_seeds_decide_nothing(
    expect: str, interval: tuple[float, float], seeds: int, many: str, patients: int | None
):
    effect = effect_of(*interval, patients, seeds)
    assert judge(expect, effect) == (UNDECIDED, f"{many}; three are needed")
    assert all(math.isnan(p) for p in p_values(expect, effect, 0.03))  # not among the tests to correct for


@pytest.mark.parametrize(
    ("expect", "low", "high", "needed"),
    [
        ("lower", -0.2, -0.1, 6),
        ("higher", 0.1, 0.2, 6),
        ("equal", 0.1, 0.2, 6),  # does not hold
        ("not_lower", -0.2, -0.1, 6),  # does not hold
        ("equal", -0.01, 0.01, 10),
        ("not_lower", -0.01, 0.01, 10),
        ("lower", -0.01, 0.02, 10),  # does not hold
        ("higher", -0.02, 0.01, 10),  # does not hold
    ],
)
def test_a_difference_needs_six_patients_and_the_lack_of_one_ten(expect: str, low: float, high: float, needed: int):
    assert judge(expect, effect_of(low, high, needed))[0] in (HOLDS, FAILS)
    verdict, reason = judge(expect, effect_of(low, high, needed - 1))
    assert verdict == UNDECIDED
    assert reason.endswith("patients; ten are needed" if needed == 10 else "are needed")
    assert reason.startswith({5: "five", 9: "nine"}[needed - 1])
    assert judge(expect, effect_of(low, high, None))[0] in (HOLDS, FAILS)  # seconds have no patients


@pytest.mark.parametrize(("expect", "sign"), [("lower", -1), ("higher", 1), ("equal", 1), ("not_lower", -1)])
def test_a_difference_needs_trainings_that_agree_in_sign(expect: str, sign: int):
    clear = Effect(50, 3, sign * 0.1, Variance(1e-6, 50), *sorted((sign * 0.01, sign * 0.2)))
    assert judge(expect, clear)[0] == (HOLDS if expect in ("lower", "higher") else FAILS)
    one_differs = Effect(50, 3, sign * 0.1, Variance(1e-6, 50), *sorted((sign * -0.001, sign * 0.2)))
    assert judge(expect, one_differs) == (UNDECIDED, "the trainings differ in sign")


def test_equal_methods_need_no_agreement_of_signs():
    effect = Effect(50, 3, 0.0, Variance(1e-6, 50), -0.002, 0.002)
    assert judge("equal", effect) == (HOLDS, "")
    assert judge("not_lower", effect) == (HOLDS, "")


@pytest.mark.parametrize("expect", EXPECTATIONS)
def test_nothing_has_no_results(expect: str):
    nothing = Effect(0, 0, math.nan, Variance(math.nan, 0), math.nan, math.nan)
    assert judge(expect, nothing) == ("no results", "")


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
