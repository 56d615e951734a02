"""What an evaluation is: weights, data, fold and overrides; each has a folder of its own."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ..identity import digest
from .client import address, tracking_uri
from .outbox import RUN_FILE, Outbox, read_outbox, read_run

__all__ = ["Evaluation", "logged_run"]

LOGGER = logging.getLogger(__name__)
UNNAMED = ("weights", "seen")  # of a record: what the digest of the weights stands for
OF_TRAINING = ("model.pt", "last.pt")  # weights that a training writes
TRAINING = ("history.json", "config.yaml", RUN_FILE)  # files that mark the folder of a training
LONGEST = 60  # characters of the names of data in the name of a folder


def logged_run(folder: Path) -> dict[str, str]:
    """Return id and tracking URI of the MLflow run of a folder (`run_id`, `tracking_uri`); empty if it has none."""
    run = read_run(folder) or {}
    return {name: str(run[name]) for name in ("run_id", "tracking_uri") if name in run}


@dataclass(frozen=True)
class Evaluation:
    """Weights, data and fold of an evaluation, and what it does in another way than the bundle.

    Args:
        weights: path of the weights.
        weights_digest: SHA-256 of their bytes.
        record: of the weights, with what was stated by hand.
        data: prepared folders.
        checksum: of their content.
        renamed: classes of the data that count as others.
        fold: that is evaluated.
        runs_dir: folder of the trainings of the bundle; evaluations of other weights lie there.
        overrides: settings that change the result, name -> value (`given_changes`).

    Example:
        >>> record = {"classes": ["background", "lv"]}
        >>> Evaluation("w.pt", "0123456789ab", record, "data/clinic", "ba7816bf8f01", {}, "test", "runs/b").folder
        PosixPath('runs/b/evaluations/clinic-ba7816bf-test-d5f3dbf3')
    """

    weights: str | Path
    weights_digest: str
    record: Mapping[str, Any]
    data: str | Path | Iterable[str | Path]
    checksum: str
    renamed: Mapping[str, str] | None
    fold: str
    runs_dir: str | Path
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def data_names(self) -> list[str]:
        """Names of the prepared folders."""
        folders = [self.data] if isinstance(self.data, str | Path) else self.data
        return sorted(Path(folder).resolve().name for folder in folders)

    @cached_property
    def training(self) -> Path | None:
        """Folder of the training that wrote the weights; None if they are from elsewhere."""
        weights = Path(self.weights)
        wrote = weights.name in OF_TRAINING and any((weights.parent / name).is_file() for name in TRAINING)
        return weights.parent if wrote else None

    @cached_property
    def folder(self) -> Path:
        """Folder of the evaluation: another for other data, meanings, folds, weights, records or overrides."""
        names = re.sub(r"[^\w.-]+", "_", "_".join(self.data_names))[:LONGEST]
        data = digest(self.checksum, json.dumps(self.renamed, sort_keys=True)) if self.renamed else self.checksum
        record = {name: value for name, value in self.record.items() if name not in UNNAMED}
        weights = digest(self.weights_digest, json.dumps(record, sort_keys=True))
        others = [digest(json.dumps(self.changes, sort_keys=True))[:8]] if self.changes else []
        root = Path(self.runs_dir) if self.training is None else self.training
        return root / "evaluations" / "-".join([names, data[:8], self.fold, weights[:8], *others])

    @cached_property
    def changes(self) -> dict[str, Any]:
        """The overrides without those of `networks` if the record states the architecture: they agree with it."""
        known = "architecture" in self.record
        return {name: value for name, value in self.overrides.items() if not (known and name.startswith("networks::"))}

    def settled(self, place: int) -> Evaluation:
        """Return this evaluation where its training lies now: another of its name may have set it aside meanwhile.

        Args:
            place: inode of `folder` when the evaluation started, which a renamed folder keeps.

        Raises:
            FileNotFoundError: if the folder is gone.
        """
        own = Path(self.weights)
        aside = own.parent.parent.glob(f"{own.parent.name}.previous-*") if self.training else ()
        for training in (own.parent, *aside):
            found = self if training == own.parent else replace(self, weights=training / own.name)
            if found.folder.is_dir() and found.folder.stat().st_ino == place:
                return found
        raise FileNotFoundError(f"{self.folder} was removed or replaced during the evaluation; evaluate again.")

    @cached_property
    def facts(self) -> dict[str, Any]:
        """All that names this evaluation, as plain values."""
        return {
            "data": self.data_names,
            "checksum": self.checksum,
            "renamed": dict(self.renamed or {}),
            "fold": self.fold,
            "weights": str(self.weights),
            "weights_digest": self.weights_digest,
            "record": {name: value for name, value in self.record.items() if name != "seen"},
            "overrides": self.changes,
        }

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the MLflow run."""
        named = {name: value for name, value in self.facts.items() if name not in ("record", "weights")}
        own = {name: value for name, value in named.items() if name != "overrides" or value}
        of_weights = {name: self.record[name] for name in ("loss", "network", "image_size") if name in self.record}
        label_dropout = self._trained.get("label_dropout")
        trained = {"training": str(self.record.get("training")), "label_dropout": label_dropout}
        return {**of_weights, **own, **{name: value for name, value in trained.items() if value not in (None, "None")}}

    @cached_property
    def said(self) -> str:
        """The overrides in one line, for titles and tags; empty without any."""
        return _listed(self.changes)

    @cached_property
    def deviation(self) -> str:
        """What makes this another result than the evaluation that belongs to the training, in one line; empty if none.

        Beside the overrides these are facts of the weights that their record does not state, and data whose structures
        are renamed in another way than those of the training.
        """
        if self.training is None:
            return self.said
        record = _mapping(self.training / "model.json", "it")
        facts = {name: value for name, value in self.record.items() if name not in record or record[name] != value}
        renamed = dict(self.renamed or {})
        meanings = {"renamed": renamed} if renamed != (self._trained.get("renamed") or {}) else {}
        return _listed({**self.changes, **facts, **meanings})

    @cached_property
    def _trained(self) -> dict[str, Any]:
        """The configuration of the training; empty if there is none, or none that can be read."""
        return {} if self.training is None else _mapping(self.training / "config.yaml", "label_dropout")

    def experiment(self, stated: str) -> str:
        """Return the MLflow experiment: that of the training if it was recorded, otherwise as stated."""
        return self._recorded.experiment if self._recorded else stated

    def uri(self, stated: str | None) -> str:
        """Return the tracking URI: as stated, or MLFLOW_TRACKING_URI, or where the training was logged."""
        logged = logged_run(self.training).get("tracking_uri") if self.training else None
        own = self._recorded.tracking_uri if self._recorded else logged  # where it will be, if MLflow is away
        return stated or tracking_uri(address(own) if own else "sqlite:///runs/mlflow.db")

    @cached_property
    def _recorded(self) -> Outbox | None:
        """What MLflow should know about the training."""
        return read_outbox(self.training) if self.training else None


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _mapping(path: Path, lost: str) -> dict[str, Any]:
    """Return the content of a YAML or JSON file; empty, with a warning, if it is damaged."""
    if not path.is_file():
        return {}
    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        reason = str(error).partition("\n")[0]
        LOGGER.warning("%s is damaged (%s); the evaluation is logged without %s", path, reason, lost)
        return {}
