"""Several networks that predict together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

__all__ = ["MeanOfNetworks"]


class MeanOfNetworks(nn.Module):
    """The mean of the probabilities of several networks of the same classes, as logits.

    Args:
        networks: each gives logits (B, C, *spatial).
        activation: how logits are read, theirs and those of the mean: "softmax" or "sigmoid".

    Example:
        >>> sure, undecided = nn.Identity(), nn.Softshrink(9)
        >>> MeanOfNetworks([sure, undecided])(torch.tensor([[[0.0], [8.0]]])).exp().flatten()
        tensor([0.2502, 0.7498])
    """

    def __init__(self, networks: Sequence[nn.Module], activation: str = "softmax") -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.activation = activation

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of the mean probabilities, float32, (B, C, *spatial), for images (B, K, *spatial)."""
        each = torch.stack([network(image).float() for network in self.networks])
        if self.activation == "sigmoid":
            return logsigmoid(each).logsumexp(dim=0) - logsigmoid(-each).logsumexp(dim=0)
        return each.log_softmax(dim=2).logsumexp(dim=0) - torch.tensor(len(self.networks)).log()
