"""Report an evaluation: a table in the terminal, one row per image, pictures, and metrics in MLflow."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from rich.console import Console
from rich.table import Table

from ..atomic import whole_file, write_text
from ..wide_table import fit
from .finished_run import log_to_run
from .pictures import Examples

__all__ = ["EvaluationReport", "dice_table"]


def dice_table(metrics: Mapping[str, float], title: str, classes: Sequence[str]) -> Table:
    """Return a table of datasets and foreground classes.

    Args:
        metrics: with the keys `dice/<dataset>/<class>`; a missing pair is shown as a dash.
        title: of the table.
        classes: names, background first.
    """
    table = Table(title=title)
    table.add_column("dataset")
    for label in (*classes[1:], "mean"):
        table.add_column(label, justify="right")
    for dataset in dict.fromkeys(name.split("/")[1] for name in metrics if name.startswith("dice/")):
        values = [metrics.get(f"dice/{dataset}/{label}", math.nan) for label in classes[1:]]
        known = [value for value in values if not math.isnan(value)]
        mean = sum(known) / len(known) if known else math.nan
        cells = ["-" if math.isnan(value) else f"{value:.3f}" for value in (*values, mean)]
        table.add_row(dataset, *cells)
    return table


class EvaluationReport:
    """Evaluator handler; writes the files below and prints the table.

    `<fold>_dice.csv`, one row per image; `<fold>_summary.json`; `<fold>_examples.png`; `<fold>_predictions.npz`, the
    images of the picture (`Examples.save`).

    Args:
        folder: of the report; if it belongs to a training, its MLflow run receives the metrics as `<fold>/...`.
        fold: name of the fold.
        data: items of the datalist, in the loader's numbering.
        classes: names, background first.
        examples: attached to the same evaluator.
    """

    def __init__(
        self,
        folder: str | Path,
        fold: str,
        data: Sequence[Mapping[str, Any]],
        classes: Sequence[str],
        examples: Examples,
    ) -> None:
        self.folder = Path(folder)
        self.fold = fold
        self.data = data
        self.classes = classes
        self.examples = examples

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write and print the report."""
        self.folder.mkdir(parents=True, exist_ok=True)
        metrics = {name: float(value) for name, value in engine.state.metrics.items()}
        rows = self.folder / f"{self.fold}_dice.csv"
        with whole_file(rows) as partial, partial.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "dataset", "patient", "view", "phase", *self.classes[1:]])
            details = engine.state.metric_details[engine.state.key_metric_name]
            for index, dice in zip(details["index"].tolist(), details["dice"].tolist(), strict=True):
                item = self.data[index]
                cells = ["" if math.isnan(value) else f"{value:.4f}" for value in dice[1:]]
                origin = (item.get(key) for key in ("dataset", "patient", "view", "phase"))
                writer.writerow([Path(item["image"]).name, *origin, *cells])
        summary = self.folder / f"{self.fold}_summary.json"
        content = {name: None if math.isnan(value) else value for name, value in metrics.items()}
        write_text(summary, json.dumps(content, indent=2) + "\n")
        pictures, predictions = (self.folder / f"{self.fold}_{name}" for name in ("examples.png", "predictions.npz"))
        self.examples.draw(pictures)
        self.examples.save(predictions, self.data)
        console = Console()
        console.print(fit(dice_table(metrics, f"Dice, {self.fold} fold", self.classes), console))
        files = [rows, summary, pictures, predictions]
        logged = log_to_run(self.folder, {f"{self.fold}/{name}": value for name, value in metrics.items()}, files)
        console.print(f"{rows}, {pictures}" + ("; logged in MLflow" if logged else ""), soft_wrap=True)
