"""Run a training: check its numbers before any work, end it well, and say what came out."""

from __future__ import annotations

import copy
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch
from monai.engines import Evaluator, Trainer
from torch import nn

__all__ = ["check_image_size", "ends_on_sigterm", "train"]


def check_image_size(network: nn.Module, shape: Sequence[int]) -> None:
    """Refuse images that do not pass through a network.

    Nothing is computed: shapes alone pass through a copy of the network.

    Args:
        network: to be trained.
        shape: of one batch, (batch, channels, *spatial); the spatial sizes are equal.

    Raises:
        ValueError: if a pass fails, or returns another size; the message names the nearest sizes that fit.

    Example:
        >>> pooled = nn.Sequential(nn.MaxPool2d(8), nn.Upsample(scale_factor=8))
        >>> check_image_size(pooled, (1, 1, 64, 64))
        >>> check_image_size(pooled, (1, 1, 60, 60))
        Traceback (most recent call last):
        ...
        ValueError: this network cannot take --image_size 60; the nearest that fit are 56 and 64.
    """
    shapes = copy.deepcopy(network).to("meta").eval()
    batch, channels, size, *rest = shape
    if _fits(shapes, shape):
        return
    nearby = [(other, _fits(shapes, [batch, channels, *[other] * (1 + len(rest))])) for other in _around(size)]
    fitting = [other for other, fits in nearby if fits]
    below, above = ([one for one in fitting if one < size][-1:], [one for one in fitting if one > size][:1])
    named = " and ".join(map(str, [*below, *above]))
    nearest = f"the nearest that fit are {named}" if named else "choose another --image_size or --network"
    raise ValueError(f"this network cannot take --image_size {size}; {nearest}.")


def _around(size: int) -> range:
    reach = 128  # pixels; networks halve an image at most seven times
    return range(max(1, size - reach), size + reach + 1)


def _fits(network: nn.Module, shape: Sequence[int]) -> bool:
    try:
        with torch.no_grad():
            output = network(torch.zeros(tuple(shape), device="meta"))
    except (RuntimeError, ValueError, IndexError):  # what networks raise for sizes that do not divide
        return False
    first = output[0] if isinstance(output, list | tuple) else output
    return tuple(first.shape[2:]) == tuple(shape[2:])


@contextmanager
def ends_on_sigterm() -> Iterator[None]:
    """End the block on SIGTERM as on Ctrl-C, with exit status 143: handlers close their files and runs.

    A second signal is ignored. Only the main thread of a process receives signals; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        print("\nstopped by SIGTERM; --resume true continues this training", file=sys.stderr)
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def train(trainer: Trainer, evaluator: Evaluator, folder: str | Path) -> None:
    """Run a training to its end and print its best result.

    Raises:
        ValueError: if no epoch had a result, so that there are no best weights.
    """
    with ends_on_sigterm():
        trainer.run()
    state, weights = evaluator.state, Path(folder) / "model.pt"
    if state.best_metric_epoch < 1:
        raise ValueError(
            f"no epoch of this training has a mean Dice, so {weights} was not written: the validation fold annotates "
            "no class. Add annotated images to it, or choose other data."
        )
    print(f"best mean Dice {state.best_metric:.4f} at epoch {state.best_metric_epoch}: {weights}")
