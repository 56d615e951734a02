"""Effects between the cells of a grid, with the variance of trainings pooled over all of its cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..figures.style import words
from ..patients import paired_scores
from ..results import Results
from ..selection import Order, Where, list_values
from .cells import Pair, describe, pair_cells, split_cells, untrained
from .statistics import Effect, Variance, paired_effect, pooled_variance, time_effect

__all__ = ["NOTHING", "Compared", "GridEffects"]

LEARNED = 0.1  # mean Dice of the better side; networks that have learned nothing do not support a claim
NOTHING = Effect(0, 0, math.nan, Variance(math.nan, 0), math.nan, math.nan)


@dataclass(frozen=True)
class Compared:
    """The effect of a contrast.

    Args:
        contrast: description of what is compared.
        effect: `NOTHING` without results.
        network: of the trainings; "all" for seconds.
        reason: why the effect is undefined.
    """

    contrast: str
    effect: Effect = NOTHING
    network: str = ""
    reason: str = ""


class GridEffects:
    """Compares the cells of a grid.

    Args:
        results: of the grid.
        order: of networks.
    """

    def __init__(self, results: Results, order: Order) -> None:
        self.results = results
        self.order = order
        self._variances: dict[tuple[str, str], Variance] = {}  # of trainings, by dataset and class

    def dice(self, of: Where, against: Where, dataset: str, label: str) -> list[Compared]:
        """Compare Dice, for each network separately."""
        images = self.results.images
        rows = images[(images["dataset"] == dataset) & (images["class"] == label)]
        rows = rows if "seed" in rows else rows.assign(seed=0)  # a grid of one training in each cell
        pairs = pair_cells(rows, of, against, self.results)
        networks = list_values(rows, "network", self.order) if "network" in rows else [""]
        pairs = sorted(pairs, key=lambda pair: networks.index(pair.network))  # within a network as they are
        if pairs and (dataset, label) not in self._variances:
            scores = [paired_scores(cell)[0] for _, cell in split_cells(rows, {}, self.results)]
            self._variances[dataset, label] = pooled_variance([one.mean(axis=1) for one in scores if one.size])
        found = [self._compare(pair, self._variances[dataset, label]) for pair in pairs]
        return self._complete(of, against, found, f"no Dice of {words(label)} in {dataset}")

    def seconds(self, of: Where, against: Where) -> list[Compared]:
        """Compare seconds per epoch, for all networks together."""
        rows = self.results.runs.dropna(subset=["seconds"])
        pairs = pair_cells(rows, of, against, self.results)
        variance = pooled_variance([np.log(cell["seconds"]) for _, cell in split_cells(rows, {}, self.results)])
        found = []
        for contrast in dict.fromkeys(pair.contrast for pair in pairs):
            own = [pair for pair in pairs if pair.contrast == contrast]
            times = [(pair.of["seconds"].to_numpy(), pair.against["seconds"].to_numpy()) for pair in own]
            found.append(Compared(contrast, time_effect(times, variance), "all"))
        return self._complete(of, against, found, "no seconds")

    def _compare(self, pair: Pair, variance: Variance) -> Compared:
        if pair.identical:
            return Compared(pair.contrast, network=pair.network, reason=pair.identical)
        of, against = paired_scores(pair.of, pair.against)
        if of.size and against.size and (best := max(of.mean(), against.mean())) < LEARNED:
            reason = f"neither side has learned the structure (mean Dice {best:.2f})"
            return Compared(pair.contrast, network=pair.network, reason=reason)
        return Compared(pair.contrast, paired_effect(of, against, variance), pair.network)

    def _complete(self, of: Where, against: Where, found: list[Compared], reason: str) -> list[Compared]:
        """Add the levels that were not trained, or the reason why there is nothing."""
        missing = [Compared(*texts[:1], reason=texts[1]) for texts in untrained(of, against, self.results)]
        return found + missing or [Compared(describe(of, against), reason=reason)]
