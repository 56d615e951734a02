"""Settings of a report, from `configs/report.yaml` of a bundle: figures, tables and claims as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from ...spelling import did_you_mean
from ...strict_yaml import read_yaml
from .claims.verdicts import EXPECTATIONS
from .selection import Order, Where

__all__ = ["Claim", "Contrast", "FigureSettings", "ReportSettings", "read_settings"]

KINDS = ("boxes", "variability", "curves", "times", "examples", "amounts", "scores")
MARGIN = 0.03  # Dice
T = TypeVar("T")


@dataclass(frozen=True)
class FigureSettings:
    """A figure or table.

    Args:
        kind: one of `KINDS`; `amounts` and `scores` are tables.
        name: of its files, and its anchor on the page.
        title: above it.
        caption: description and source; numbers of patients and seeds are added.
        dataset: a name of the report's `datasets`, or a dataset; empty shows all.
        classes: to show; empty shows all.
        where: runs to show (`selection`), one mapping or several.
        x: column along the axis of boxes and curves: of the grid, "dataset" or "class".
        hue: column shown by the colour and hatching of boxes.
        reference: runs drawn as a horizontal line in curves.
        metric: further column of scores: a test metric, the mean over the datasets shown, and their classes if it has.
        metric_title: heading of that column.
    """

    kind: str
    name: str
    title: str
    caption: str = ""
    dataset: str = ""
    classes: Sequence[str] = ()
    where: Where | Sequence[Where] = field(default_factory=dict)
    x: str = "method"
    hue: str = "network"
    reference: Where = field(default_factory=dict)
    metric: str = ""
    metric_title: str = ""


@dataclass(frozen=True)
class Contrast:
    """A comparison of some runs with others.

    Args:
        of: runs of the claim (`selection`).
        against: runs to compare them with.
        expect: one of `EXPECTATIONS`.
        dataset: a name of the report's `datasets`, or a dataset.
        label: class.
    """

    of: Where
    against: Where
    expect: str
    dataset: str
    label: str


@dataclass(frozen=True)
class Claim:
    """A claim of a paper.

    Args:
        name: short, unique within the bundle.
        text: the claim as a sentence.
        source: paper and place.
        contrasts: comparisons, all of which must hold.
        margin: smallest difference that matters: Dice, or a fraction of the time.
        measure: "dice", or "seconds" per epoch.
    """

    name: str
    text: str
    source: str
    contrasts: Sequence[Contrast]
    margin: float
    measure: str


@dataclass(frozen=True)
class ReportSettings:
    """The report of a bundle.

    Args:
        experiment: MLflow's name.
        runs_dir: folder of its runs and reports.
        title: of the page.
        datasets: name -> datasets; the name stands for the first that has results.
        order: column -> its values, in the order and colours of all figures.
        figures: of the page.
        claims: of the page.
    """

    experiment: str
    runs_dir: Path
    title: str
    datasets: Mapping[str, Sequence[str]]
    order: Order
    figures: Sequence[FigureSettings]
    claims: Sequence[Claim]


def read_settings(bundle: Path) -> ReportSettings:
    """Read the report settings of a bundle.

    Raises:
        FileNotFoundError: if the bundle has no report.yaml or train.yaml.
        ValueError: for a setting that is unknown, missing or wrong.
    """
    path = bundle / "configs" / "report.yaml"
    if not (bundle / "configs" / "train.yaml").is_file():
        raise FileNotFoundError(f"{bundle} is not a bundle: {bundle / 'configs' / 'train.yaml'} is missing.")
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; state the figures and claims of the report there, as in "
            "bundles/echo_inter_domain/configs/report.yaml (see docs/extending.md)."
        )
    facts = read_yaml(bundle / "configs" / "train.yaml")
    given = read_yaml(path)
    margin = given.pop("margin", MARGIN)
    figures = [_make(FigureSettings, one, f"a figure of {path}") for one in given.pop("figures", [])]
    for figure in figures:
        _check("kind", figure.kind, KINDS, f"figure '{figure.name}' of {path}")
    claims = [_claim(one, margin, path) for one in given.pop("claims", [])]
    for names in ([one.name for one in figures], [one.name for one in claims]):
        if len(set(names)) < len(names):
            raise ValueError(f"{path} uses a name twice: {names}.")
    where = {"experiment": facts["experiment"], "runs_dir": Path(facts["runs_dir"])}
    whole = {"datasets": {}, "order": {}, **given, **where, "figures": figures, "claims": claims}
    return _make(ReportSettings, whole, str(path))


def _claim(given: Mapping[str, Any], margin: float, path: Path) -> Claim:
    culprit = f"claim '{given.get('name')}' of {path}"
    own = {"margin": margin, "measure": "dice", "contrasts": [], **given}
    where = own.pop("where", {})
    shared = {key: own.pop(key, "") for key in ("expect", "dataset", "class")}
    contrasts = []
    for one in own["contrasts"]:
        arms = {key: {**one.get(key, {}), **where} for key in ("of", "against")}
        whole = {**shared, **one, **arms}
        whole["label"] = whole.pop("class")
        contrasts.append(_make(Contrast, whole, culprit))
        _check("expect", contrasts[-1].expect, EXPECTATIONS, culprit)
    if not contrasts:
        raise ValueError(f"{culprit} needs contrasts.")
    _check("measure", own["measure"], ("dice", "seconds"), culprit)
    if isinstance(own["margin"], bool) or not isinstance(own["margin"], int | float) or not own["margin"] > 0:
        raise ValueError(f"{culprit}, margin: expected a number above 0, got {own['margin']!r}.")
    return _make(Claim, {**own, "contrasts": contrasts}, f"a claim of {path}")


def _check(name: str, value: str, allowed: Sequence[str], culprit: str) -> None:
    if value not in allowed:
        raise ValueError(f"{culprit}, {name}: expected one of {', '.join(allowed)}, got '{value}'.")


def _make(kind: type[T], given: Mapping[str, Any], culprit: str) -> T:
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            suggestion = did_you_mean(name, known)
            raise ValueError(f"{culprit} has no setting '{name}'.{suggestion} Known: {', '.join(sorted(known))}.")
    try:
        return kind(**given)
    except TypeError as error:
        raise ValueError(f"{culprit}: {str(error).removeprefix(f'{kind.__name__}.__init__() ')}.") from None
