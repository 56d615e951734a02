"""Effects, their intervals and p-values, for other patients and other trainings.

Decisions, all of them tested or simulated (`python -m benchmarks.verdicts`):

- Patients are crossed with methods: each is segmented by every training, so differences are paired. Seeds are nested in
  methods: two trainings with the same seed have no more in common than any others. Both are samples, and an interval
  describes other patients and other trainings.
- The effect is the mean difference, in Dice: unlike a standardised effect it can be compared with a margin that a
  reader can judge. The images of a patient (ED, ES) and the trainings of a cell are averaged first.
- Its variance is the sum of two: that of the patients' differences, divided by their number, and that of the trainings'
  means, divided by the number of trainings on each side. What patients and trainings share (how one training does on
  one patient) is counted in both, which widens the interval a little and never narrows it.
- A cell has few seeds, so the variance of trainings is pooled over all cells of the grid, for the same dataset and
  class. Some methods vary more than others: where the two cells vary more than the pool, their own variance counts,
  with Welch's degrees of freedom.
- The 95% interval has quantiles of Student's t, with Satterthwaite's degrees of freedom for the sum.
- A p-value is one-sided, against a border of the effect (zero or a margin), and doubled: it is below .05 where the 95%
  interval lies beyond the border. Equality is two one-sided tests (TOST), of which the larger p-value counts. Each has
  a level of 2.5%, as is usual for non-inferiority, which leaves room for the skewed Dice of few patients.
- p-values are corrected by Holm's method over all tests of an experiment. The tests share patients and benchmarks, and
  Holm's method needs no assumption about that. A claim that is wrongly called true costs more here than one left open,
  so the probability of any error is controlled, not the fraction of errors (false discovery rate).
- Seconds per epoch have no patients. Trainings that agree in all that is not compared (network, label dropout) are
  compared, the effect is the geometric mean of the ratios, minus 1, and the variance of the logarithm is pooled.

No interval covers failures that are too rare to occur among the patients tested.

References:
    Crossed and nested random effects: D. Bates et al., J. Stat. Softw. 67(1):1-48, 2015; X. Bouthillier et al.,
    Accounting for variance in machine learning benchmarks, MLSys 2021.
    F. Satterthwaite, Biometrics Bulletin 2(6):110-114, 1946. B. Welch, Biometrika 34:28-35, 1947.
    D. Schuirmann, J. Pharmacokinet. Biopharm. 15:657-680, 1987 (TOST). ICH E9, Stat. Med. 18:1905-1942, 1999.
    S. Holm, Scand. J. Stat. 6:65-70, 1979.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

__all__ = ["Effect", "Variance", "holm", "paired_effect", "pooled_variance", "time_effect"]

DIGITS = 9  # of a difference; averaging makes equal ones differ in the 16th
Values = NDArray[Any]


@dataclass(frozen=True)
class Variance:
    """A variance and its degrees of freedom; without any (0) it is unknown.

    Example:
        >>> Variance(1.0, 4) + Variance(3.0, 12)
        Variance(value=4.0, freedom=16.0)
    """

    value: float
    freedom: float

    def __add__(self, other: Variance) -> Variance:
        parts = (self, other)
        if any(part.freedom < 1 for part in parts):
            return Variance(math.nan, 0)
        spread = sum(part.value**2 / part.freedom for part in parts)
        value = self.value + other.value
        return Variance(value, value**2 / spread if spread else math.inf)  # eq. (17) of Satterthwaite, 1946

    def times(self, factor: float) -> Variance:
        """Return the variance of something that is divided by the root of 1 / `factor`."""
        return Variance(self.value * factor, self.freedom)


@dataclass(frozen=True)
class Effect:
    """A mean difference.

    Args:
        patients: number; None for seconds, which have none.
        seeds: trainings of a cell, the fewer of both sides; of all cells together for seconds.
        mean: difference; NaN without results.
        variance: of the mean.
        lowest: mean difference of the training that does worst relative to the mean of the other side.
        highest: of the training that does best.

    Example:
        >>> effect = Effect(20, 3, 0.1, Variance(0.0004, 20.0), 0.08, 0.12)
        >>> round(effect.low, 3), round(effect.high, 3), round(effect.p_above(0.0), 5)
        (0.058, 0.142, 7e-05)
    """

    patients: int | None
    seeds: int
    mean: float
    variance: Variance
    lowest: float
    highest: float

    @property
    def low(self) -> float:
        """Lower end of the 95% interval."""
        return self.mean - self._half

    @property
    def high(self) -> float:
        """Upper end of the 95% interval."""
        return self.mean + self._half

    @property
    def _half(self) -> float:
        if not self.variance.value:
            return 0.0
        if not self.variance.freedom:
            return math.nan
        return float(stdtrit(self.variance.freedom, 0.975)) * math.sqrt(self.variance.value)

    def p_above(self, border: float) -> float:
        """Return the p-value of an effect that is at most `border`."""
        return self._p(self.mean - border)

    def p_below(self, border: float) -> float:
        """Return the p-value of an effect that is at least `border`."""
        return self._p(border - self.mean)

    def _p(self, distance: float) -> float:
        if not self.variance.freedom or math.isnan(distance):
            return math.nan
        if not self.variance.value:
            return 0.0 if distance > 0 else 1.0
        return min(1.0, 2 * float(stdtr(self.variance.freedom, -distance / math.sqrt(self.variance.value))))


def pooled_variance(cells: Iterable[Values | Sequence[float]]) -> Variance:
    """Pool the variance of trainings over cells, each with the values of its trainings.

    Example:
        >>> pooled_variance([[1.0, 3.0], [5.0, 5.0, 5.0], [7.0]])  # 2 / (1 + 2)
        Variance(value=0.6666666666666666, freedom=3)
    """
    arrays = [np.asarray(cell, dtype=np.float64) for cell in cells]
    freedom = sum(len(cell) - 1 for cell in arrays if len(cell))
    squares = sum(float(((cell - cell.mean()) ** 2).sum()) for cell in arrays if len(cell))
    return Variance(round(squares / freedom, 2 * DIGITS), freedom) if freedom else Variance(math.nan, 0)


def paired_effect(of: Values, against: Values, pooled: Variance) -> Effect:
    """Estimate the mean difference of two methods.

    Args:
        of: Dice of each training and patient, (trainings, patients).
        against: the same patients by the trainings of the other method, (other trainings, patients).
        pooled: variance of the trainings' means, over all cells of the grid.

    Example:
        >>> of, against = np.array([[0.7, 0.9], [0.7, 0.7]]), np.array([[0.5, 0.6], [0.6, 0.7]])
        >>> effect = paired_effect(of, against, Variance(0.0, 8))
        >>> effect.patients, effect.seeds, effect.mean, round(effect.lowest, 3), round(effect.highest, 3)
        (2, 2, 0.15, 0.1, 0.2)
    """
    (seeds, patients), (others, _) = of.shape, against.shape
    if not patients or not seeds or not others:
        return Effect(0, 0, math.nan, Variance(math.nan, 0), math.nan, math.nan)
    differences = (of.mean(axis=0) - against.mean(axis=0)).round(DIGITS)
    mean = round(float(differences.mean()), DIGITS)
    ours, theirs = of.mean(axis=1), against.mean(axis=1)
    own = pooled_variance([ours]).times(1 / seeds) + pooled_variance([theirs]).times(1 / others)
    trainings = pooled.times(1 / seeds + 1 / others)
    same = math.isclose(own.value, trainings.value, abs_tol=1e-15)  # as if the pool is of these two cells alone
    if own.value > trainings.value and not same:
        trainings = own
    between = pooled_variance([differences]).times(1 / patients)
    each = np.round([*(ours - theirs.mean()), *(ours.mean() - theirs)], DIGITS)
    return Effect(patients, min(seeds, others), mean, between + trainings, float(each.min()), float(each.max()))


def time_effect(pairs: Sequence[tuple[Values, Values]], pooled: Variance) -> Effect:
    """Estimate how much longer trainings take, as a fraction.

    Args:
        pairs: of cells that are compared, each with the seconds of its trainings, (n,) and (m,).
        pooled: variance of the logarithm of seconds, over all cells of the grid.

    Example:
        >>> time_effect([(np.array([2.0, 2.0]), np.array([1.0, 4.0]))], Variance(0.0, 4)).mean
        0.0
    """
    logs = [(np.log(of), np.log(against)) for of, against in pairs]
    ratios = [float(of.mean() - against.mean()) for of, against in logs]
    ratio = math.exp(sum(ratios) / len(ratios))
    share = sum(1 / len(of) + 1 / len(against) for of, against in logs) / len(logs) ** 2
    each = [one - against.mean() for of, against in logs for one in of]
    each += [of.mean() - one for of, against in logs for one in against]
    extremes = (round(math.exp(one) - 1, DIGITS) for one in (min(each), max(each)))
    seeds = min(sum(len(pair[side]) for pair in logs) for side in (0, 1))
    variance = pooled.times(share * ratio**2)  # of the ratio, by the delta method
    return Effect(None, seeds, round(ratio - 1, DIGITS), variance, *extremes)


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
