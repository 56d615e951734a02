"""From claims and results to a table of tested contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ..figures.style import words
from ..grid_results import Results
from ..patients import paired_differences
from ..report_settings import Claim, Contrast, ReportSettings
from ..run_selection import chosen, ordered, settled
from .statistics import holm, paired_effect
from .verdicts import contrast_verdict

__all__ = ["dataset_of", "judge_claims"]

Where = Mapping[str, Any]
COLUMNS = ["claim", "text", "source", "network", "contrast", "dataset", "class", "measure", "expect", "margin"]
COLUMNS += ["n", "seeds", "effect", "low", "high", "lowest_seed", "highest_seed", "p", "corrected_p", "verdict"]


def dataset_of(name: str, results: Results, settings: ReportSettings, label: str = "") -> str:
    """Return the dataset that a name of the report stands for: the first of its list with Dice (of a class).

    Args:
        name: of the report's `datasets`, or a dataset.
        results: of the grid.
        settings: of the report.
        label: class that must be defined there; empty: any.

    Returns:
        The dataset; `name` itself if the report does not list it or none of its datasets has results.
    """
    images = results.images[results.images["dice"].notna()]
    present = set(images[images["class"] == label]["dataset"] if label else images["dataset"])
    return next((one for one in settings.datasets.get(name, [name]) if one in present), name)


def judge_claims(results: Results | None, settings: ReportSettings) -> pd.DataFrame:
    """Test every contrast of every claim, a row each, and correct the p-values for their number.

    Args:
        results: of the grid; None if there are none.
        settings: of the report.

    Returns:
        The columns `COLUMNS`. `effect`, `low`, `high` are differences of Dice, or of seconds as a share of those
        of `against`; `n` counts patients, or for seconds pairs of runs.
    """
    rows = [row for claim in settings.claims for one in claim.contrasts for row in _rows(claim, one, results, settings)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["corrected_p"] = holm(table["p"].tolist())
    judged = zip(rows, table["corrected_p"], strict=True)
    return table.assign(
        verdict=[contrast_verdict(row["expect"], row["estimate"], p, row["margin"]) for row, p in judged]
    )


def _rows(claim: Claim, contrast: Contrast, results: Results | None, settings: ReportSettings) -> list[dict[str, Any]]:
    """Make a row a network; one row that says so if there is nothing to compare."""
    seconds = claim.measure == "seconds"
    row: dict[str, Any] = {name: getattr(claim, name) for name in ("text", "source", "measure", "margin")}
    row |= {"claim": claim.name, "expect": contrast.expect, "network": "", "class": "" if seconds else contrast.label}
    row |= {"dataset": contrast.dataset, "contrast": _words(contrast.of, contrast.against)}
    nothing = {**row, **_estimated(pd.Series(dtype=float), [])}
    if results is None:
        return [nothing]
    row["contrast"] = _words(*(settled(where, results.runs) for where in (contrast.of, contrast.against)))
    if seconds:
        rows, row["dataset"] = results.runs, ""
    else:
        row["dataset"] = dataset_of(contrast.dataset, results, settings, contrast.label)
        rows = results.images
        rows = rows[(rows["dataset"] == row["dataset"]) & (rows["class"] == contrast.label)]
    of, against = (chosen(rows, where, results.runs) for where in (contrast.of, contrast.against))
    if seconds:
        same = [column for column in results.cell if column not in {**contrast.of, **contrast.against}]
        made = [{**row, "network": "all", **_estimated(_time_differences(of, against, same), [])}]
    else:
        networks = ordered(rows["network"], settings.order.get("network", ()))
        made = [{**row, **_of_network(of, against, network)} for network in networks]
    return [one for one in made if one["n"]] or [{**nothing, **row}]


def _of_network(of: pd.DataFrame, against: pd.DataFrame, network: str) -> dict[str, Any]:
    of, against = (side[side["network"] == network] for side in (of, against))
    common = sorted(set(of["seed"]) & set(against["seed"]))
    alone = [paired_differences(of[of["seed"] == seed], against[against["seed"] == seed]).mean() for seed in common]
    seeds = min(side["seed"].nunique() for side in (of, against))
    estimated = _estimated(paired_differences(of, against), [float(one) for one in alone if pd.notna(one)])
    return {"network": network, "seeds": seeds, **estimated}


def _estimated(differences: pd.Series, seeds: Sequence[float]) -> dict[str, Any]:
    estimate = paired_effect(differences.to_numpy())
    extremes = {"lowest_seed": min(seeds, default=None), "highest_seed": max(seeds, default=None)}
    ends = {"effect": estimate.mean, "low": estimate.low, "high": estimate.high}
    return {"estimate": estimate, "n": estimate.n, "p": estimate.p, **ends, **extremes}


def _time_differences(of: pd.DataFrame, against: pd.DataFrame, same: Sequence[str]) -> pd.Series:
    """Pair the runs that agree in the columns `same`; seconds an epoch, as a share of those of `against`."""
    pairs = of.merge(against, on=same, suffixes=("", "_against"))
    return (pairs["seconds"] / pairs["seconds_against"] - 1).dropna()


def _words(of: Where, against: Where) -> str:
    """Say what is compared, and behind it what both sides have in common."""
    same = {column: value for column, value in of.items() if column in against and against[column] == value}
    sides = [{column: value for column, value in side.items() if column not in same} for side in (of, against)]
    return " against ".join(map(_side, sides)) + f" ({_side(same)})" * bool(same)


def _side(where: Where) -> str:
    told = {"method": where["method"], **where} if "method" in where else where
    named = {column: "" if column == "method" else f"{words(column)} " for column in told}
    return ", ".join(f"{named[column]}{_value(value)}" for column, value in told.items())


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "/".join(_value(one) for one in value if one is not None)
    return str(value).lower() if isinstance(value, bool) else words(value)
