"""Compare the claims of the papers with the results.

The rules are in `verdicts`, the tests in `statistics`, and the claims in `configs/report.yaml` of each bundle.
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
from ...grid import check_scale
from ..names import check_names
from ..page import ClaimsShown, render
from ..results import NoResults, read_results, run_command
from ..settings import read_settings
from .contrasts import judge_claims
from .wording import claims_shown

__all__ = ["claims"]

STYLES = {"holds": "bold green", "does not hold": "bold red", "undecided": "yellow", "no results": "dim"}
WIDTHS = (16, 4, 26, 9, 13)  # of columns, for a terminal of 80


def claims(bundles: Sequence[Path], scale: str, uri: str) -> None:
    """Print the verdict on every claim of some bundles; write `claims-<scale>.html` and `claims-<scale>.csv`.

    The files are written to the folder of all runs (`runs`). Bundles without a report.yaml are skipped.

    Raises:
        ValueError: if no bundle makes a claim, none has the scale, or a name in a report is unknown.
    """
    check_scale(bundles, scale)
    read = [(bundle, read_settings(bundle)) for bundle in bundles if (bundle / "configs" / "report.yaml").is_file()]
    found = [(bundle, settings) for bundle, settings in read if settings.claims]
    if not found:
        raise ValueError(f"none of {[str(bundle) for bundle in bundles]} has a configs/report.yaml with claims.")
    folder, stem = found[0][1].runs_dir.parent, f"claims-{scale}"
    folder.mkdir(parents=True, exist_ok=True)
    console, groups, tables, warnings = Console(), [], [], []
    for bundle, settings in found:
        results = None
        try:
            results = read_results(uri, settings.experiment, scale, bundle)
        except NoResults as error:
            console.print(f"[yellow]{escape(str(error))}[/]", soft_wrap=True)
        check_names(settings, bundle, results)
        own = results.warnings if results else []
        for text, items in own:
            console.print(f"[yellow]{escape(' '.join([text, *items]))}[/]", soft_wrap=True)
        warnings += own
        table = judge_claims(results, settings)
        groups.append(claims_shown(table, settings, results, f"{stem}.csv", run_command(bundle, scale)))
        tables.append(table.assign(experiment=settings.experiment, scale=scale))
        _print(groups[-1], console)
    made_by = command(f"experiments claims --scale {scale}")
    page = render("The papers' claims", [("command", made_by)], warnings, groups, [], made_by)
    write_text(folder / f"{stem}.csv", pd.concat(tables).to_csv(index=False))
    write_text(folder / f"{stem}.html", page)
    console.print(_overview(groups))
    console.print(f"{folder / f'{stem}.html'}, {folder / f'{stem}.csv'}", soft_wrap=True)


def _verdict(text: str) -> str:
    return f"[{STYLES[text]}]{text}[/]"


def _print(group: ClaimsShown, console: Console) -> None:
    """Print a table per contrast."""
    console.rule(f"[bold]{escape(group.title)}[/]")
    console.print(escape(group.note), soft_wrap=True)
    for shown in group.claims:
        console.print(f"\n[bold]{escape(shown.claim.text)}[/] {_verdict(shown.verdict)}")
        console.print(f"[dim]{escape(shown.claim.source)}; margin {shown.margin}; {escape(shown.caption)}[/]")
        for contrast, rows in shown.contrasts if shown.verdict != "no results" else ():
            table = Table(title=escape(contrast), title_justify="left", box=None, show_header=False)
            for width in WIDTHS:
                table.add_column(width=width)
            for network, n, _, effect, _, p, _, verdict in rows:
                table.add_row(network, n, escape(effect), f"p {p}", _verdict(verdict))
            console.print(table)
            for reason in dict.fromkeys(row[-2] for row in rows if row[-2]):
                console.print(f"  [dim]{escape(reason)}[/]", soft_wrap=True)


def _overview(groups: Sequence[ClaimsShown]) -> Table:
    table = Table(title="The papers' claims", title_justify="left")
    table.add_column("claim")
    table.add_column("verdict", no_wrap=True)
    for group in groups:
        for shown in group.claims:
            table.add_row(escape(shown.claim.text), _verdict(shown.verdict))
        table.add_section()
    return table
