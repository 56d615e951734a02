"""The grid of a bundle: `configs/experiments.yaml` unfolded into runs, each with the settings of one training.

axes:                       # an axis of named values; any other axis is a setting of the bundle
  method:
    marginal: {loss: marginal}
    pseudo-labels: {loss: categorical_ce, teacher: {train_on: [camus]}}
scales:
  demo:
    phantom: {patients: 40, size: 64}     # drawn where no --data is given
    settings: {epochs: 30, image_size: 64}
    search: {learning_rate: [0.1, 0.01]}  # optional: chosen for each cell by the validation fold, first seed
    grid:                                 # blocks; each is the product of its axes
      - {method: [marginal, pseudo-labels], network: [unet], seed: [0, 1, 2]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from ..spelling import did_you_mean

__all__ = ["Grid", "Run", "merged", "read_grid"]

SCALE_KEYS = ("phantom", "settings", "search", "grid")


@dataclass(frozen=True)
class Run:
    """One training with its evaluation.

    Args:
        cell: what tells it from the others of the grid, axis -> value.
        settings: of the bundle, that differ from its configuration.
        role: "result", "teacher" or "search".
        teacher: whose predictions fill in what the annotation of this training lacks.
        candidates: trainings among which the best on the validation fold decides the settings named in `search`.
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
        """A name for folders and people, not unique.

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
        bundle: its folder.
        scale: name of the scale.
        phantom: patients in each domain and pixels a side of the phantom that is drawn where no data are given.
        runs: with role "result"; teachers and searches hang on them.
    """

    bundle: Path
    scale: str
    phantom: Mapping[str, int]
    runs: tuple[Run, ...]


def merged(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Join settings; where two parts hold a mapping under one name, the mappings are joined.

    Example:
        >>> merged({"images": {"a": 1}, "epochs": 3}, {"images": {"b": 2}, "epochs": 5})
        {'images': {'a': 1, 'b': 2}, 'epochs': 5}
    """
    joined: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            both = isinstance(value, Mapping) and isinstance(joined.get(name), Mapping) and value
            joined[name] = {**joined[name], **value} if both else value
    return joined


def read_grid(bundle: Path, scale: str) -> Grid:
    """Read and unfold the grid of a bundle.

    Args:
        bundle: folder with configs/experiments.yaml.
        scale: one of its `scales`.

    Raises:
        FileNotFoundError: if the bundle has no experiments.yaml.
        ValueError: if the scale, a key or a value of an axis is unknown.
    """
    path = bundle / "configs" / "experiments.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; a bundle with experiments states its grid there.")
    content = yaml.safe_load(path.read_text())
    scales, axes = content["scales"], content.get("axes", {})
    if scale not in scales:
        raise ValueError(f"{path}: there is no scale {scale!r}; there are {list(scales)}.")
    if unknown := set(scales[scale]) - set(SCALE_KEYS):
        raise ValueError(f"{path}: scale {scale!r} has the unknown keys {sorted(unknown)}; known are {SCALE_KEYS}.")
    own, search = scales[scale].get("settings", {}), scales[scale].get("search", {})
    runs = [
        _searched(run, search, block.get("seed", [0])[0])
        for block in scales[scale]["grid"]
        for run in _unfold(block, axes, own, path)
    ]
    return Grid(bundle, scale, scales[scale].get("phantom", {}), tuple(runs))


def _unfold(
    block: Mapping[str, Sequence[Any]], axes: Mapping[str, Mapping[Any, Any]], own: Mapping[str, Any], path: Path
) -> Iterator[Run]:
    for values in product(*block.values()):
        cell = dict(zip(block, values, strict=True))
        parts, teacher = [own], None
        for axis, value in cell.items():
            part = _named(axes[axis], value, axis, path) if axis in axes else {axis: value}
            teacher = part.get("teacher", teacher)
            parts.append({name: setting for name, setting in part.items() if name != "teacher"})
        settings = merged(*parts)
        if teacher is None:
            yield Run(cell, settings)
        else:
            taught = Run({**cell, "method": "teacher"}, merged(settings, teacher), role="teacher")
            yield Run(cell, settings, teacher=taught)


def _named(values: Mapping[Any, Any], value: Any, axis: str, path: Path) -> Mapping[str, Any]:
    if value not in values:
        raise ValueError(f"{path}: axis {axis!r} has no {value!r}.{did_you_mean(value, values)} It has {list(values)}.")
    named: Mapping[str, Any] = values[value]
    return named


def _searched(run: Run, search: Mapping[str, Sequence[Any]], seed: int) -> Run:
    if not search:
        return run
    choices = [dict(zip(search, values, strict=True)) for values in product(*search.values())]
    cell = {**run.cell, "seed": seed}
    candidates = tuple(
        replace(run, cell={**cell, **choice}, settings={**run.settings, "seed": seed, **choice}, role="search")
        for choice in choices
    )
    return replace(run, candidates=candidates, search=tuple(search))
