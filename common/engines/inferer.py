"""How logits become a prediction for each loss."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

__all__ = ["BackgroundReferenceInferer", "FramesInferer", "ShiftedInferer", "inferer_for"]

AUGMENTED = ("stills", "always", "never")


class BackgroundReferenceInferer(SimpleInferer):
    """Run the network and set its background logit to 0.

    Adaptive binary cross entropy trains one sigmoid a foreground class and leaves the background logit untrained:
    the most likely class is the argmax over [0, z_1, ..., z_C-1].
    """

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Return the logits (B, C, *spatial) with channel 0 at zero."""
        logits = super().__call__(inputs, network, *args, **kwargs)
        return torch.cat([torch.zeros_like(logits[:, :1]), logits[:, 1:]], dim=1)


class ShiftedInferer(Inferer):
    """Average the probabilities over rotated and scaled copies of each image (test-time augmentation).

    Costs one run of the network a copy. The logarithm of the mean probability is returned, whose most likely class is
    that of the mean; the copies are bilinear, and turned back.

    Args:
        inferer: that runs the network.
        rotation: degrees; one copy is turned to either side.
        scale: one copy is so much larger, one so much smaller, as a fraction.
    """

    def __init__(self, inferer: Inferer, rotation: float = 8.0, scale: float = 0.1) -> None:
        self.inferer = inferer
        self.rotation = rotation
        self.scale = scale

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Return log probabilities, (B, C, H, W)."""
        total = self.inferer(inputs, network, *args, **kwargs).softmax(dim=1)
        copies = [(self.rotation, 1.0), (-self.rotation, 1.0), (0.0, 1 + self.scale), (0.0, 1 - self.scale)]
        for rotation, scale in copies:
            there, back = (_affine(angle, zoom, inputs) for angle, zoom in ((rotation, scale), (-rotation, 1 / scale)))
            moved = grid_sample(
                inputs, affine_grid(there, list(inputs.shape), align_corners=False), align_corners=False
            )
            probability = self.inferer(moved, network, *args, **kwargs).softmax(dim=1)
            grid = affine_grid(back, list(probability.shape), align_corners=False)
            total = total + grid_sample(probability, grid, padding_mode="border", align_corners=False)
        averaged: Tensor = (total / (1 + len(copies))).log()
        return averaged


def _affine(degrees: float, zoom: float, inputs: Tensor) -> Tensor:
    """Return the affine maps (B, 2, 3) that turn images and enlarge them `zoom` times."""
    angle = torch.deg2rad(torch.tensor(degrees, device=inputs.device))
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    zero = torch.zeros_like(cos)
    one = torch.stack([torch.stack([cos, -sin, zero]), torch.stack([sin, cos, zero])])
    return one.expand(len(inputs), 2, 3)


class FramesInferer(Inferer):
    """Run the network on the frames of a scan, a few at a time.

    Args:
        inferer: that runs the network on a batch.
        batch_size: frames at a time; changes speed and memory only.
        augmented: what is averaged over turned and scaled copies (`ShiftedInferer`): "stills", "always" or "never".

    Raises:
        ValueError: for another word.

    Example:
        >>> FramesInferer(SimpleInferer(), 2)(torch.ones(3, 1, 4, 4), nn.Identity()).shape
        torch.Size([3, 1, 4, 4])
    """

    def __init__(self, inferer: Inferer, batch_size: int, augmented: str = "never") -> None:
        if augmented not in AUGMENTED:
            raise ValueError(f"augmented is {augmented!r}; it is one of {', '.join(AUGMENTED)}.")
        self.inferer = inferer
        self.batch_size = batch_size
        self.augmented = augmented

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Return the logits of all frames, (frames, C, *spatial); of no frames the inputs."""
        averaged = self.augmented == "always" or (self.augmented == "stills" and len(inputs) == 1)
        inferer = ShiftedInferer(self.inferer) if averaged else self.inferer
        parts = [inferer(part, network, *args, **kwargs) for part in torch.split(inputs, self.batch_size) if len(part)]
        return torch.cat(parts) if parts else inputs


def inferer_for(loss: str) -> Inferer:
    """Return the inferer that reads the logits as the named loss trained them.

    Example:
        >>> type(inferer_for("marginal")).__name__
        'SimpleInferer'
    """
    return BackgroundReferenceInferer() if loss.startswith("adaptive_bce") else SimpleInferer()
