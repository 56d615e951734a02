"""What the papers claim, held against the results.

The rules are in `verdicts`, the tests in `statistics`; the claims themselves are data, in each bundle's
`configs/report.yaml`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ....atomic import write_text
from ....command import command
from ..caveats import report_warnings
from ..grid_results import NoResults, read_results
from ..page import ClaimsShown, render
from ..report_settings import read_settings
from .contrasts import judge_claims
from .wording import claims_shown

__all__ = ["claims"]

STYLES = {"holds": "bold green", "does not hold": "bold red", "undecided": "yellow", "no results": "dim"}


def claims(bundles: Sequence[Path], scale: str | None, uri: str) -> None:
    """Print the verdict on every claim of some bundles; write them as `claims.html` and `claims.csv`.

    The files go where the runs of the bundles lie (`runs`), with the scale in their name if one is given.

    Args:
        bundles: folders; those without a report.yaml are passed over.
        scale: of the grids; None takes the newest of each.
        uri: of MLflow.

    Raises:
        ValueError: if no bundle makes a claim.
    """
    found = [read_settings(bundle) for bundle in bundles if (bundle / "configs" / "report.yaml").is_file()]
    found = [settings for settings in found if settings.claims]
    if not found:
        raise ValueError(f"none of {[str(bundle) for bundle in bundles]} has a configs/report.yaml with claims.")
    folder, stem = found[0].runs_dir.parent, f"claims-{scale}" if scale else "claims"
    folder.mkdir(parents=True, exist_ok=True)
    console, groups, tables, warnings = Console(), [], [], []
    for settings in found:
        results = None
        try:
            results = read_results(uri, settings.experiment, scale)
        except NoResults as error:
            console.print(f"[yellow]{escape(str(error))}[/]", soft_wrap=True)
        own = report_warnings(results) if results else []
        for text, items in own:
            console.print(f"[yellow]{escape(' '.join([text, *items]))}[/]", soft_wrap=True)
        warnings += own
        table = judge_claims(results, settings)
        groups.append(claims_shown(table, settings, results, scale, f"{stem}.csv"))
        tables.append(table.assign(experiment=settings.experiment, scale=results.scale if results else scale))
        _print(groups[-1], console)
    made_by = command(f"experiments claims{f' --scale {scale}' if scale else ''}")
    page = render("The papers' claims", [("command", made_by)], warnings, groups, [], made_by)
    write_text(folder / f"{stem}.csv", pd.concat(tables).to_csv(index=False))
    write_text(folder / f"{stem}.html", page)
    console.print(_overview(groups))
    console.print(f"{folder / f'{stem}.html'}, {folder / f'{stem}.csv'}", soft_wrap=True)


def _print(group: ClaimsShown, console: Console) -> None:
    """Print a table a contrast, narrow enough for a terminal of 80 columns."""
    console.rule(f"[bold]{escape(group.title)}[/]")
    console.print(escape(group.note), soft_wrap=True)
    for claim in group.claims:
        console.print(f"\n[bold]{escape(claim.text)}[/] [{STYLES[claim.verdict]}]{claim.verdict}[/]")
        console.print(f"[dim]{escape(claim.source)}; margin {claim.margin}; {escape(claim.caption)}[/]")
        for contrast, rows in claim.contrasts if claim.verdict != "no results" else ():
            table = Table(title=escape(contrast), title_justify="left", box=None, show_header=False)
            for width in (16, 4, 26, 9, 13):
                table.add_column(width=width)
            for network, n, _, effect, _, p, verdict in rows:
                table.add_row(network, n, escape(effect), f"p {p}", f"[{STYLES[verdict]}]{verdict}[/]")
            console.print(table)


def _overview(groups: Sequence[ClaimsShown]) -> Table:
    table = Table(title="The papers' claims", title_justify="left")
    table.add_column("claim")
    table.add_column("verdict", no_wrap=True)
    for group in groups:
        for claim in group.claims:
            table.add_row(escape(claim.text), f"[{STYLES[claim.verdict]}]{claim.verdict}[/]")
        table.add_section()
    return table
