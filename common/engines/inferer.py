"""How logits become a prediction for each loss."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor, nn

__all__ = ["BackgroundReferenceInferer", "inferer_for"]


class BackgroundReferenceInferer(SimpleInferer):
    """Run the network and set its background logit to 0.

    Adaptive binary cross entropy trains one sigmoid a foreground class and leaves the background logit untrained:
    the most likely class is the argmax over [0, z_1, ..., z_C-1].
    """

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Return the logits (B, C, *spatial) with channel 0 at zero."""
        logits = super().__call__(inputs, network, *args, **kwargs)
        return torch.cat([torch.zeros_like(logits[:, :1]), logits[:, 1:]], dim=1)


def inferer_for(loss: str) -> Inferer:
    """Return the inferer that reads the logits as the named loss trained them.

    Example:
        >>> type(inferer_for("marginal")).__name__
        'SimpleInferer'
    """
    return BackgroundReferenceInferer() if loss.startswith("adaptive_bce") else SimpleInferer()
