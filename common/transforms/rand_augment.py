"""Random geometry and appearance of a batch, on its device."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from .draws import DrawsPerImage

__all__ = ["RandAugmentd"]


class RandAugmentd(DrawsPerImage):
    """Scale, rotate, shift and blur each image of a batch and change its brightness and contrast.

    Geometry moves the integer annotation with the image, before it is encoded as a label-set map, so pixels that enter
    at the border have annotation value 0 and its label set in the image's dataset, or are ignored if it has none. Grey
    values stay in [0, 1].

    Args:
        scale: largest change of size, as a fraction (0.15: factors of 0.85 to 1.15).
        rotation: largest angle, degrees.
        shift: largest displacement, as a fraction of the image side.
        blur: largest standard deviation of the Gaussian blur, pixels.
        brightness: largest grey value added, as a fraction of the range.
        contrast: largest change of contrast, as a fraction.
        prob: probability of blur, of brightness and of contrast, per image; geometry always varies.

    Example:
        >>> augment = RandAugmentd(rotation=10.0)
        >>> _ = augment.set_random_state(0)
        >>> batch = {"image": torch.ones(2, 1, 8, 8), "label": torch.ones(2, 1, 8, 8, dtype=torch.uint8)}
        >>> augment(batch)["label"].dtype
        torch.uint8
    """

    def __init__(
        self,
        scale: float = 0.15,
        rotation: float = 15.0,
        shift: float = 0.05,
        blur: float = 1.0,
        brightness: float = 0.15,
        contrast: float = 0.25,
        prob: float = 0.5,
    ) -> None:
        super().__init__()
        self.scale, self.rotation, self.shift = scale, rotation, shift
        self.blur, self.brightness, self.contrast = blur, brightness, contrast
        self.prob = prob

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Augment `image` (B, 1, H, W) in [0, 1] and the integer `label` (B, 1, H, W) of a batch, by its `index`."""
        image, label = data["image"], data["label"]
        draws = self.draw(data, 10).to(image.device).T
        grow, turn, down, right, blur, brighten, stretch = 2 * draws[:7] - 1
        changed = draws[7:] < self.prob  # blur, brightness, contrast
        grid = _grid(image, 1 + self.scale * grow, self.rotation * turn, self.shift * torch.stack([right, down], dim=1))
        image, moved = (
            grid_sample(each, grid, mode=mode, padding_mode="zeros", align_corners=False)
            for each, mode in ((image, "bilinear"), (label.to(image.dtype), "nearest"))
        )
        image = _blurred(image, torch.where(changed[0], self.blur * (blur + 1) / 2, 0), self.blur)
        image = (image + _per_image(self.brightness * brighten * changed[1])).clamp_(0, 1)
        image = (image * _per_image(1 + self.contrast * stretch * changed[2])).clamp_(0, 1)
        return {**data, "image": image, "label": moved.to(label.dtype)}


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _grid(image: Tensor, zoom: Tensor, degrees: Tensor, shift: Tensor) -> Tensor:
    """Return where each pixel comes from if images are scaled and rotated about their centre, then shifted.

    Args:
        image: (B, 1, H, W), for its shape.
        zoom: factors, (B,).
        degrees: counter-clockwise, (B,).
        shift: fraction of the side, (right, down), (B, 2).
    """
    height, width = image.shape[2:]
    angle = torch.deg2rad(degrees)
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    back = torch.stack([cos, -sin * height / width, sin * width / height, cos], dim=1).view(-1, 2, 2)
    offset = back @ (-2 * shift.unsqueeze(2))  # the grid runs from -1 to 1
    return affine_grid(torch.cat([back, offset], dim=2), list(image.shape), align_corners=False)


def _blurred(image: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Convolve each image with its own Gaussian, sigma (B,) in pixels; 0 leaves it as it is, to the last bit."""
    reach = max(1, round(2 * largest))  # two standard deviations
    distance = torch.arange(-reach, reach + 1, device=image.device)
    weight = torch.exp(-0.5 * (distance / sigma.clamp(min=0.01).unsqueeze(1)) ** 2)
    weight = weight / weight.sum(dim=1, keepdim=True)
    for axis, padding in ((3, (reach, reach, 0, 0)), (2, (0, 0, reach, reach))):
        padded = pad(image, padding, mode="reflect")
        taps = (padded.narrow(axis, tap, image.shape[axis]) for tap in range(2 * reach + 1))
        image = next(taps) * _per_image(weight[:, 0])
        for tap, values in enumerate(taps, start=1):
            image.addcmul_(values, _per_image(weight[:, tap]))
    return image
