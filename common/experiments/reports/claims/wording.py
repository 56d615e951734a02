"""Prepare tested claims for the page and the terminal."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..figures.style import words
from ..page import ClaimShown, ClaimsShown
from ..results import Results
from ..settings import Claim, ReportSettings
from ..tables import MISSING
from .verdicts import FAILS, together

__all__ = ["claims_shown"]


def claims_shown(
    table: pd.DataFrame, settings: ReportSettings, results: Results | None, csv: str, makes: str
) -> ClaimsShown:
    """Return the claims of an experiment as they are shown.

    Args:
        table: of `judge_claims`.
        settings: of the report.
        results: None if they are missing.
        csv: file with the table.
        makes: command that makes the results.
    """
    shown = [_claim(claim, table[table["claim"] == claim.name]) for claim in settings.claims]
    note = f"{results.origin}; " if results else ""
    tests = max(int(table[name].notna().sum()) for name in ("p", "p_not"))
    note += f"p-values are corrected for {tests} tests by Holm's method."
    return ClaimsShown(
        f"claims-{settings.experiment}", f"Claims: {settings.title}", note, shown, csv, "" if results else makes
    )


def _claim(claim: Claim, rows: pd.DataFrame) -> ClaimShown:
    several = len(rows[["dataset", "class"]].drop_duplicates()) > 1
    contrasts = []
    for (contrast, dataset, label, expect), own in rows.groupby(["contrast", "dataset", "class", "expect"], sort=False):
        place = f"{words(label)} of {dataset}" if label else "all trainings"
        heading = f"{contrast}, {place}" if several else contrast
        contrasts.append((f"{heading}: {words(expect)}", [_cells(row) for _, row in own.iterrows()]))
    if claim.measure == "seconds":
        margin, caption = f"{claim.margin:.0%} of the time", "n: trainings of a side"
    else:
        margin, caption = f"{claim.margin:g} Dice", "n: patients" if several else f"{place}; n: patients"
    return ClaimShown(claim, margin, together(list(rows["verdict"])), caption, contrasts)


def _cells(row: Any) -> list[str]:
    over = MISSING if pd.isna(row["lowest_seed"]) else f"{row['lowest_seed']:+.3f} to {row['highest_seed']:+.3f}"
    corrected = row["corrected_p_not" if row["verdict"] == FAILS else "corrected_p"]
    p = MISSING if pd.isna(corrected) else "< .001" if corrected < 0.001 else f"{corrected:.3f}"
    first = [words(row["network"]) or MISSING, str(row["n"]), str(row["seeds"])]
    return [*first, _effect(row), over, p, row["reason"], row["verdict"]]


def _effect(row: Any) -> str:
    """Return an effect and its interval as they are printed.

    Example:
        >>> _effect({"effect": -0.1, "low": -0.15, "high": -0.051, "measure": "dice"})
        '-0.100 [-0.150, -0.051]'
        >>> _effect({"effect": 0.02, "low": float("nan"), "high": float("nan"), "measure": "seconds"})
        '+2.0%'
    """
    form = "{:+.1%}" if row["measure"] == "seconds" else "{:+.3f}"
    if pd.isna(row["effect"]):
        return MISSING
    return (form if pd.isna(row["low"]) else f"{form} [{form}, {form}]").format(row["effect"], row["low"], row["high"])
