"""A weighted sum of losses."""

from collections.abc import Sequence

import torch
from torch import nn

from .contract import activation_of

__all__ = ["SumLoss"]


class SumLoss(nn.Module):
    """Weighted sum of losses on the same logits and the same label-set map.

    All of them must read the logits alike: as a softmax, or as sigmoids.

    Args:
        losses: losses to add up.
        weights: weight of each loss.

    Example:
        >>> from . import CategoricalCrossEntropyLoss, MarginalLoss
        >>> loss = SumLoss([CategoricalCrossEntropyLoss(), MarginalLoss()], [1.0, 2.0])
        >>> loss(torch.zeros(1, 3, 1), torch.tensor([[[5], [2]]]))  # log 3 + 2 log(3 / 2)
        tensor(1.9095)
    """

    def __init__(self, losses: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        if len(losses) != len(weights) or not losses:
            raise ValueError(f"expected one weight per loss, got {len(losses)} losses and {len(weights)} weights.")
        activations = [activation_of(loss) for loss in losses]
        if len(set(activations)) > 1:
            got = ", ".join(f"{type(loss).__name__} ({word})" for loss, word in zip(losses, activations, strict=True))
            raise ValueError(f"expected losses that read the logits alike, got {got}.")
        self.activation = activations[0]
        self.losses = nn.ModuleList(losses)
        self.weights = weights

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss of logits (B, C, *spatial) for a label-set map (B, 2, *spatial)."""
        parts = [weight * loss(input, target) for loss, weight in zip(self.losses, self.weights, strict=True)]
        return torch.stack(parts).sum(dim=0)
