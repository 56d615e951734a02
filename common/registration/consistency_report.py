"""Report a comparison of annotations: one row per pair, a summary, a contact sheet, a table in the terminal."""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..atomic import write_text
from ..tracking.pictures import draw_examples
from .comparison import Comparison, View

__all__ = ["mean_and_sd", "summarise", "write_report"]

SHOWN = 20  # pairs on the contact sheet
ROWS = ("target, its annotation", "source, its annotation", "source, carried", "target, carried annotation")


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation of the numbers that are defined; NaN if there are too few.

    Example:
        >>> mean_and_sd([1.0, 3.0, math.nan])
        (2.0, 1.4142135623730951)
    """
    defined = [value for value in values if not math.isnan(value)]
    mean = statistics.fmean(defined) if defined else math.nan
    return mean, statistics.stdev(defined) if len(defined) > 1 else math.nan


def _foreground(dice: Sequence[float]) -> list[float]:
    """Return the Dice of the foreground classes and, last, their mean."""
    return [*dice[1:], mean_and_sd(dice[1:])[0]]


def summarise(comparisons: Sequence[Comparison], classes: Sequence[str]) -> dict[str, float]:
    """Average over pairs; `classes` starts with background.

    Returns:
        `dice/<stage>/<class>` and `dice_sd/<stage>/<class>`, where class "mean" is the mean over the foreground classes
        of a pair; `mutual_information/<stage>`; `pairs`; `used/<stage>`, the number of pairs for which it is the last
        step that counts.
    """
    names = [*classes[1:], "mean"]
    used = Counter(comparison.used for comparison in comparisons)
    result: dict[str, float] = {"pairs": len(comparisons)}
    for index, stage in enumerate(stage.name for stage in comparisons[0].stages):
        rows = [_foreground(comparison.dice[index]) for comparison in comparisons]
        for name, column in zip(names, zip(*rows, strict=True), strict=True):
            result[f"dice/{stage}/{name}"], result[f"dice_sd/{stage}/{name}"] = mean_and_sd(column)
        result[f"mutual_information/{stage}"], _ = mean_and_sd([one.stages[index].metric for one in comparisons])
        result[f"used/{stage}"] = used[stage]
    return result


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def _rows(comparisons: Sequence[Comparison], classes: Sequence[str]) -> list[dict[str, str]]:
    rows = []
    for one in comparisons:
        source, target = one.pair.source, one.pair.target
        row = {name: Path(item["image"]).name for name, item in (("source", source), ("target", target))}
        row |= {key: str(source.get(key) or target.get(key) or "") for key in ("view", "phase")}
        row |= {"similarity": _number(one.pair.similarity), "scale": str(one.pair.scale), "stage": one.used}
        row["refused"] = "; ".join(f"{stage.name}: {stage.refused}" for stage in one.stages if stage.refused)
        for stage, dice in zip(one.stages, one.dice, strict=True):
            row[f"{stage.name}_mutual_information"] = _number(stage.metric)
            named = zip((*classes[1:], "mean"), _foreground(dice), strict=True)
            row |= {f"{stage.name}_{name}": _number(value) for name, value in named}
        rows.append(row)
    return rows


def _table(rows: Sequence[dict[str, str]], summary: dict[str, float], classes: Sequence[str], title: str) -> Table:
    names, stages = [*classes[1:], "mean"], [key.split("/")[1] for key in summary if key.startswith("used/")]
    keys = [(stage, "mean") for stage in stages[:-1]] + [(stages[-1], name) for name in names]
    table = Table(title=title)
    table.add_column("pair")
    table.add_column("used")
    for stage, name in keys:
        table.add_column("\n".join((stage, *name.split("_"))), justify="right")
    for number, row in enumerate(rows, start=1):
        table.add_row(str(number), row["stage"], *(row[f"{stage}_{name}"][:5] or "-" for stage, name in keys))
    table.add_section()
    for what, key in (("mean", "dice"), ("sd", "dice_sd")):
        cells = (summary[f"{key}/{stage}/{name}"] for stage, name in keys)
        table.add_row("", what, *("-" if math.isnan(value) else f"{value:.3f}" for value in cells))
    return table


def write_report(
    comparisons: Sequence[Comparison], classes: Sequence[str], folder: str | Path, title: str
) -> dict[str, float]:
    """Write `pairs.csv`, `summary.json` and `pairs.png`, and print the table.

    Args:
        comparisons: one or more.
        classes: names, background first.
        folder: of the report, created if missing.
        title: of the table.

    Returns:
        The summary, see `summarise`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows, summary = _rows(comparisons, classes), summarise(comparisons, classes)
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    finite = {name: None if math.isnan(value) else value for name, value in summary.items()}
    write_text(folder / "summary.json", json.dumps(finite, indent=2) + "\n")
    columns = []
    for number, one in enumerate(comparisons[:SHOWN], start=1):
        views = [one.target, one.source, one.carried, View(one.target.image, one.carried.classes)]
        cells = [(view.image / 255, view.classes) for view in views]
        columns.append((f"{number}: {one.used}, Dice {_foreground(one.dice[-1])[-1]:.2f}", cells))
    draw_examples(columns, ROWS, classes, folder / "pairs.png")
    console = Console(markup=False)
    console.print(_table(rows, summary, classes, title))
    console.print(f"{folder}: pairs.csv, summary.json, pairs.png", soft_wrap=True)
    return summary
