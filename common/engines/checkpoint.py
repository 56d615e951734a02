"""Checkpoints that survive a kill at any moment and resume to the same weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn

from ..atomic import whole_file
from .weights_record import write_record

__all__ = ["BestAndLast", "Resume", "save_checkpoint"]

LOGGER = logging.getLogger(__name__)


def save_checkpoint(content: Any, path: Path) -> None:
    """Save tensors and primitives as a whole file (`whole_file`); the message of an OSError names the file."""
    with whole_file(path) as partial:
        try:
            with partial.open("wb") as file:  # given a path, torch would write its name into the file
                torch.save(content, file)
        except RuntimeError as error:  # torch's error for a full disk
            raise OSError(str(error)) from error


class BestAndLast:
    """Write `model.pt` (best by key metric, a bare state dict) and `last.pt` (all that `Resume` needs) every epoch.

    `model.json` is the record of `model.pt` (`weights_record`).

    Register it last, so that the other handlers' records of an epoch are saved before the epoch counts as done.

    Args:
        folder: where to write both files.
        objects: name -> module, optimizer or scheduler to store; `model.pt` holds "network".
        evaluator: its key metric decides which epoch is best.
        settings: that identify this training; `Resume` refuses other settings.
        record: what users of the weights have to know: activation, classes, image_size, network, loss.
    """

    main_process_only = True

    def __init__(
        self,
        folder: str | Path,
        objects: Mapping[str, Any],
        evaluator: Evaluator,
        settings: Mapping[str, Any],
        record: Mapping[str, Any],
    ) -> None:
        self.folder = Path(folder)
        self.objects = objects
        self.evaluator = evaluator
        self.settings = settings
        self.record = record

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Save the weights if this epoch is the best, then the state to resume from."""
        state = self.evaluator.state
        if state.best_metric_epoch == engine.state.epoch:
            network: nn.Module = self.objects["network"]
            # contiguous: the memory format is a choice of this training, not of later users
            weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
            path = self.folder / "model.pt"
            write_record(path, self.record)  # first: weights never stand without their record
            save_checkpoint(weights, path)
        content = {name: item.state_dict() for name, item in self.objects.items()}
        content |= {
            "settings": dict(self.settings),
            "epoch": engine.state.epoch,
            "best_metric": float(state.best_metric),
            "best_metric_epoch": state.best_metric_epoch,
        }
        save_checkpoint(content, self.folder / "last.pt")


class Resume:
    """Restore a trainer from `last.pt`, if `resume` is set and the file exists.

    Register it first. MONAI keeps the best metric outside every state dict, so a resumed run would call its first
    validation the best; this handler restores it too.

    Args:
        folder: of the training.
        objects: name -> module, optimizer or scheduler, as given to `BestAndLast`.
        evaluator: its best metric is restored.
        settings: must equal the stored settings.
        resume: False trains from the start.

    Raises:
        ValueError: if the stored settings differ (the message names them) or the file is not a checkpoint.
    """

    def __init__(
        self,
        folder: str | Path,
        objects: Mapping[str, Any],
        evaluator: Evaluator,
        settings: Mapping[str, Any],
        resume: bool,
    ) -> None:
        self.folder = Path(folder)
        self.objects = objects
        self.evaluator = evaluator
        self.settings = settings
        self.resume = resume

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Restore weights, optimizer, schedule, epoch and best metric."""
        path = self.folder / "last.pt"
        if not self.resume or not path.is_file():
            return
        try:
            checkpoint = torch.load(path, map_location=engine.state.device, weights_only=True)
            stored = checkpoint["settings"]
        except Exception as error:  # torch raises half a dozen types for a file that it did not write
            raise ValueError(f"{path} is not a readable checkpoint ({error}); train without --resume.") from error
        differ = [key for key in {**stored, **self.settings} if stored.get(key) != self.settings.get(key)]
        if differ:
            changes = ", ".join(f"{key}: {stored.get(key)!r} then, {self.settings.get(key)!r} now" for key in differ)
            raise ValueError(f"{path} belongs to another training ({changes}); use its settings or drop --resume.")
        for name, item in self.objects.items():
            item.load_state_dict(checkpoint[name])
        engine.state.epoch = checkpoint["epoch"]
        engine.state.iteration = checkpoint["epoch"] * engine.state.epoch_length
        self.evaluator.state.best_metric = checkpoint["best_metric"]
        self.evaluator.state.best_metric_epoch = checkpoint["best_metric_epoch"]
        LOGGER.info("resumed %s after epoch %d", path, checkpoint["epoch"])
