"""Record each epoch in a file, in a progress bar, and as rows for tracking and plots."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch.optim import Optimizer
from tqdm import tqdm

from ..atomic import write_text
from .processes import number_of_processes

__all__ = ["History"]

LOGGER = logging.getLogger(__name__)


class History:
    """Add one row per epoch to `engine.state.history` and `history.json`, and show progress.

    Register it after the validation handler and before the handlers that read the rows. A row contains epoch,
    train_loss (mean over iterations), learning_rate, images_per_second (training only), seconds, and, if the evaluator
    ran in this epoch, its metrics and the key metric of the weights that are kept, as `best_mean_dice`.

    Args:
        folder: where to write `history.json`.
        evaluator: the validation engine.
        optimizer: the learning rate of its first group is recorded.
    """

    main_process_only = True

    def __init__(self, folder: str | Path, evaluator: Evaluator, optimizer: Optimizer) -> None:
        self.path = Path(folder) / "history.json"
        self.evaluator = evaluator
        self.optimizer = optimizer
        self.rows: list[dict[str, float]] = []

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._count)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._complete_epoch)
        engine.add_event_handler(Events.COMPLETED, self._close)

    def _start(self, engine: Engine) -> None:
        if engine.state.epoch:  # resumed: keep the rows of completed epochs
            self.rows = [row for row in self._earlier() if row["epoch"] <= engine.state.epoch]
        else:
            self.path.unlink(missing_ok=True)  # of a training without a checkpoint, whose epochs these are not
        if not engine.state.epoch_length:
            raise ValueError("the training fold has fewer images than one batch; lower --batch_size.")
        engine.state.history = self.rows
        self._bar = tqdm(
            total=engine.state.max_epochs * engine.state.epoch_length,
            initial=engine.state.iteration,
            unit=" batches",
            file=sys.stdout,
            mininterval=0.5 if sys.stdout.isatty() else 15,  # fewer lines in a log file
            dynamic_ncols=True,
        )

    def _earlier(self) -> list[dict[str, float]]:
        try:
            rows = json.loads(self.path.read_text(encoding="utf-8"))
            rows = [{**row, "epoch": int(row["epoch"]), "train_loss": float(row["train_loss"])} for row in rows]
        except (OSError, ValueError, TypeError, KeyError) as error:
            damage = "missing" if isinstance(error, FileNotFoundError) else f"damaged ({error})"
            LOGGER.warning("%s is %s; its epochs are lost, the training goes on", self.path, damage)
            return []
        return rows

    def _start_epoch(self, engine: Engine) -> None:
        self._bar.set_description(f"epoch {engine.state.epoch}/{engine.state.max_epochs}")
        self._rate: float = self.optimizer.param_groups[0]["lr"]  # at the start: the schedule lowers it in every step
        self._loss: torch.Tensor | float = 0.0
        self._images = 0
        self._since = self._until = time.perf_counter()

    def _count(self, engine: Engine) -> None:
        # the sum stays on the device: reading it in every iteration would synchronise the device
        self._loss = self._loss + engine.state.output["loss"].detach()
        self._images += len(engine.state.batch["image"]) * number_of_processes()
        self._until = time.perf_counter()
        self._bar.update()

    def _complete_epoch(self, engine: Engine) -> None:
        loss = float(self._loss) / engine.state.epoch_length
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss of epoch {engine.state.epoch} is {loss}; try a lower --learning_rate.")
        state = self.evaluator.state
        key = state.key_metric_name
        metrics = state.metrics if state.epoch == engine.state.epoch else {}  # val_interval may skip epochs
        row = {
            "epoch": engine.state.epoch,
            "train_loss": loss,
            "learning_rate": self._rate,
            "images_per_second": self._images / (self._until - self._since),
            "seconds": time.perf_counter() - self._since,
            **{name: float(value) for name, value in metrics.items()},
        }
        if key in row and state.best_metric_epoch > 0:
            row[f"best_{key}"] = float(state.best_metric)
        self.rows.append(row)
        write_text(self.path, json.dumps(self.rows, indent=1) + "\n")
        self._bar.set_postfix_str(f"loss {loss:.4f}" + (f", {key} {row[key]:.4f}" if key in row else ""))

    def _close(self, _: Engine) -> None:
        self._bar.close()
