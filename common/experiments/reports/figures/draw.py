"""Draw a figure, or make a table, from its settings and the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from ..claims.contrasts import dataset_of
from ..patients import cell_scores, patient_scores
from ..results import Results, read_predictions
from ..selection import choose, list_values
from ..settings import FigureSettings, ReportSettings
from ..tables import Table, amounts_tables, scores_table
from .boxes import draw_boxes
from .examples import draw_predictions
from .networks import draw_curves, draw_times, draw_variability
from .style import NothingToDraw, words

__all__ = ["Drawn", "draw"]

Shown = tuple[pd.DataFrame, Figure | list[Table]]


@dataclass(frozen=True)
class Drawn:
    """A figure or tables, the numbers that they show, their datasets, and the counts of patients, runs and seeds."""

    numbers: pd.DataFrame
    shown: Figure | list[Table]
    datasets: Sequence[str]
    patients: int
    runs: int
    seeds: int


def draw(wanted: FigureSettings, results: Results, settings: ReportSettings) -> Drawn:
    """Draw one figure, or make one table.

    Raises:
        NothingToDraw: if the results lack what it shows; the message names it.
    """
    images = choose(_of_classes(wanted, results, settings), wanted.where, results.runs)
    if images.empty:
        names = settings.datasets.get(wanted.dataset, [wanted.dataset] if wanted.dataset else [])
        what = [f"classes {', '.join(wanted.classes)}"] * bool(wanted.classes)
        what += [f"dataset {' or '.join(names)}"] * bool(names) + [str(wanted.where)] * bool(wanted.where)
        raise NothingToDraw(f"There are no results for {'; '.join(what) or 'this figure'}.")
    needed = {"boxes": (wanted.x, wanted.hue), "scores": ("method",)}.get(wanted.kind, ("method", "network"))
    for column in needed:
        if column not in images:
            raise NothingToDraw(f"The grid of this scale does not vary {words(column)}.")
    images = images if "seed" in images else images.assign(seed=0)  # a grid of one training in each cell
    kinds = {"boxes": _boxes, "times": _times, "examples": _examples, "scores": _scores}
    numbers, shown = kinds.get(wanted.kind, _over_seeds)(wanted, images, results, settings)
    patients = len(images[["dataset", "patient"]].drop_duplicates())
    if wanted.kind == "examples":  # shows only some of the runs
        images = images[images["run_id"].isin(numbers["run_id"])]
    runs, seeds = (int(images[column].nunique()) for column in ("run_id", "seed"))
    return Drawn(numbers, shown, list(dict.fromkeys(images["dataset"])), patients, runs, seeds)


def _of_classes(wanted: FigureSettings, results: Results, settings: ReportSettings) -> pd.DataFrame:
    images = results.images[results.images["dice"].notna()]
    if wanted.classes:
        images = images[images["class"].isin(wanted.classes)]
    if wanted.dataset:
        label = wanted.classes[0] if wanted.classes else ""
        images = images[images["dataset"] == dataset_of(wanted.dataset, results, settings, label)]
    return images


def _boxes(wanted: FigureSettings, images: pd.DataFrame, _: Results, settings: ReportSettings) -> Shown:
    columns = list(dict.fromkeys([wanted.x, wanted.hue, "class"]))
    scores = patient_scores(images, columns)
    order = {**settings.order, "class": [*dict.fromkeys(images["class"]), "mean"]}
    if len(order["class"]) > 2:  # several classes: add their mean
        overall = patient_scores(scores.assign(image=scores["class"]), [wanted.x, wanted.hue])
        scores = pd.concat([scores, overall.assign(**{"class": "mean"})], ignore_index=True)
    numbers = scores.groupby(columns, observed=True)["dice"].describe().reset_index()
    figure = draw_boxes(scores, wanted.x, wanted.hue, order)
    return numbers.rename(columns={"count": "patients", "std": "sd", "50%": "median"}), figure


def _times(_: FigureSettings, images: pd.DataFrame, results: Results, settings: ReportSettings) -> Shown:
    runs = results.runs[results.runs["run_id"].isin(images["run_id"])]
    return runs[["run_id", *results.cell, "seconds"]], draw_times(runs, settings.order)


def _examples(_: FigureSettings, images: pd.DataFrame, results: Results, settings: ReportSettings) -> Shown:
    """Show the first network, and the run of each method with the lowest seed."""
    network = list_values(images, "network", settings.order)[0]
    own = images[images["network"] == network]
    used, predictions = [], {}
    for method in list_values(own, "method", settings.order):
        runs = own[own["method"] == method]
        run_id = runs[runs["seed"] == runs["seed"].min()]["run_id"].mode()[0]  # the setting that most patients have
        arrays = read_predictions(results, run_id)
        if arrays is not None:
            predictions[words(method)] = arrays
            used.append(run_id)
    numbers = results.runs[results.runs["run_id"].isin(used)][["run_id", *results.cell]]
    return numbers, draw_predictions(predictions, list(dict.fromkeys(images["dataset"])))


def _scores(wanted: FigureSettings, images: pd.DataFrame, results: Results, settings: ReportSettings) -> Shown:
    cells = cell_scores(images, results.cell, by=["class"])
    places = images[["dataset", "class"]].drop_duplicates().itertuples(index=False)
    names = [
        name for place, label in places for name in (f"{wanted.metric}/{place}", f"{wanted.metric}/{place}/{label}")
    ]
    measured = [name for name in dict.fromkeys(names) if name in results.runs]
    if measured:  # of datasets, or of their classes; without a value where one of them is undefined
        heads = [column for column in results.cell if column != "seed"]
        values = results.runs.assign(metric=results.runs[measured].mean(axis=1, skipna=False))
        metric = values.groupby(heads, dropna=False)["metric"].mean().reset_index()
        cells = cells.merge(metric, on=heads, how="left")
    return cells, [scores_table(cells, list(dict.fromkeys(images["class"])), settings.order, wanted.metric_title)]


def _over_seeds(wanted: FigureSettings, images: pd.DataFrame, results: Results, settings: ReportSettings) -> Shown:
    cells = cell_scores(images, results.cell)
    if wanted.kind == "amounts":
        if not {"full", "partial"} <= set(cells):
            raise NothingToDraw("The grid of this scale does not vary the numbers of images, full and partial.")
        return cells, amounts_tables(cells, settings.order)
    if wanted.kind == "variability":
        return cells, draw_variability(cells, settings.order)
    reference = None
    if wanted.reference:
        rows = choose(_of_classes(wanted, results, settings), wanted.reference, results.runs)
        reference = cell_scores(rows, results.cell)
    return pd.concat([cells, reference]), draw_curves(cells, wanted.x, reference, settings.order)
