"""Dropout in chosen layers of a network that offers one rate for all of them, or none."""

from __future__ import annotations

import copy
from typing import Any

import torch
from monai.networks.nets.attentionunet import AttentionBlock
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

__all__ = ["LAYERS", "hidden_layers", "place_dropout"]

LAYERS = {"last_two": slice(-2, None), "all_but_first_two": slice(2, None)}  # of the hidden layers, in their order
NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm)
SIDE = 256  # pixels of the image that finds the order of the layers; every usual depth divides it


def place_dropout(network: nn.Module, rate: float, layers: str) -> nn.Module:
    """Add dropout to some hidden layers of a convolutional network, by their position, and return the network.

    It acts on the normalised output of a layer, before its activation (where MONAI's blocks have it), in training mode
    alone. Neither modules nor names of weights change: weights fit the network with and without it.

    Args:
        network: a U-Net with normalisation, in 2-D or 3-D; changed in place.
        rate: probability that an element becomes zero; 0 changes nothing.
        layers: "last_two" or "all_but_first_two" of the `hidden_layers`, in the order in which they run.

    Raises:
        ValueError: for another word, or a network without such layers.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Conv2d(1, 2, 1))
        >>> _ = place_dropout(network, 0.5, "last_two")
        >>> image = torch.ones(1, 1, 20, 20)
        >>> len(network.train()(image).unique()) > len(network.eval()(image).unique())
        True
    """
    if layers not in LAYERS:
        raise ValueError(f"--dropout_layers: expected one of {', '.join(LAYERS)}, got {layers!r}.")
    if rate:
        found = hidden_layers(network)
        if not found[LAYERS[layers]]:
            raise ValueError(
                f"--dropout {rate}: {type(network).__name__} has {len(found)} convolutions with batch, instance or "
                "group norm, too few to place dropout by layer; choose another --network, or --dropout 0."
            )
        for layer in found[LAYERS[layers]]:
            layer.register_forward_hook(_Dropout(rate))
    return network


class _Dropout:
    """Forward hook that drops elements of what a module returns, while it is trained."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, module: nn.Module, _: Any, output: Tensor) -> Tensor:
        return functional.dropout(output, self.rate, module.training)


def hidden_layers(network: nn.Module) -> list[nn.Module]:
    """Return the normalisations of a network in the order in which they run: one for each hidden layer.

    Attention gates do not count as layers. The order is that of a run on a copy without values; the order
    in which modules are registered can be another one (`AttentionUnet`).

    Example:
        >>> first, last = nn.BatchNorm2d(1), nn.InstanceNorm2d(2)
        >>> found = hidden_layers(nn.Sequential(nn.Conv2d(1, 1, 1), first, nn.Conv2d(1, 2, 1), last))
        >>> found == [first, last]
        True
    """
    gates = [gate for gate in network.modules() if isinstance(gate, AttentionBlock)]
    apart = {module for gate in gates for module in gate.modules()}
    norms = {name: one for name, one in network.named_modules() if isinstance(one, NORMS) and one not in apart}
    if not norms:
        return []
    first = next(module for module in network.modules() if isinstance(module, _ConvNd))
    order: dict[str, None] = {}
    traced = copy.deepcopy(network).to("meta").eval()
    for name in norms:
        traced.get_submodule(name).register_forward_hook(lambda *_, name=name: order.setdefault(name))
    with torch.no_grad():
        traced(torch.empty(1, first.in_channels, *[SIDE] * len(first.kernel_size), device="meta"))
    return [norms[name] for name in order]
