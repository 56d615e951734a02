"""Test the contrasts of claims on the results of a grid."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..results import Results
from ..settings import Claim, Contrast, ReportSettings
from .cells import describe
from .effects import Compared, GridEffects
from .statistics import holm
from .verdicts import contrast_verdict, p_values

__all__ = ["dataset_of", "judge_claims"]

COLUMNS = ["claim", "text", "source", "network", "contrast", "dataset", "class", "measure", "expect", "margin"]
COLUMNS += ["n", "seeds", "effect", "low", "high", "lowest_seed", "highest_seed"]
COLUMNS += ["p", "corrected_p", "p_not", "corrected_p_not", "verdict", "reason"]


def dataset_of(name: str, results: Results, settings: ReportSettings, label: str = "") -> str:
    """Return the dataset of a name of the report: the first of its list with Dice (of class `label`).

    It is `name` itself if the report does not list it or none of its datasets has results.
    """
    images = results.images[results.images["dice"].notna()]
    present = set(images[images["class"] == label]["dataset"] if label else images["dataset"])
    return next((one for one in settings.datasets.get(name, [name]) if one in present), name)


def judge_claims(results: Results | None, settings: ReportSettings) -> pd.DataFrame:
    """Test every contrast of every claim, and correct the p-values for their number.

    Returns:
        The columns `COLUMNS`, a row per contrast and network. `effect`, `low` and `high` are differences of Dice, or
        of seconds as a fraction of those of `against`; `n` counts patients, or trainings of a side for seconds. `p` is
        that of "holds", `p_not` that of "does not hold"; `reason` says what an undecided contrast lacks.
    """
    effects = GridEffects(results, settings.order) if results else None
    found = [
        (row, compared)
        for claim in settings.claims
        for contrast in claim.contrasts
        for row, compared in _compare(claim, contrast, effects, settings)
    ]
    tests = [p_values(row["expect"], compared.effect, row["margin"]) for row, compared in found]
    p, p_not = ([one[side] for one in tests] for side in (0, 1))
    corrected, corrected_not = holm(p), holm(p_not)
    rows = []
    for n, (row, compared) in enumerate(found):
        verdict, reason = contrast_verdict(row["expect"], compared.effect, corrected[n], corrected_not[n])
        row |= {"p": p[n], "corrected_p": corrected[n], "p_not": p_not[n], "corrected_p_not": corrected_not[n]}
        rows.append({**row, "verdict": verdict, "reason": compared.reason or reason})
    return pd.DataFrame(rows, columns=COLUMNS)


def _compare(
    claim: Claim, contrast: Contrast, effects: GridEffects | None, settings: ReportSettings
) -> list[tuple[dict[str, Any], Compared]]:
    """Compare the cells of a contrast; return what the table says of each, except p-values and verdict."""
    row: dict[str, Any] = {name: getattr(claim, name) for name in ("text", "source", "measure", "margin")}
    row |= {"claim": claim.name, "expect": contrast.expect, "dataset": contrast.dataset, "class": contrast.label}
    if claim.measure == "seconds":
        row |= {"dataset": "", "class": ""}
    if effects is None:
        found = [Compared(describe(contrast.of, contrast.against))]
    elif claim.measure == "seconds":
        found = effects.seconds(contrast.of, contrast.against)
    else:
        row["dataset"] = dataset_of(contrast.dataset, effects.results, settings, contrast.label)
        found = effects.dice(contrast.of, contrast.against, row["dataset"], contrast.label)
    return [({**row, **_numbers(one)}, one) for one in found]


def _numbers(compared: Compared) -> dict[str, Any]:
    effect = compared.effect
    counts = {"n": effect.seeds if effect.patients is None else effect.patients, "seeds": effect.seeds}
    ends = {"effect": effect.mean, "low": effect.low, "high": effect.high}
    extremes = {"lowest_seed": effect.lowest, "highest_seed": effect.highest}
    return {"network": compared.network, "contrast": compared.contrast, **counts, **ends, **extremes}
