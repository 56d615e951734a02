"""Effects of paired differences, their intervals and p-values.

Decisions, all of them tested:

- The unit is the patient. The images of a patient (ED, ES) and the trainings of a cell (seeds) are averaged first,
  because they are not independent. The interval therefore describes other patients with these trainings; the range of
  the effect over seeds describes other trainings.
- The effect is the mean paired difference, in Dice: unlike a standardised effect it can be compared with a margin that
  a reader can judge.
- Its 95% interval is the bias-corrected and accelerated bootstrap of the patients, from a fixed seed. Equal
  differences have an interval of width zero.
- The p-value is that of Wilcoxon's signed-rank test, two-sided, as in the papers. Differences of zero stay in the
  ranking (Pratt): two methods that fail in the same way on an image are evidence that they are equal. The distribution
  is exact for any number of patients, ties and zeros. Differences that are all zero have p = 1.
- With fewer than six patients no two-sided signed-rank test can reach p < .05, and a bootstrap has too few samples:
  interval and p-value are undefined (NaN).
- p-values are corrected by Holm's method over all tests of an experiment. The tests share patients and benchmarks, and
  Holm's method needs no assumption about that. A claim that is wrongly called true costs more here than one left open,
  so the probability of any error is controlled, not the fraction of errors (false discovery rate).

References:
    F. Wilcoxon, Biometrics Bulletin 1(6):80-83, 1945. J. W. Pratt, JASA 54:655-667, 1959.
    B. Efron, JASA 82:171-185, 1987. S. Holm, Scand. J. Stat. 6:65-70, 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, rankdata

__all__ = ["FEWEST", "Effect", "holm", "paired_effect", "signed_rank_p"]

FEWEST = 6  # patients; 2 * 0.5 ** 6 = 0.031 is the smallest p-value of six
DIGITS = 9  # of a difference; averaging makes equal ones differ in the 16th


@dataclass(frozen=True)
class Effect:
    """A mean paired difference.

    Args:
        n: patients.
        mean: difference; NaN without patients.
        low: lower end of its 95% interval; NaN for few patients, as `high` and `p`.
        high: upper end.
        p: of Wilcoxon's signed-rank test, two-sided, uncorrected.
    """

    n: int
    mean: float
    low: float
    high: float
    p: float


def paired_effect(differences: NDArray[Any] | Sequence[float]) -> Effect:
    """Estimate and test the mean of paired differences.

    Args:
        differences: one per patient, (n,), none of them NaN.

    Example:
        >>> paired_effect([0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
        Effect(n=6, mean=0.1, low=0.1, high=0.1, p=0.03125)
        >>> paired_effect([0.1, 0.2])
        Effect(n=2, mean=0.15, low=nan, high=nan, p=nan)
    """
    values = np.round(np.asarray(differences, dtype=np.float64), DIGITS)
    n = len(values)
    mean = round(float(values.mean()), DIGITS) if n else math.nan
    if n < FEWEST:
        return Effect(n, mean, math.nan, math.nan, math.nan)
    if not values.any():
        return Effect(n, 0.0, 0.0, 0.0, 1.0)
    p = signed_rank_p(values)
    if np.ptp(values) == 0:
        return Effect(n, mean, mean, mean, p)
    interval = bootstrap((values,), np.mean, n_resamples=9999, method="BCa", rng=20240312).confidence_interval
    return Effect(n, mean, float(interval.low), float(interval.high), p)


def signed_rank_p(differences: NDArray[Any] | Sequence[float]) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test of paired differences, (n,).

    SciPy's `wilcoxon` needs seconds for a dozen patients with ties, and approximates from 14 on.

    Example:
        >>> signed_rank_p([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])  # 2 of the 32 signs of what is not zero
        0.0625
    """
    values = np.asarray(differences, dtype=np.float64)
    ranks = np.rint(2 * rankdata(np.abs(values))).astype(int)  # doubled: ties have halves
    sums = np.ones(1)  # probability of each sum of the positive ranks
    for rank in ranks[values != 0]:
        sums = (np.pad(sums, (0, rank)) + np.pad(sums, (rank, 0))) / 2
    positive, negative = ranks[values > 0].sum(), ranks[values < 0].sum()
    return min(1.0, 2 * float(sums[max(positive, negative) :].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number by Holm's method; undefined ones (NaN) do not count and stay.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted((p, position) for position, p in enumerate(p_values) if not math.isnan(p))
    corrected, largest = list(p_values), 0.0
    for rank, (p, position) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        corrected[position] = largest
    return corrected
