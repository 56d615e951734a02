"""Report an evaluation: tables in the terminal, one row per image, pictures, and an MLflow run of its own."""

from __future__ import annotations

import csv
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from rich.console import Console
from rich.table import Table

from ..atomic import remove_partial_files, whole_file, write_text
from ..engines.ending import report_once
from ..label_sets import COLUMNS
from ..wide_table import fit
from .evaluation import Evaluation
from .finished_run import log_finished_run
from .pictures import Examples

__all__ = ["EvaluationReport", "dice_table", "other_tables"]


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


def other_tables(metrics: Mapping[str, float]) -> list[Table]:
    """Return a table of the other metrics of each dataset and class, and one of those of each dataset.

    Args:
        metrics: with the keys `<metric>/<dataset>/<class>`, of which `<metric>_images/...` gives the number of images,
            and `<metric>/<dataset>`.

    Example:
        >>> metrics = {"asd_mm/a/lv": 1.25, "asd_mm_images/a/lv": 9.0, "ece/a": 0.02}
        >>> [[list(column.cells) for column in table.columns] for table in other_tables(metrics)]
        [[['a, lv'], ['1.25 (9)']], [['a'], ['0.02']]]
    """
    cells: list[dict[tuple[str, str], str]] = [{}, {}]
    for name, value in metrics.items():
        score, *place = name.split("/")
        if place and score != "dice" and not score.endswith("_images"):
            images = metrics.get("/".join([f"{score}_images", *place]))
            count = "" if images is None else f" ({images:.0f})"
            number = f"{value:.0f}" if score.endswith("_patients") else f"{value:.2f}"
            cells[len(place) == 1][", ".join(place), score] = number + count
    titles = "Other metrics of structures (images)", "Other metrics of datasets"
    return [_table(title, own) for title, own in zip(titles, cells, strict=True) if own]


def _table(title: str, cells: Mapping[tuple[str, str], str]) -> Table:
    scores = list(dict.fromkeys(score for _, score in cells))
    table = Table("", title=title)
    for score in scores:
        table.add_column(score.replace("_", "\n"), justify="right")
    for place in dict.fromkeys(place for place, _ in cells):
        table.add_row(place, *(cells.get((place, score), "-") for score in scores))
    return table


class EvaluationReport:
    """Evaluator handler; writes the files below, prints tables, and logs an MLflow run of its own.

    `dice.csv`, one row per image; `summary.json`, the metrics; `examples.png`; `predictions.npz`, the images of the
    picture (`Examples.save`); and last `evaluation.json`, which says what was evaluated. The same evaluation again
    replaces these files and its run; evaluations of other data, folds and weights have folders and runs of their own.

    Args:
        evaluation: what is evaluated.
        data: items of the datalist, in the loader's numbering.
        classes: names, background first.
        examples: attached to the same evaluator.
        experiment: MLflow's name for evaluations of weights whose training was not recorded.
        uri: tracking URI; None: that of the training.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        data: Sequence[Mapping[str, Any]],
        classes: Sequence[str],
        examples: Examples,
        experiment: str,
        uri: str | None = None,
    ) -> None:
        self.evaluation = evaluation
        self.data = data
        self.classes = classes
        self.examples = examples
        self.experiment = experiment
        self.uri = uri
        self._place = 0

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        report_once(engine)
        engine.add_event_handler(Events.STARTED, self._claim)
        engine.add_event_handler(Events.COMPLETED, self)

    def _claim(self, _: Engine) -> None:
        """Create the folder before the work, and stop if it cannot be written."""
        folder = self.evaluation.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                remove_partial_files(folder, alone=False)
        except OSError as error:
            remedy = "choose another --runs_dir"
            if self.evaluation.training:  # the report lies beside the weights, whatever --runs_dir is
                remedy = f"copy {self.evaluation.weights} and its record elsewhere, and give --checkpoint PATH"
            raise OSError(f"{folder} cannot be written ({error.strerror or error}); {remedy}.") from None
        self._place = folder.stat().st_ino

    def __call__(self, engine: Engine) -> None:
        """Write and print the report."""
        self.evaluation = self.evaluation.settled(self._place)
        folder, fold = self.evaluation.folder, self.evaluation.fold
        metrics = {name: float(value) for name, value in engine.state.metrics.items()}
        if math.isnan(metrics[engine.state.key_metric_name]):
            with suppress(OSError):  # not empty: of an earlier evaluation
                folder.rmdir()
            names = ", ".join(self.evaluation.data_names)
            raise ValueError(f"no image of the {fold} fold of {names} has a Dice; evaluate data that annotate a class.")
        folder.mkdir(parents=True, exist_ok=True)
        header, rows = self._rows(engine)
        with whole_file(folder / "dice.csv") as partial, partial.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        content = {name: None if math.isnan(value) else value for name, value in metrics.items()}
        write_text(folder / "summary.json", json.dumps(content, indent=2) + "\n")
        self.examples.draw(folder / "examples.png")
        self.examples.save(folder / "predictions.npz", self.data)
        write_text(folder / "evaluation.json", json.dumps(self.evaluation.facts, indent=1) + "\n")
        console = Console(markup=False)
        names = ", ".join(self.evaluation.data_names)
        title = f"Dice, {fold} fold of {names}"
        if self.evaluation.changes:
            title += f"\nwith {self.evaluation.said}"
        for table in (dice_table(metrics, title, self.classes), *other_tables(metrics)):
            console.print(fit(table, console))
        logged = self._log({f"{fold}/{name}": value for name, value in metrics.items()})
        console.print(f"{folder}: dice.csv, examples.png" + ("; logged in MLflow" if logged else ""), soft_wrap=True)

    def _rows(self, engine: Engine) -> tuple[list[str], list[list[Any]]]:
        """Return the header and a row per image: its Dice of each class, then the other scores as `<score>/<class>`."""
        details = engine.state.metric_details
        dice = details[engine.state.key_metric_name]
        columns = {label: dice["dice"][:, position] for position, label in enumerate(self.classes) if position}
        for own in details.values():
            for score, values in own.items():
                if score not in ("dice", "dataset", "index") and own["index"].equal(dice["index"]):
                    columns |= {
                        f"{score}/{label}": values[:, place] for place, label in enumerate(self.classes) if place
                    }
        rows = []
        for position, index in enumerate(dice["index"].tolist()):
            item = self.data[index]
            cells = (float(values[position]) for values in columns.values())
            origin = (item.get(key) for key in COLUMNS[1:])
            written = ["" if math.isnan(value) else f"{value:.4f}" for value in cells]
            rows.append([Path(item["image"]).name, *origin, *written])
        return [*COLUMNS, *columns], rows

    def _log(self, metrics: Mapping[str, float]) -> bool:
        """Log the run of this evaluation; return whether MLflow has it."""
        evaluation = self.evaluation
        tags = {
            "role": "evaluation",
            "data_checksum": evaluation.checksum,
            "fold": evaluation.fold,
            "weights": Path(evaluation.weights).name,
            **({"overrides": evaluation.deviation} if evaluation.deviation else {}),
        }
        origin = evaluation.training.name if evaluation.training else Path(evaluation.weights).stem
        name = f"{origin} on {'_'.join(evaluation.data_names)} {evaluation.fold}"
        run_id = log_finished_run(
            evaluation.folder,
            evaluation.uri(self.uri),
            evaluation.experiment(self.experiment),
            name,
            evaluation.parameters,
            metrics,
            tags=tags,
            inputs={evaluation.fold: self.data},
        )
        return run_id is not None
