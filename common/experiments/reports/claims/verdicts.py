"""What results say about a claim: holds, does not hold, undecided, or no results.

A claim is made of contrasts: one choice of runs against another, on a dataset and class. Each contrast is judged for
every network on its own (seconds: for all networks together), from the 95% interval of the effect (the mean difference
over patients) and, where a direction is claimed, from the p-value corrected for all tests of the experiment. The margin
is the difference that would matter (0.03 Dice unless the claim says otherwise).

- lower, higher: holds if the interval lies on that side of zero and p < .05; does not hold if the interval excludes an
  effect as large as the margin to that side.
- equal: holds if the interval lies within the margin to both sides of zero; does not hold if it lies wholly beyond.
- not lower: holds if the interval lies above minus the margin; does not hold if it lies wholly below.

Anything else is undecided; so is a contrast of fewer than six patients (or pairs of runs, where seconds are compared).
That a difference is not significant is never taken for equality. A claim holds if all its contrasts hold, does not
hold if any does not, has no results if none has, and is undecided otherwise.

The interval speaks of other patients, not of other trainings: where the range over seeds is wider, or there is but one
seed, a verdict may turn with another seed.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from .statistics import Effect

__all__ = ["EXPECTATIONS", "VERDICTS", "contrast_verdict", "together"]

VERDICTS = ("holds", "does not hold", "undecided", "no results")
HOLDS, FAILS, UNDECIDED, NO_RESULTS = VERDICTS
EXPECTATIONS = ("lower", "higher", "equal", "not_lower")
LEVEL = 0.05


def contrast_verdict(expect: str, effect: Effect, corrected_p: float, margin: float) -> str:
    """Judge one contrast by the rules above.

    Args:
        expect: one of `EXPECTATIONS`.
        effect: of the contrast.
        corrected_p: for all tests of the experiment.
        margin: that would matter, in the effect's unit.

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
    """Return the verdict on a claim from those on its contrasts.

    Example:
        >>> together(["holds", "undecided"]), together(["holds", "does not hold"]), together(["holds", "no results"])
        ('undecided', 'does not hold', 'undecided')
    """
    if FAILS in verdicts:
        return FAILS
    kinds = set(verdicts)
    return kinds.pop() if len(kinds) == 1 else UNDECIDED
