"""Where a teacher is certain: the mask of the uncertainty-aware Mean Teacher (UA-MT)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .ramp import gaussian_ramp

__all__ = ["noisy", "threshold", "uncertainty"]


def uncertainty(probabilities: Tensor, activation: str = "softmax") -> Tensor:
    """Return the entropy of each pixel, as a fraction of the largest possible one.

    With one sigmoid per class it is the mean over the foreground classes of the entropies of presence and absence.

    Args:
        probabilities: mean of those of several passes, (B, C, *spatial).
        activation: of the logits from which they are, "softmax" or "sigmoid".

    Returns:
        0 (certain) to 1, (B, *spatial).

    References:
        Yu et al. (2019), Uncertainty-aware self-ensembling model for semi-supervised 3D left atrium segmentation.

    Example:
        >>> uncertainty(torch.tensor([[[0.25, 1.0, 0.0], [0.25, 0.0, 0.5], [0.25, 0.0, 0.5], [0.25, 0.0, 0.0]]]))
        tensor([[1.0000, 0.0000, 0.5000]])
    """
    entropy: Tensor = torch.special.entr(probabilities)
    if activation == "sigmoid":
        entropy = entropy + torch.special.entr(1 - probabilities)
        return entropy[:, 1:].mean(dim=1) / math.log(2)
    return entropy.sum(dim=1) / math.log(probabilities.shape[1])


def threshold(progress: float) -> float:
    """Return the uncertainty from which pixels are left out: three quarters of the largest at first, in the end all.

    Args:
        progress: fraction of the training that is done, 0 to 1.

    Example:
        >>> [round(threshold(step / 4), 4) for step in range(5)]
        [0.7517, 0.765, 0.8216, 0.9329, 1.0]
    """
    return 0.75 + 0.25 * gaussian_ramp(progress)


def noisy(image: Tensor, deviation: float) -> Tensor:
    """Return images with Gaussian noise of a standard deviation, at most twice that."""
    return image + (deviation * torch.randn_like(image)).clamp(-2 * deviation, 2 * deviation)
