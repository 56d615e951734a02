"""Refuse names in report.yaml that nothing has: a claim on a misspelt name would have no results, without a reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...datasets.catalogue import dataset_names
from ...label_sets import COLUMNS
from ...spelling import did_you_mean
from ...strict_yaml import read_yaml
from ..grid import stated_axes
from .results import Results
from .selection import Where
from .settings import FigureSettings, ReportSettings

__all__ = ["check_names"]

WORD = re.compile(r"lowest|highest|best|level \d+")
OF_FIGURES = tuple(FigureSettings.__dataclass_fields__[name].default for name in ("x", "hue"))  # a grid may lack them


def check_names(settings: ReportSettings, bundle: Path, results: Results | None) -> None:
    """Refuse datasets, classes, columns of the grid, their values and metrics that neither bundle nor results have.

    What the grid of the bundle states but did not run stays, and so do numbers: results of it are missing. A list of
    datasets, of which the first with results counts, may name others.

    Args:
        settings: of the report.
        bundle: its folder.
        results: of its grid, if there are any.

    Raises:
        ValueError: with the name, where it is, and the names that there are.
    """
    path = bundle / "configs" / "report.yaml"
    images = {} if results is None else {name: results.images[name].unique() for name in ("class", "dataset")}
    classes = [*_stated(bundle, "train", "classes")[1:], *images.get("class", ())]
    metrics = _metrics(bundle, results)
    axes = {axis: [*values] for axis, values in stated_axes(bundle).items()}
    for axis in results.cell if results else ():
        axes.setdefault(axis, []).extend(results.runs[axis].dropna().unique() if results else ())
    columns = [*axes, "class", *COLUMNS, *read_yaml(bundle / "configs" / "train.yaml")]
    datasets = [*settings.datasets, *dataset_names(), *images.get("dataset", ())]
    for culprit, where in _choices(settings):
        for column, value in where.items():
            _check(column, columns, f"{path}, {culprit}: column", bool(axes))
            known = {**axes, "class": classes}.get(column, [])
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str) and not WORD.fullmatch(one):  # numbers are not misspelt
                    _check(one, known, f"{path}, {culprit}: {column}", bool(known))
    for name, own in settings.datasets.items() if results else ():
        if not set(own) & set(images["dataset"]):
            for one in own:
                _check(one, datasets[len(settings.datasets) :], f"{path}, datasets: {name}")
    for figure in settings.figures:
        culprit = f"{path}, figure '{figure.name}'"
        for label in figure.classes:
            _check(label, classes, f"{culprit}: class", bool(classes))
        for column in {figure.x, figure.hue} - {*OF_FIGURES}:
            _check(column, columns, f"{culprit}: column", bool(axes))
        if figure.metric:
            _check(figure.metric, metrics, f"{culprit}: metric", bool(metrics))
        if figure.dataset and results:
            _check(figure.dataset, datasets, f"{culprit}: dataset")
    for claim in settings.claims:
        for contrast in claim.contrasts if claim.measure == "dice" else ():
            _check(contrast.label, classes, f"{path}, claim '{claim.name}': class", bool(classes))
            if results:
                _check(contrast.dataset, datasets, f"{path}, claim '{claim.name}': dataset")


def _stated(bundle: Path, workflow: str, setting: str) -> list[str]:
    """Return the names that a setting of a workflow of the bundle holds; empty if it is an expression."""
    path = bundle / "configs" / f"{workflow}.yaml"
    value = read_yaml(path).get(setting) if path.is_file() else None
    return list(value) if isinstance(value, list | Mapping) else []


def _metrics(bundle: Path, results: Results | None) -> list[str]:
    measured = [name.split("/")[0] for name in results.runs if "/" in name] if results else []
    return list(dict.fromkeys([*_stated(bundle, "evaluate", "other_metrics"), *measured]))


def _choices(settings: ReportSettings) -> Iterator[tuple[str, Where]]:
    """Yield every choice of runs, and where it stands."""
    for figure in settings.figures:
        own = figure.where if isinstance(figure.where, list | tuple) else [figure.where]
        for where in [*own, figure.reference]:
            yield f"figure '{figure.name}'", dict(where)
    for claim in settings.claims:
        for contrast in claim.contrasts:
            yield from ((f"claim '{claim.name}'", where) for where in (contrast.of, contrast.against))


def _check(name: str, known: Iterable[Any], culprit: str, knowable: bool = True) -> None:
    """Refuse a name that is not known; nothing is refused unless it is `knowable`."""
    known = list(dict.fromkeys(map(str, known)))
    if knowable and name not in known:
        hint = did_you_mean(name, known)
        raise ValueError(f"{culprit} {name!r} is unknown.{hint} There are: {', '.join(known)}.")
