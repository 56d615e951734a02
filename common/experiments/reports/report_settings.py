"""What a bundle's `configs/report.yaml` may say: figures, tables and claims as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ...spelling import did_you_mean
from .claims.verdicts import EXPECTATIONS

__all__ = ["Claim", "Contrast", "FigureSettings", "ReportSettings", "read_settings"]

KINDS = ("boxes", "variability", "curves", "times", "examples", "amounts", "scores")
MARGIN = 0.03  # Dice
Where = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class FigureSettings:
    """A figure or table.

    Args:
        kind: one of `KINDS`; `amounts` and `scores` are tables.
        name: of its files, and its anchor on the page.
        title: above it.
        caption: what is shown and where it comes from; numbers of patients and seeds are added.
        dataset: a name of the report's `datasets`, or a dataset; empty shows all.
        classes: to show; empty shows all.
        where: runs to show (`selection`), one mapping or several.
        x: of boxes and curves: column of the grid, or "dataset" or "class", along the axis.
        hue: of boxes: column told apart by colour and hatching.
        panel: of boxes: column with a panel each.
        reference: of curves: runs drawn as a line across.
        metric: of scores: a measurement of the test to add as a column, without its dataset.
        metric_title: of scores: heads that column.
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
    panel: str = "class"
    reference: Where = field(default_factory=dict)
    metric: str = ""
    metric_title: str = ""


@dataclass(frozen=True)
class Contrast:
    """Some runs against others.

    Args:
        of: runs whose difference is claimed (`selection`).
        against: runs it is taken to.
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
    """A sentence of a paper, and the contrasts that it stands on.

    Args:
        name: short, unique within the bundle.
        text: the claim.
        source: where it is made.
        contrasts: all of which must hold.
        margin: that matters: Dice, or a share where `measure` is seconds.
        measure: "dice", or "seconds" an epoch.
    """

    name: str
    text: str
    source: str
    contrasts: Sequence[Contrast]
    margin: float
    measure: str


@dataclass(frozen=True)
class ReportSettings:
    """A bundle's report.

    Args:
        experiment: MLflow's name.
        runs_dir: where its runs, and its reports, lie.
        title: of the page.
        datasets: a name -> datasets, of which it stands for the first that has results.
        order: column -> its values in the order in which figures show, and colour, them.
        figures: of the page.
        claims: of the page.
    """

    experiment: str
    runs_dir: Path
    title: str
    datasets: Mapping[str, Sequence[str]]
    order: Mapping[str, Sequence[Any]]
    figures: Sequence[FigureSettings]
    claims: Sequence[Claim]


def read_settings(bundle: Path) -> ReportSettings:
    """Read the report of a bundle.

    Raises:
        FileNotFoundError: if the bundle has no report.yaml or bundle.yaml.
        ValueError: for a setting that does not exist, is missing or impossible.
    """
    path = bundle / "configs" / "report.yaml"
    facts = yaml.safe_load((bundle / "configs" / "bundle.yaml").read_text())
    given = yaml.safe_load(path.read_text())
    margin = given.pop("margin", MARGIN)
    figures = [_made(FigureSettings, one, f"a figure of {path}") for one in given.pop("figures", [])]
    for figure in figures:
        if figure.kind not in KINDS:
            raise ValueError(f"figure '{figure.name}' of {path} has kind '{figure.kind}', must be one of {KINDS}.")
    claims = [_claim(one, margin, path) for one in given.pop("claims", [])]
    for names in ([one.name for one in figures], [one.name for one in claims]):
        if len(set(names)) < len(names):
            raise ValueError(f"{path} uses a name twice: {names}.")
    where = {"experiment": facts["experiment"], "runs_dir": Path(facts["runs_dir"])}
    whole = {"datasets": {}, "order": {}, **given, **where, "figures": figures, "claims": claims}
    return _made(ReportSettings, whole, str(path))


def _claim(given: Mapping[str, Any], margin: float, path: Path) -> Claim:
    own = {"margin": margin, "measure": "dice", **given}
    shared = {key: own.pop(key, "") for key in ("expect", "dataset", "class")}
    where = own.pop("where", {})
    contrasts = []
    for one in own.pop("contrasts", []):
        arms = {key: {**one.get(key, {}), **where} for key in ("of", "against")}
        told = {**shared, **one, **arms}
        told["label"] = told.pop("class")
        contrast = _made(Contrast, told, f"claim '{own.get('name')}' of {path}")
        if contrast.expect not in EXPECTATIONS:
            raise ValueError(
                f"claim '{own.get('name')}' of {path} expects '{contrast.expect}', must be one of {EXPECTATIONS}."
            )
        contrasts.append(contrast)
    if own["measure"] not in ("dice", "seconds") or not contrasts:
        raise ValueError(f"claim '{own.get('name')}' of {path} needs contrasts, and as its measure dice or seconds.")
    return _made(Claim, {**own, "contrasts": contrasts}, f"a claim of {path}")


def _made(kind: type[T], given: Mapping[str, Any], culprit: str) -> T:
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            raise ValueError(f"{culprit} has no setting '{name}'.{did_you_mean(name, known)} It has {sorted(known)}.")
    try:
        return kind(**given)
    except TypeError as error:
        raise ValueError(f"{culprit}: {str(error).removeprefix(f'{kind.__name__}.__init__() ')}.") from None
