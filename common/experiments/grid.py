"""The grid of a bundle: runs with the settings of one training each, from `configs/experiments.yaml`.

axes:                       # axes with named values; every other axis is a setting of the bundle
  method:
    marginal: {loss: marginal}
    pseudo-labels: {loss: categorical_ce, teacher: {train_on: [camus]}}
scales:
  demo:
    phantom: {patients: 40, size: 64}     # drawn if --data is not given; of volumes: patients, spacing, of
    settings: {epochs: 30, image_size: 64}
    search: {learning_rate: [0.1, 0.01]}  # optional: chosen per cell on the validation fold with the first seed
    grid:                                 # blocks, each the product of its axes
      - {method: [marginal, pseudo-labels], network: [unet], seed: [0, 1, 2]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from ..label_sets import COLUMNS
from ..spelling import did_you_mean
from ..strict_yaml import read_yaml

__all__ = ["TAKEN", "Grid", "Run", "check_scale", "read_grid", "stated_axes"]

SCALE_KEYS = ("phantom", "settings", "search", "grid")
TAKEN = (  # names that no axis may have: columns of the tables of results, and tags of runs in MLflow
    *COLUMNS,
    *("class", "dice", "mean_dice", "run_id", "artifact_uri", "seconds"),
    *("mean", "sd", "median", "median_sd", "seeds", "patients", "metric"),
    *("grid", "cell", "role", "run_hash", "outbox", "weights_digest"),
)


@dataclass(frozen=True)
class Run:
    """One training with its evaluation.

    Args:
        cell: its place in the grid, axis -> value.
        settings: of the bundle, that differ from its configuration.
        role: "result", "teacher" or "search".
        teacher: whose predictions complete the annotation of this training.
        candidates: trainings of which the best on the validation fold decides the settings named in `search`.
        search: names of those settings.
    """

    cell: Mapping[str, Any]
    settings: Mapping[str, Any]
    role: str = "result"
    teacher: Run | None = None
    candidates: tuple[Run, ...] = field(default=(), repr=False)
    search: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """A readable name for folders, not unique.

        Example:
            >>> Run({"method": "aCCE", "network": "unet", "label_dropout": 0.4, "seed": 1}, {}).name
            'aCCE_unet_label_dropout0.4_seed1'
        """
        plain = {"method", "network"}
        parts = [str(value) if axis in plain else f"{axis}{value}" for axis, value in self.cell.items()]
        return "_".join(parts).replace(" ", "-").replace("/", "-")


@dataclass(frozen=True)
class Grid:
    """The runs of a bundle at one scale.

    Args:
        phantom: patients per domain, and image side in pixels (hearts) or spacing in mm (volumes, `of` pelvis or
            atria), of the phantom that is drawn without data.
        runs: with role "result", and their teachers and candidates.
    """

    phantom: Mapping[str, Any]
    runs: tuple[Run, ...]


def read_grid(bundle: Path, scale: str, given: Mapping[str, Any] | None = None) -> Grid:
    """Read the grid of a bundle.

    Args:
        bundle: folder with configs/experiments.yaml.
        scale: one of its `scales`.
        given: settings that replace those of the scale; the settings of a cell replace both.

    Raises:
        FileNotFoundError: if the bundle has no experiments.yaml.
        ValueError: if the scale, a key or a value of an axis is unknown, or every cell replaces a given setting.
    """
    path = bundle / "configs" / "experiments.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; it states the grid of the bundle.")
    content = read_yaml(path)
    scales, axes = content["scales"], content.get("axes", {})
    if scale not in scales:
        raise ValueError(f"{path}: expected a scale of {list(scales)}, got {scale!r}.")
    own = scales[scale]
    if unknown := sorted(set(own) - set(SCALE_KEYS)):
        raise ValueError(f"{path}: scale {scale!r} has the unknown keys {unknown}; allowed: {', '.join(SCALE_KEYS)}.")
    _check_lists(own, f"{path}, scale {scale!r}")
    settings, search = _merge(own.get("settings", {}), given or {}), own.get("search", {})
    runs = [
        _with_candidates(run, search, block.get("seed", [0])[0])
        for block in own["grid"]
        for run in _unfold(block, axes, settings, path)
    ]
    for name in given or ():
        rest = {key: value for key, value in settings.items() if key != name}
        same = [run for block in own["grid"] for run in _unfold(block, axes, rest, path)]
        if name in search or all(one.settings == run.settings for one, run in zip(same, runs, strict=True)):
            raise ValueError(f"--{name} has no effect: every training of scale {scale!r} states its own; see {path}.")
    return Grid(own.get("phantom", {}), tuple(runs))


def check_scale(bundles: Sequence[Path], scale: str) -> None:
    """Check that the grid of any of some bundles has a scale.

    Raises:
        ValueError: if none has, with the names of those that there are.
    """
    paths = [path for bundle in bundles if (path := bundle / "configs" / "experiments.yaml").is_file()]
    known = list(dict.fromkeys(name for path in paths for name in read_yaml(path)["scales"]))
    if paths and scale not in known:
        raise ValueError(f"expected a scale of {known}, got {scale!r}.")


def stated_axes(bundle: Path) -> dict[str, list[Any]]:
    """Return the values of every axis of the grid of a bundle, named or in any scale; empty without a grid."""
    path = bundle / "configs" / "experiments.yaml"
    content = read_yaml(path) if path.is_file() else {"scales": {}}
    axes = {axis: list(values) for axis, values in content.get("axes", {}).items()}
    for scale, own in content["scales"].items():
        _check_lists(own, f"{path}, scale {scale!r}")
        for axis, values in [pair for block in own["grid"] for pair in block.items()]:
            axes.setdefault(axis, []).extend(value for value in values if value not in axes[axis])
    return axes


def _check_lists(own: Mapping[str, Any], culprit: str) -> None:
    """Refuse a scale whose blocks, or the values of whose axes, are not lists, and names of axes that are `TAKEN`."""
    blocks = own.get("grid")
    if not isinstance(blocks, list) or not all(isinstance(block, Mapping) and block for block in blocks):
        raise ValueError(f"{culprit}: grid is {blocks!r}, expected a list of blocks such as - {{loss: [marginal]}}.")
    for key in ("phantom", "settings", "search"):
        if not isinstance(own.get(key, {}), Mapping):
            raise ValueError(f"{culprit}: {key} is {own[key]!r}, expected names with values.")
    for axis, values in [pair for block in [*blocks, own.get("search", {})] for pair in block.items()]:
        if axis in TAKEN:
            raise ValueError(f"{culprit}: the axis {axis!r} has the name of a column of the results; rename it.")
        if not isinstance(values, list) or not values:
            raise ValueError(f"{culprit}: {axis} is {values!r}, expected a list of values: {axis}: [...].")


def _merge(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Join settings, and mappings of the same name in them; an empty mapping replaces the earlier one."""
    joined = dict(first)
    for name, value in second.items():
        both = isinstance(value, Mapping) and isinstance(joined.get(name), Mapping) and value
        joined[name] = {**joined[name], **value} if both else value
    return joined


def _unfold(
    block: Mapping[str, Sequence[Any]], axes: Mapping[str, Mapping[Any, Any]], own: Mapping[str, Any], path: Path
) -> Iterator[Run]:
    for values in product(*block.values()):
        cell = dict(zip(block, values, strict=True))
        settings, teacher = dict(own), None
        for axis, value in cell.items():
            part = dict(_named(axes[axis], value, axis, path)) if axis in axes else {axis: value}
            teacher = part.pop("teacher", teacher)
            settings = _merge(settings, part)
        if teacher is None:
            yield Run(cell, settings)
        else:
            first = Run({**cell, "method": "teacher"}, _merge(settings, teacher), role="teacher")
            yield Run(cell, settings, teacher=first)


def _named(values: Mapping[Any, Mapping[str, Any]], value: Any, axis: str, path: Path) -> Mapping[str, Any]:
    if value not in values:
        suggestion = did_you_mean(value, values)
        raise ValueError(f"{path}: axis {axis!r} has no {value!r}.{suggestion} Known: {', '.join(map(str, values))}.")
    return values[value]


def _with_candidates(run: Run, search: Mapping[str, Sequence[Any]], seed: int) -> Run:
    choices = [dict(zip(search, values, strict=True)) for values in product(*search.values())] if search else []
    cell = {**run.cell, "seed": seed}
    candidates = tuple(
        replace(run, cell={**cell, **choice}, settings={**run.settings, "seed": seed, **choice}, role="search")
        for choice in choices
    )
    return replace(run, candidates=candidates, search=tuple(search))
