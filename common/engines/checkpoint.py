"""Checkpoints that survive a kill at any instant and resume to the same weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn

__all__ = ["BestAndLast", "Resume", "save_atomically"]

LOGGER = logging.getLogger(__name__)


def save_atomically(content: Any, path: Path) -> None:
    """Save tensors and primitives to `path`: either the old file or the whole new one is there, never a part.

    Raises:
        OSError: if the disk is full or the folder cannot be written; the message names the file.
    """
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    try:
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise OSError(f"{path} could not be written ({error}); the previous checkpoint is untouched.") from error
    finally:
        partial.unlink(missing_ok=True)


class BestAndLast:
    """Write `model.pt` (best by key metric, a bare state dict) and `last.pt` (all that `Resume` needs) every epoch.

    Register it last, so that what the other handlers recorded of an epoch is safe before the epoch counts as done.

    Args:
        folder: where both files go.
        objects: name -> module, optimizer or scheduler to store; "network" is the one that `model.pt` holds.
        evaluator: whose key metric decides.
        settings: what makes this training the one it is; resuming under other settings is refused.
    """

    def __init__(
        self, folder: str | Path, objects: Mapping[str, Any], evaluator: Evaluator, settings: Mapping[str, Any]
    ) -> None:
        self.folder = Path(folder)
        self.objects = objects
        self.evaluator = evaluator
        self.settings = settings

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Save the best weights if this epoch's are, then the state to resume from."""
        state = self.evaluator.state
        if state.best_metric_epoch == engine.state.epoch:
            network: nn.Module = self.objects["network"]
            # contiguous: the memory format is this training's choice, not the reader's
            weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
            save_atomically(weights, self.folder / "model.pt")
        content = {name: item.state_dict() for name, item in self.objects.items()}
        content |= {
            "settings": dict(self.settings),
            "epoch": engine.state.epoch,
            "best_metric": float(state.best_metric),
            "best_metric_epoch": state.best_metric_epoch,
        }
        save_atomically(content, self.folder / "last.pt")


class Resume:
    """Put a trainer where `last.pt` left it, if it is asked to and there is one.

    Register it first. MONAI keeps the best metric outside every state dict, so a resumed run would call its first
    validation the best; here it is restored too.

    Args:
        folder: of the training.
        objects: name -> module, optimizer or scheduler, as given to `BestAndLast`.
        evaluator: whose best metric is restored.
        settings: must equal the stored ones.
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
        except Exception as error:  # torch raises half a dozen types for a file that is not one of its own
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
