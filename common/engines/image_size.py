"""Check that images of a size pass through a network, before any work."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["check_image_size"]

STEPS = (1, 2, 4, 8, 16, 32, 64, 128)  # networks halve an image, at most seven times


def check_image_size(network: nn.Module, shape: Sequence[int]) -> None:
    """Refuse images that do not pass through a network.

    Nothing is computed: shapes alone pass through a copy of the network.

    Args:
        network: to be trained.
        shape: of one batch, (batch, channels, *spatial): square images, or patches of volumes of any sides.

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
    shapes = copy.deepcopy(network).to("meta").train()
    if _fits(shapes, shape):
        return
    size, volume = list(shape[2:]), len(shape) == 5
    nearby = {tuple(one // step * step + more for one in size) for step in STEPS for more in (0, step)}
    fitting = [other for other in sorted(nearby, key=sum) if 0 not in other and _fits(shapes, [*shape[:2], *other])]
    sides = [one for one in fitting if sum(one) < sum(size)][-1:], [one for one in fitting if sum(one) > sum(size)][:1]
    named = " and ".join(str(list(one) if volume else one[0]) for side in sides for one in side)
    nearest = f"the nearest that fit are {named}" if named else "choose another --image_size or --network"
    raise ValueError(f"this network cannot take --image_size {size if volume else size[0]}; {nearest}.")


def _fits(network: nn.Module, shape: Sequence[int]) -> bool:
    try:
        with torch.no_grad():
            output = network(torch.zeros(tuple(shape), device="meta"))
    except (RuntimeError, ValueError, IndexError):  # what networks raise for sizes that do not divide
        return False
    first = output[0] if isinstance(output, list | tuple) else output
    return tuple(first.shape[2:]) == tuple(shape[2:])
