"""Gather the results of a validation that several processes share."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from torch import Tensor, distributed

__all__ = ["ImageMetric", "everyone", "gathered"]

Object = TypeVar("Object")


def everyone(own: Object) -> list[Object]:
    """Return the objects of all processes, in their order; every process has to call it.

    Example:
        >>> everyone(3)
        [3]
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return [own]
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, own)
    return found


def gathered(tensors: Sequence[Tensor], number: Tensor) -> list[Tensor]:
    """Return the rows of all processes in the order of their numbers, each number once; every process has to call it.

    Samplers give an image to two processes where images cannot be shared equally. In a single process the tensors stay
    as they are.

    Args:
        tensors: (N, ...) each; N may differ between processes.
        number: of each row, int64, (N,).

    Example:
        >>> gathered([torch.tensor([0.5, 0.7])], torch.tensor([3, 1]))
        [tensor([0.5000, 0.7000])]
    """
    parts = everyone([tensor.cpu() for tensor in (*tensors, number)])
    if len(parts) == 1:
        return list(tensors)
    *joined, numbers = [torch.cat(rows) for rows in zip(*parts, strict=True)]
    numbers, order = numbers.sort(stable=True)
    first = torch.cat([torch.ones(1, dtype=torch.bool), numbers[1:] != numbers[:-1]])
    return [tensor[order[first]] for tensor in joined]


class ImageMetric(Metric):
    """Base of Ignite metrics that keep values of each image; those of several processes are gathered.

    Args:
        classes: names, background first.
        datasets: names in the order of the batch's `dataset` indices.
    """

    def __init__(self, classes: Sequence[str], datasets: Sequence[str]) -> None:
        self.classes = list(classes)
        self.datasets = list(datasets)
        super().__init__()

    def reset(self) -> None:
        """Forget all images."""
        self._columns: dict[str, list[Tensor]] = {}
        self._gathered = False

    def iteration_completed(self, engine: Engine) -> None:
        """Pass an evaluator's batch and output to `update`."""
        batch: Mapping[str, Any] = engine.state.batch
        self.update({**engine.state.output, "dataset": batch["dataset"], "index": batch["index"]})

    def keep(self, output: Mapping[str, Tensor], **values: Tensor) -> None:
        """Add the images of a batch: name -> (B, ...), beside their `dataset` and `index`, (B,) each."""
        for name, column in {**values, "dataset": output["dataset"], "index": output["index"]}.items():
            self._columns.setdefault(name, []).append(column)
        self._gathered = False

    def kept(self) -> dict[str, Tensor]:
        """Return the values of all images, on the CPU; empty without any. Every process has to call it."""
        columns = {name: torch.cat(parts).cpu() for name, parts in self._columns.items()}
        if columns and not self._gathered:
            columns = dict(zip(columns, gathered(list(columns.values()), columns["index"]), strict=True))
            self._columns = {name: [column] for name, column in columns.items()}
            self._gathered = True
        return columns
