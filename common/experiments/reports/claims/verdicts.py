"""Judge claims by their results: holds, does not hold, undecided, or no results.

A claim consists of contrasts. A contrast compares the trainings of one cell of the grid with those of another, on a
dataset and a class; several levels (label dropout 0.2 and 0.4) and several networks are as many contrasts (seconds: all
networks together). The effect is the mean difference over patients and trainings, and its 95% interval describes
others of both. The margin is the smallest difference that matters (0.03 Dice unless the claim states another).

- lower, higher: holds if the effect is on that side of zero; does not hold if an effect of the size of the margin on
  that side is excluded.
- equal: holds if the effect is within the margin on both sides of zero; does not hold if it is outside.
- not lower: holds if the effect is above minus the margin; does not hold if it is below.

Each of these is a test with p < .05 after correction for all tests of the experiment, once for "holds" and once for
"does not hold". A difference (lower, higher; not equal, lower) needs six patients, three seeds on each side, and the
same sign for every training, compared with the mean of the other side. The absence of a difference that matters
(equal, not lower; does not hold for lower and higher) needs ten patients and three seeds on each side: among fewer
patients, those who would show a difference may be missing. Seconds need no patients.

A contrast of networks that have not learned the structure, with a mean Dice below .1 on both sides, has no results.

Everything else is undecided, with the reason if more patients or seeds are needed. A difference that is not significant
is never taken for equality. A level that was not trained has no results; it is not replaced by another. A claim holds
if all its contrasts hold, does not hold if any contrast does not hold, has no results if no contrast has any, and is
undecided otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from .statistics import Effect

__all__ = ["EXPECTATIONS", "FAILS", "contrast_verdict", "p_values", "together"]

FAILS = "does not hold"
HOLDS, UNDECIDED, NO_RESULTS = "holds", "undecided", "no results"
EXPECTATIONS = ("lower", "higher", "equal", "not_lower")
LEVEL = 0.05
SEEDS = 3  # of each side
PATIENTS = {True: 6, False: 10}  # for a difference, and for the lack of one
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def p_values(expect: str, effect: Effect, margin: float) -> tuple[float, float]:
    """Return the p-values for "holds" and for "does not hold"; NaN where patients or seeds are too few.

    Args:
        expect: one of `EXPECTATIONS`.
        effect: of the contrast.
        margin: smallest difference that matters, in the unit of the effect.

    Example:
        >>> from .statistics import Variance
        >>> effect = Effect(20, 3, -0.1, Variance(0.0004, 20.0), -0.12, -0.08)
        >>> [round(p, 4) for p in p_values("lower", effect, margin=0.03)]
        [0.0001, 1.0]
    """
    above, below = effect.p_above, effect.p_below
    both = {
        "lower": (below(0.0), above(-margin)),
        "higher": (above(0.0), below(margin)),
        "equal": (max(above(-margin), below(margin)), min(above(margin), below(-margin))),
        "not_lower": (above(-margin), below(-margin)),
    }[expect]
    holds, fails = (math.nan if _lacking(effect, kind) else p for p, kind in zip(both, _kinds(expect), strict=True))
    return holds, fails


def contrast_verdict(expect: str, effect: Effect, holds_p: float, fails_p: float) -> tuple[str, str]:
    """Judge one contrast by the rules above.

    Args:
        expect: one of `EXPECTATIONS`.
        effect: of the contrast.
        holds_p: of `p_values`, corrected for all tests of the experiment.
        fails_p: the same for "does not hold".

    Returns:
        The verdict, and why it is undecided ("" if the interval shows it).

    Example:
        >>> from .statistics import Variance
        >>> effect = Effect(20, 3, -0.1, Variance(0.0004, 20.0), -0.12, -0.08)
        >>> contrast_verdict("lower", effect, 0.004, 1.0)
        ('holds', '')
        >>> contrast_verdict("lower", Effect(20, 2, -0.1, Variance(0.0004, 20.0), -0.12, -0.08), math.nan, math.nan)
        ('undecided', 'two seeds; three are needed')
    """
    if not effect.seeds:
        return NO_RESULTS, ""
    agree, reason = effect.lowest > 0 or effect.highest < 0, ""
    for verdict, p, difference in zip((HOLDS, FAILS), (holds_p, fails_p), _kinds(expect), strict=True):
        if p < LEVEL and (agree or not difference):
            return verdict, ""
        if p < LEVEL:
            reason = reason or "the trainings differ in sign"
        reason = reason or _lacking(effect, difference)
    return UNDECIDED, reason


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


def _kinds(expect: str) -> tuple[bool, bool]:
    """Return whether "holds" and "does not hold" are differences."""
    directional = expect in ("lower", "higher")
    return directional, not directional


def _lacking(effect: Effect, difference: bool) -> str:
    """Return what an effect lacks for a verdict."""
    if effect.seeds < SEEDS:
        return f"{NUMBERS[effect.seeds]} seed{'s' * (effect.seeds != 1)}; {NUMBERS[SEEDS]} are needed"
    needed = PATIENTS[difference]
    if effect.patients is not None and effect.patients < needed:
        many = f"{NUMBERS[effect.patients]} patient{'s' * (effect.patients != 1)}"
        return f"{many}; {NUMBERS[needed]} are needed"
    return ""
