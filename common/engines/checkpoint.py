"""Checkpoints that survive a kill at any moment and resume to the same weights."""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn

from ..atomic import whole_file
from ..identity import changes, fingerprint
from .weights_record import check_own, recorded_digest, write_record

__all__ = ["BestAndLast", "Resume", "read_checkpoint", "save_checkpoint"]

LOGGER = logging.getLogger(__name__)


def save_checkpoint(content: Any, path: Path) -> None:
    """Save tensors and primitives as a whole file (`whole_file`); the message of an OSError names the file."""
    with whole_file(path) as partial:
        try:
            with partial.open("wb") as file:  # given a path, torch would write its name into the file
                torch.save(content, file)
        except RuntimeError as error:  # torch hides the cause, such as a full disk or a signal, in its context
            cause = error.__context__
            if cause is None or (isinstance(cause, Exception) and not isinstance(cause, OSError)):
                raise OSError(str(error)) from error
            raise cause from error


def read_checkpoint(folder: Path, settings: Mapping[str, Any], device: Any) -> dict[str, Any] | None:
    """Return the state of the training in a folder, None if it completed no epoch.

    Raises:
        ValueError: if it belongs to other settings (the message names them), is unreadable, or is gone, or if the
            weights beside it are of another training.
    """
    path = folder / "last.pt"
    again = "train without --resume (this folder is kept under another name)"
    if not path.is_file():
        if (folder / "model.pt").is_file():
            raise ValueError(
                f"{path} is missing, so the training cannot continue; {again}, or start from its best weights: "
                f"--initial_weights {folder / 'model.pt'} --run_name NAME."
            )
        return None
    try:
        checkpoint = dict(torch.load(path, map_location=device, weights_only=True))
        stored = checkpoint["settings"]
    except Exception as error:  # torch raises half a dozen types for a file that it did not write
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path} is not a readable checkpoint ({reason[:200]}); {again}.") from error
    if differ := changes(stored, settings):
        longer = f" For more epochs, start from its weights: --initial_weights {folder / 'model.pt'} --run_name NAME."
        more = longer if stored.get("epochs") != settings.get("epochs") else ""
        raise ValueError(f"{path} belongs to another training ({differ}); use its settings or drop --resume.{more}")
    check_own(folder / "model.pt", _record(folder), stored)
    return checkpoint


def _record(folder: Path) -> dict[str, Any]:
    """Return the record of the best weights; empty if it is missing or cut off: it is written again."""
    try:
        return dict(json.loads((folder / "model.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


class BestAndLast:
    """Write `last.pt` (all that `Resume` needs) every epoch, and `model.pt` (a bare state dict) if it is the best.

    `model.json` is the record of `model.pt` (`weights_record`). An epoch counts as done when `last.pt` is written; a
    process that is killed before `model.pt` writes it when it resumes.

    Register it last, so that the other handlers' records of an epoch are saved before the epoch counts as done.

    Args:
        folder: where to write both files.
        objects: name -> module, optimizer or scheduler to store, or what has no state; `model.pt` holds "network".
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
        engine.add_event_handler(Events.STARTED, self._complete)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._note_early_end)

    def __call__(self, engine: Engine) -> None:
        """Save the state to resume from, then the weights if this epoch is the best."""
        state = self.evaluator.state
        content: dict[str, Any] = {name: item.state_dict() for name, item in _with_state(self.objects).items()}
        content |= {
            "settings": dict(self.settings),
            "epoch": engine.state.epoch,
            "best_metric": float(state.best_metric),
            "best_metric_epoch": state.best_metric_epoch,
        }
        save_checkpoint(content, self.folder / "last.pt")
        if state.best_metric_epoch == engine.state.epoch:
            self._save_best()

    def _save_best(self) -> None:
        if math.isnan(self.evaluator.state.best_metric):
            return  # no validation image contains a structure
        network: nn.Module = self.objects["network"]
        # contiguous: the memory format is a choice of this training, not of later users
        weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
        content = io.BytesIO()
        torch.save(weights, content)
        path = self.folder / "model.pt"
        write_record(path, self.record, content.getvalue())  # first: weights never stand without their record
        with whole_file(path) as partial:
            partial.write_bytes(content.getvalue())

    def _note_early_end(self, engine: Engine) -> None:
        """Keep that a handler ended the training before its last epoch: it must not go on when it is resumed."""
        path = self.folder / "last.pt"
        if engine.state.epoch < engine.state.max_epochs and path.is_file():
            save_checkpoint({**torch.load(path, weights_only=True), "ended": True}, path)

    def _complete(self, engine: Engine) -> None:
        """Write what a killed or damaged training lacks: the best weights, if they are of its last epoch."""
        state = self.evaluator.state
        if not engine.state.epoch or state.best_metric_epoch < 1:
            return
        path = self.folder / "model.pt"
        if state.best_metric_epoch == engine.state.epoch:
            self._save_best()
        elif _is_readable(path) and self._is_own(path):
            write_record(path, self.record, path.read_bytes())
        else:
            lost = f"{path}, the best weights (epoch {state.best_metric_epoch}), are lost"
            if engine.state.epoch >= engine.state.max_epochs:
                raise ValueError(f"{lost}, and the training is finished; train without --resume.")
            LOGGER.warning("%s; a later epoch takes their place", lost)
            state.best_metric, state.best_metric_epoch = -1, -1

    def _is_own(self, path: Path) -> bool:
        """Return whether weights are those that their record describes, as far as it can be read."""
        try:
            return recorded_digest(path) in (None, fingerprint(path))
        except ValueError:  # the record is cut off
            return True


def _with_state(objects: Mapping[str, Any]) -> dict[str, Any]:
    """Return the objects that have a state: a loss may be a function."""
    return {name: item for name, item in objects.items() if hasattr(item, "state_dict")}


def _is_readable(path: Path) -> bool:
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises half a dozen types for a file that it did not write
        return False
    return True


class Resume:
    """Restore a trainer from `last.pt`, if `resume` is set and an epoch was completed.

    Register it before the handlers that use the state. MONAI keeps the best metric outside every state dict, so a
    resumed run would call its first validation the best; this handler restores it too.

    Args:
        folder: of the training.
        objects: name -> module, optimizer or scheduler, as given to `BestAndLast`.
        evaluator: its best metric is restored.
        settings: must equal the stored settings.
        resume: False trains from the start.

    Raises:
        ValueError: as for `read_checkpoint`, or if the state of an object is missing.
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
        checkpoint = read_checkpoint(self.folder, self.settings, engine.state.device) if self.resume else None
        if checkpoint is None:
            if self.resume:
                LOGGER.warning("%s has no completed epoch to resume; the training starts anew", self.folder)
            return
        stateful = _with_state(self.objects)
        if missing := [name for name in stateful if name not in checkpoint]:
            raise ValueError(f"{self.folder / 'last.pt'} has no state of {', '.join(missing)}; train without --resume.")
        for name, item in stateful.items():
            item.load_state_dict(checkpoint[name])
        engine.state.epoch = checkpoint["epoch"]
        engine.state.iteration = checkpoint["epoch"] * engine.state.epoch_length
        if "ended" in checkpoint:
            engine.state.max_epochs = checkpoint["epoch"]
        self.evaluator.state.best_metric = checkpoint["best_metric"]
        self.evaluator.state.best_metric_epoch = checkpoint["best_metric_epoch"]
        LOGGER.info("resumed %s after epoch %d", self.folder, checkpoint["epoch"])
