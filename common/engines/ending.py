"""Run a training to its end, also when it is asked to stop, and say what came out."""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import Evaluator, IterationEvents, Trainer

from .processes import number_of_processes, rank, wait_for_others
from .run_folder import release

__all__ = ["ends_on_sigterm", "report_once", "train"]


@contextmanager
def ends_on_sigterm() -> Iterator[None]:
    """End the block on SIGTERM as on Ctrl-C, with exit status 143: handlers close their files and runs.

    A second signal is ignored. Where Python drops the exit, in a finaliser or a callback of a weak reference, it comes
    again. Only the main thread of a process receives signals; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    stopped: list[SystemExit] = []
    again: list[threading.Timer] = []

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        if not stopped:
            print("\nstopped by SIGTERM; --resume true continues this training", file=sys.stderr)
        stopped.append(SystemExit(128 + number))
        raise stopped[-1]

    def dropped(unraisable: Any) -> None:
        if unraisable.exc_value not in stopped:
            hook(unraisable)
            return
        signal.signal(signal.SIGTERM, end)
        again.append(threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)))
        again[-1].start()

    before, hook = signal.signal(signal.SIGTERM, end), sys.unraisablehook
    sys.unraisablehook = dropped
    try:
        yield
        if stopped:  # the last was dropped
            raise stopped[-1]
    finally:
        for timer in again:
            timer.cancel()
        signal.signal(signal.SIGTERM, before)
        sys.unraisablehook = hook


def report_once(engine: Engine) -> None:
    """Keep ignite from logging the error that ends a run: the error itself says the same words."""
    engine.logger.addFilter(_is_not_repeated)


def _is_not_repeated(record: logging.LogRecord) -> bool:
    return "terminating due to exception" not in record.getMessage()


def _check_gradient(trainer: Trainer) -> None:
    """Refuse a loss that no step of the optimizer can lower."""
    if not trainer.state.output["loss"].requires_grad:
        raise ValueError(
            f"the loss {type(trainer.loss_function).__name__} has no gradient; expected a number from the logits, "
            "without detach, argmax or no_grad."
        )


def _check_validation(_: Engine, evaluator: Evaluator) -> None:
    """End a training at once that no validation can judge."""
    if math.isnan(evaluator.state.best_metric):
        raise ValueError(
            f"{evaluator.state.key_metric_name} of the validation is undefined, so no epoch could be the best: its "
            "images contain no structure. Add images that do, or choose other data."
        )


def _check_result(engine: Engine, evaluator: Evaluator, weights: Path) -> None:
    """Let a training fail that has no best weights, while its record can still say so."""
    state = evaluator.state
    rows = getattr(engine.state, "history", [])
    if state.best_metric_epoch < 1 and any(state.key_metric_name in row for row in rows):
        raise ValueError(f"{weights} was lost, and no epoch after that was validated; train without --resume.")
    if state.best_metric_epoch < 1:
        raise ValueError(
            f"no epoch of this training has a mean Dice, so {weights} was not written: the validation fold annotates "
            "no class. Add annotated images to it, or choose other data."
        )
    if not rank() and not weights.is_file():
        raise ValueError(f"{weights} was not written: --train::handlers lacks BestAndLast.")


def train(trainer: Trainer, evaluator: Evaluator, folder: str | Path) -> None:
    """Run a training to its end and print its best result.

    Raises:
        ValueError: if the trainer has run before: it would begin anew in the same folder; or if no epoch had a
            result, so that none has the best weights.
        ConnectionError: if another process of this training ended.
    """
    if trainer.state.iteration:
        raise ValueError(f"this workflow has trained in {folder} already; make a new one, with resume=True to go on.")
    for engine in (trainer, evaluator):
        report_once(engine)
    state, weights = evaluator.state, Path(folder) / "model.pt"
    trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, _check_gradient)
    trainer.add_event_handler(Events.EPOCH_COMPLETED | Events.COMPLETED, _check_validation, evaluator)
    trainer.add_event_handler(Events.COMPLETED, _check_result, evaluator, weights)
    try:
        with ends_on_sigterm():
            trainer.run()
            wait_for_others()
    except RuntimeError as error:
        if number_of_processes() > 1 and re.search(r"Connection (closed|reset) by peer", str(error)):
            raise ConnectionError("another process of this training ended; --resume true continues it") from error
        raise
    finally:
        release(folder)  # a process that lives on, such as a notebook, would keep it from others
    print(f"best mean Dice {state.best_metric:.4f} at epoch {state.best_metric_epoch}: {weights}")
    if (rows := getattr(trainer.state, "history", [])) and state.key_metric_name not in rows[-1]:
        validated = max((row["epoch"] for row in rows if state.key_metric_name in row), default=0)
        print(
            f"Epochs after {validated} were not validated, so they are not kept; --val_interval should divide --epochs."
        )
    if not state.best_metric:
        print("The network found no structure in the validation images: train longer, or try another learning rate.")
