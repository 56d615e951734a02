"""Hand in what MLflow lacks, and print the links to its tables of runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..command import command
from .client import connect, tracking_uri
from .delivery import backlog, cause
from .outbox import OUTBOX
from .table import open_tables

__all__ = ["main"]

URI = "sqlite:///runs/mlflow.db"


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(prog=command("tracking"), description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    hand_in = commands.add_parser("hand-in", help="hand in what trainings and evaluations could not")
    hand_in.add_argument("runs", type=Path, help="folder of runs, searched with all its folders")
    table = commands.add_parser("table", help="print the links to the tables of runs")
    table.add_argument("--address", default="http://127.0.0.1:5000", help="where MLflow's pages are served")
    arguments = parser.parse_args()
    uri = tracking_uri(URI)
    sys.exit(_hand_in(arguments.runs, uri) if arguments.command == "hand-in" else _print_tables(uri, arguments.address))


def _hand_in(runs: Path, uri: str) -> int:
    if not any(runs.rglob(OUTBOX)):
        print(f"{runs} holds no runs; give the folder of trainings, such as runs.", file=sys.stderr)
        return 1
    outcomes: dict[Path, Exception | None] = dict(backlog(runs, uri))  # the last word on each run counts
    for folder, error in outcomes.items():
        print(f"{folder}: {'handed in' if error is None else cause(error)}")
    if not outcomes:
        print("Nothing is left to hand in; runs that still go on are left alone.")
    return int(any(outcomes.values()))


def _print_tables(uri: str, address: str) -> int:
    try:
        links = open_tables(connect(uri), address)
    except Exception as error:  # MLflow raises any type
        print(f"MLflow does not answer: {cause(error)}", file=sys.stderr)
        return 1
    print("\n".join(f"{name}: {link}" for name, link in links.items()) or "MLflow has no runs; train first.")
    return 0


if __name__ == "__main__":
    main()
