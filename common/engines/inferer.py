"""Inferers that turn logits into predictions, one rule per activation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer, SlidingWindowInferer
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

from ..losses.contract import ACTIVATIONS

__all__ = ["BackgroundReferenceInferer", "FramesInferer", "MixedPrecisionInferer", "ShiftedInferer", "inferer_for"]

LOGGER = logging.getLogger(__name__)
AUGMENTED = ("stills", "always", "never")
WINDOWS = 4  # of a sliding window at a time; affects only speed and memory


class BackgroundReferenceInferer(Inferer):
    """Run the network and set its background logit to 0.

    Adaptive binary cross entropy trains one sigmoid per foreground class and leaves the background logit untrained: the
    most likely class is the argmax over [0, z_1, ..., z_C-1].

    Args:
        inferer: runs the network; None: once, on the whole image.
    """

    def __init__(self, inferer: Inferer | None = None) -> None:
        self.inferer = SimpleInferer() if inferer is None else inferer

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Return the logits (B, C, *spatial) with channel 0 set to zero."""
        logits = self.inferer(inputs, network, *args, **kwargs)
        return torch.cat([torch.zeros_like(logits[:, :1]), logits[:, 1:]], dim=1)


class ShiftedInferer(Inferer):
    """Average the probabilities over nine rotated and scaled copies of each square image (test-time augmentation).

    Probabilities are those that the logits are trained for: a softmax, or one sigmoid for each foreground class. The
    result is read like the logits: the logarithm of the mean softmax, or the log-odds of the mean sigmoids, with the
    background at 0. Copies are interpolated bilinearly, run through the network together, and moved back.

    Args:
        inferer: runs the network.
        activation: how its logits are read, "softmax" or "sigmoid" (the background logit is 0).

    Raises:
        ValueError: if `activation` is another word.
    """

    def __init__(self, inferer: Inferer, activation: str = "softmax") -> None:
        _check(activation)
        self.inferer = inferer
        self.activation = activation
        self.copies = list(product((0.0, 12.0, -12.0), (1.0, 1.15, 0.85)))  # degrees, enlargement

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Return logits, (B, C, H, W)."""
        moved = _move(inputs.repeat_interleave(len(self.copies), dim=0), self.copies, "zeros")
        logits = self.inferer(moved, network, *args, **kwargs)
        probability = logits.sigmoid() if self.activation == "sigmoid" else logits.softmax(dim=1)
        back = _move(probability, [(-rotation, 1 / zoom) for rotation, zoom in self.copies], "border")
        mean: Tensor = back.view(len(inputs), len(self.copies), *back.shape[1:]).mean(dim=1)
        tiny = torch.finfo(mean.dtype).tiny  # minus infinity would become NaN when the logits are enlarged
        averaged = mean.clamp_min(tiny).log()
        return averaged - (1 - mean).clamp_min(tiny).log() if self.activation == "sigmoid" else averaged


def _move(images: Tensor, motions: list[tuple[float, float]], padding: str) -> Tensor:
    """Rotate and scale images by the motions (degrees, zoom) in turn."""
    degrees, zoom = torch.tensor(motions, device=images.device).T
    angle = torch.deg2rad(degrees)
    cos, sin, zero = angle.cos() / zoom, angle.sin() / zoom, torch.zeros_like(angle)
    affine = torch.stack([torch.stack([cos, -sin, zero], dim=1), torch.stack([sin, cos, zero], dim=1)], dim=1)
    grid = affine_grid(affine.repeat(len(images) // len(motions), 1, 1), list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode=padding, align_corners=False)


class FramesInferer(Inferer):
    """Run the network on the frames of a scan, a few at a time.

    Args:
        inferer: runs the network on a batch.
        batch_size: frames at a time; affects only speed and memory.
        augmented: which scans are averaged over rotated and scaled copies (`ShiftedInferer`): "stills" (one frame),
            "always" or "never".
        activation: how logits are read, "softmax" or "sigmoid".

    Raises:
        ValueError: if `augmented` or `activation` is another word.

    Example:
        >>> FramesInferer(SimpleInferer(), 2)(torch.ones(3, 1, 4, 4), nn.Identity()).shape
        torch.Size([3, 1, 4, 4])
    """

    def __init__(
        self, inferer: Inferer, batch_size: int, augmented: str = "never", activation: str = "softmax"
    ) -> None:
        if augmented not in AUGMENTED:
            raise ValueError(f"expected augmented to be one of {', '.join(AUGMENTED)}, got {augmented!r}.")
        self.inferer = inferer
        self.batch_size = batch_size
        self.augmented = augmented
        self.shifted = ShiftedInferer(inferer, activation)

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Return the logits of all frames, (frames, C, *spatial); without frames, the inputs."""
        averaged = self.augmented == "always" or (self.augmented == "stills" and len(inputs) == 1)
        inferer, size = (self.shifted, 1) if averaged else (self.inferer, self.batch_size)
        parts = [inferer(part, network, *args, **kwargs) for part in torch.split(inputs, size) if len(part)]
        return torch.cat(parts) if parts else inputs


class MixedPrecisionInferer(Inferer):
    """Run the network in bfloat16 where torch finds that safe, on any device, and return float32 logits.

    bfloat16 has the range of float32, so gradients need no scaling; weights, loss and metrics stay in float32. Where a
    processor can only imitate it, which the log says, a step takes ten times as long.

    Example:
        >>> MixedPrecisionInferer(SimpleInferer())(torch.ones(1, 1, 2, 2), nn.Conv2d(1, 3, 1)).dtype
        torch.float32
    """

    def __init__(self, inferer: Inferer) -> None:
        self.inferer = inferer
        if not torch.cuda.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX2":
            LOGGER.warning("this processor computes bfloat16 slowly (no AVX-512); --amp false is faster")

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Return logits, float32, (B, C, *spatial)."""
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16):
            logits: Tensor = self.inferer(inputs, network, *args, **kwargs)
        return logits.float()


def inferer_for(
    activation: str, amp: bool = False, patch_size: Sequence[int] | None = None, outside: float = 0.0
) -> Inferer:
    """Return the inferer for logits that are read in a certain way.

    Args:
        activation: "softmax" (classes exclude each other) or "sigmoid" (one sigmoid per foreground class).
        amp: compute in bfloat16 (`MixedPrecisionInferer`).
        patch_size: voxels of a window that slides over the volume by half of its size, (x, y, z); logits are averaged
            with Gaussian weights, so that the middle of a window counts most. None: the whole image at once.
        outside: value that pads a volume smaller than the window, in the units of the image.

    Raises:
        ValueError: for another word.

    Example:
        >>> type(inferer_for("softmax")).__name__
        'SimpleInferer'
        >>> inferer_for("softmax", patch_size=(4, 4, 4))(torch.ones(1, 1, 9, 3, 6), nn.Identity()).shape
        torch.Size([1, 1, 9, 3, 6])
    """
    _check(activation)
    inferer: Inferer = SimpleInferer()
    if patch_size is not None:
        inferer = SlidingWindowInferer(
            tuple(patch_size), sw_batch_size=WINDOWS, overlap=0.5, mode="gaussian", cval=outside
        )
    if activation == "sigmoid":
        inferer = BackgroundReferenceInferer(inferer)
    return MixedPrecisionInferer(inferer) if amp else inferer


def _check(activation: str) -> None:
    if activation not in ACTIVATIONS:
        raise ValueError(f"expected activation to be one of {', '.join(ACTIVATIONS)}, got {activation!r}.")
