"""Gather the results of a validation that several processes share."""

from collections.abc import Sequence

import torch
from torch import Tensor, distributed

__all__ = ["gathered"]


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
    if not (distributed.is_available() and distributed.is_initialized()):
        return list(tensors)
    parts: list[list[Tensor]] = [[]] * distributed.get_world_size()
    distributed.all_gather_object(parts, [tensor.cpu() for tensor in (*tensors, number)])
    *joined, numbers = [torch.cat(rows) for rows in zip(*parts, strict=True)]
    numbers, order = numbers.sort(stable=True)
    first = torch.cat([torch.ones(1, dtype=torch.bool), numbers[1:] != numbers[:-1]])
    return [tensor[order[first]] for tensor in joined]
