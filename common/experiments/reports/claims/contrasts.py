"""Test the contrasts of claims on the results of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ..figures.style import words
from ..patients import paired_differences
from ..results import Results
from ..selection import Where, choose, list_values, replace_levels
from ..settings import Claim, Contrast, ReportSettings
from .statistics import holm, paired_effect
from .verdicts import contrast_verdict

__all__ = ["dataset_of", "judge_claims"]

COLUMNS = ["claim", "text", "source", "network", "contrast", "dataset", "class", "measure", "expect", "margin"]
COLUMNS += ["n", "seeds", "effect", "low", "high", "lowest_seed", "highest_seed", "p", "corrected_p", "verdict"]


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
        of seconds as a fraction of those of `against`; `n` counts patients, or pairs of runs for seconds.
    """
    rows = [row for claim in settings.claims for one in claim.contrasts for row in _rows(claim, one, results, settings)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["corrected_p"] = holm(table["p"].tolist())
    judged = zip(rows, table["corrected_p"], strict=True)
    return table.assign(
        verdict=[contrast_verdict(row["expect"], row["estimate"], p, row["margin"]) for row, p in judged]
    )


def _rows(claim: Claim, contrast: Contrast, results: Results | None, settings: ReportSettings) -> list[dict[str, Any]]:
    """Make a row per network; a single row without numbers if there is nothing to compare."""
    seconds = claim.measure == "seconds"
    row: dict[str, Any] = {name: getattr(claim, name) for name in ("text", "source", "measure", "margin")}
    row |= {"claim": claim.name, "expect": contrast.expect, "network": "", "class": "" if seconds else contrast.label}
    row |= {"dataset": contrast.dataset, "contrast": _describe(contrast.of, contrast.against)}
    nothing = _estimate(pd.Series(dtype=float), [])
    if results is None:
        return [{**row, **nothing}]
    row["contrast"] = _describe(*(replace_levels(where, results.runs) for where in (contrast.of, contrast.against)))
    row["dataset"] = "" if seconds else dataset_of(contrast.dataset, results, settings, contrast.label)
    images = results.images
    images = images[(images["dataset"] == row["dataset"]) & (images["class"] == contrast.label)]
    rows = results.runs if seconds else images
    of, against = (choose(rows, where, results.runs) for where in (contrast.of, contrast.against))
    if seconds:
        same = [column for column in results.cell if column not in {**contrast.of, **contrast.against}]
        made = [{**row, "network": "all", **_estimate(_time_differences(of, against, same), [])}]
    else:
        networks = list_values(rows, "network", settings.order)
        made = [{**row, **_compare(of, against, network)} for network in networks]
    return [one for one in made if one["n"]] or [{**row, **nothing}]


def _compare(of: pd.DataFrame, against: pd.DataFrame, network: str) -> dict[str, Any]:
    of, against = (side[side["network"] == network] for side in (of, against))
    common = sorted(set(of["seed"]) & set(against["seed"]))
    alone = [paired_differences(of[of["seed"] == seed], against[against["seed"] == seed]).mean() for seed in common]
    seeds = min(side["seed"].nunique() for side in (of, against))
    estimate = _estimate(paired_differences(of, against), [float(one) for one in alone if pd.notna(one)])
    return {"network": network, "seeds": seeds, **estimate}


def _estimate(differences: pd.Series, seeds: Sequence[float]) -> dict[str, Any]:
    estimate = paired_effect(differences.to_numpy())
    extremes = {"lowest_seed": min(seeds, default=None), "highest_seed": max(seeds, default=None)}
    ends = {"effect": estimate.mean, "low": estimate.low, "high": estimate.high}
    return {"estimate": estimate, "n": estimate.n, "p": estimate.p, **ends, **extremes}


def _time_differences(of: pd.DataFrame, against: pd.DataFrame, same: Sequence[str]) -> pd.Series:
    """Pair the runs that agree in the columns `same`; return seconds as a fraction of those of `against`, minus 1."""
    pairs = of.merge(against, on=same, suffixes=("", "_against"))
    return (pairs["seconds"] / pairs["seconds_against"] - 1).dropna()


def _describe(of: Where, against: Where) -> str:
    """Describe both sides of a comparison, followed by what they have in common."""
    same = {column: value for column, value in of.items() if column in against and against[column] == value}
    sides = [{column: value for column, value in side.items() if column not in same} for side in (of, against)]
    return " against ".join(map(_side, sides)) + f" ({_side(same)})" * bool(same)


def _side(where: Where) -> str:
    columns = sorted(where, key=lambda column: column != "method")  # the method first
    return ", ".join(f"{words(one)} " * (one != "method") + _value(where[one]) for one in columns)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "/".join(_value(one) for one in value if one is not None)
    return str(value).lower() if isinstance(value, bool) else words(value)
