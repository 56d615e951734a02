"""Gather the results of a validation that several processes share."""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

__all__ = ["everyone", "gathered"]

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
