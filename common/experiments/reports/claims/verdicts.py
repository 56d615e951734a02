"""Judge claims by their results: holds, does not hold, undecided, or no results.

A claim consists of contrasts. A contrast compares some runs with others, on a dataset and a class. It is judged for
each network separately (seconds: for all networks together), by the 95% interval of the effect (the mean difference
over patients) and, where a direction is claimed, by the p-value corrected for all tests of the experiment. The margin
is the smallest difference that matters (0.03 Dice unless the claim states another).

- lower, higher: holds if the interval is on that side of zero and p < .05; does not hold if the interval excludes an
  effect of the size of the margin on that side.
- equal: holds if the interval is within the margin on both sides of zero; does not hold if it is completely outside.
- not lower: holds if the interval is above minus the margin; does not hold if it is completely below.

Everything else is undecided, and so is a contrast with fewer than six patients (or pairs of runs, for seconds). A
difference that is not significant is never taken for equality. A claim holds if all its contrasts hold, does not hold
if any contrast does not hold, has no results if no contrast has any, and is undecided otherwise.

The interval describes other patients, not other trainings: where the range over seeds is wider, or there is only one
seed, another seed may change the verdict.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from .statistics import Effect

__all__ = ["EXPECTATIONS", "contrast_verdict", "together"]

HOLDS, FAILS, UNDECIDED, NO_RESULTS = "holds", "does not hold", "undecided", "no results"
EXPECTATIONS = ("lower", "higher", "equal", "not_lower")
LEVEL = 0.05


def contrast_verdict(expect: str, effect: Effect, corrected_p: float, margin: float) -> str:
    """Judge one contrast by the rules above.

    Args:
        expect: one of `EXPECTATIONS`.
        effect: of the contrast.
        corrected_p: for all tests of the experiment.
        margin: smallest difference that matters, in the unit of the effect.

    Example:
        >>> contrast_verdict("lower", Effect(20, -0.10, -0.15, -0.05, 0.001), 0.004, margin=0.03)
        'holds'
        >>> contrast_verdict("equal", Effect(20, -0.10, -0.15, -0.05, 0.001), 0.004, margin=0.03)
        'does not hold'
        >>> contrast_verdict("equal", Effect(20, -0.01, -0.05, 0.02, 0.4), 1.0, margin=0.03)
        'undecided'
    """
    if effect.n == 0:
        return NO_RESULTS
    low, high = effect.low, effect.high
    if math.isnan(low):
        return UNDECIDED
    if expect == "equal":
        holds, fails = -margin <= low and high <= margin, low > margin or high < -margin
    elif expect == "not_lower":
        holds, fails = low >= -margin, high < -margin
    elif expect == "higher":
        holds, fails = low > 0 and corrected_p < LEVEL, high < margin
    else:
        holds, fails = high < 0 and corrected_p < LEVEL, low > -margin
    return HOLDS if holds else FAILS if fails else UNDECIDED


def together(verdicts: Collection[str]) -> str:
    """Return the verdict on a claim from the verdicts on its contrasts.

    Example:
        >>> together(["holds", "undecided"]), together(["holds", "does not hold"]), together(["holds", "no results"])
        ('undecided', 'does not hold', 'undecided')
    """
    if FAILS in verdicts:
        return FAILS
    kinds = set(verdicts)
    return kinds.pop() if len(kinds) == 1 else UNDECIDED
