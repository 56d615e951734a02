"""Random geometry and appearance of a batch, on its device."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from kornia.enhance import adjust_brightness, adjust_contrast
from kornia.filters import gaussian_blur2d
from kornia.geometry.conversions import normalize_homography
from kornia.geometry.transform import get_affine_matrix2d
from torch.nn.functional import affine_grid, grid_sample

from .draws import DrawsPerImage

__all__ = ["RandAugmentd"]


class RandAugmentd(DrawsPerImage):
    """Scale, rotate, shift and blur each image of a batch and change its brightness and contrast (kornia).

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

    Raises:
        ValueError: if a number is outside its range.

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
        largest = {"scale": 0.99, "rotation": 180, "shift": 1, "blur": 100, "brightness": 1, "contrast": 1, "prob": 1}
        values = (scale, rotation, shift, blur, brightness, contrast, prob)
        for (name, most), value in zip(largest.items(), values, strict=True):
            if not 0 <= value <= most:
                raise ValueError(f"RandAugmentd: expected {name} from 0 to {most}, got {value}.")
        self.scale, self.rotation, self.shift = scale, rotation, shift
        self.blur, self.brightness, self.contrast = blur, brightness, contrast
        self.prob = prob

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Augment `image` (B, 1, H, W) in [0, 1] and the integer `label` (B, 1, H, W) of a batch, by its `index`."""
        image, label = data["image"], data["label"]
        size = image.shape[2:]
        draws = self.draw(data, 10)
        blurred = (draws[:, 7] < self.prob).nonzero()[:, 0].to(image.device)  # chosen where the draws are: no sync
        draws = draws.T.to(image.device)
        grow, turn, down, right, blur, brighten, stretch = 2 * draws[:7] - 1
        changed = draws[8:] < self.prob  # brightness, contrast
        sides = torch.tensor([size[1], size[0]], device=image.device)
        centre = ((sides - 1) / 2).expand(len(image), 2)
        zoom = (1 + self.scale * grow).unsqueeze(1).expand(-1, 2)
        shift = self.shift * torch.stack([right, down], dim=1) * sides
        matrix = get_affine_matrix2d(shift, centre, zoom, self.rotation * turn)
        back, _ = torch.linalg.inv_ex(normalize_homography(matrix, size, size))  # `inv` waits for a GPU
        grid = affine_grid(back[:, :2], list(image.shape), align_corners=True)  # one for image and annotation
        moved, label_moved = (
            grid_sample(each.to(image.dtype), grid, mode=mode, align_corners=True)
            for each, mode in ((image, "bilinear"), (label, "nearest"))
        )
        width = 2 * max(1, round(2 * self.blur)) + 1  # covers two standard deviations on each side
        sigma = (self.blur * (blur + 1) / 2).clamp(min=0.1).unsqueeze(1).expand(-1, 2)
        if len(blurred):
            soft = gaussian_blur2d(moved[blurred], (width, width), sigma[blurred])
            moved = moved.index_copy(0, blurred, soft)
        image = adjust_brightness(moved, self.brightness * brighten * changed[0])
        image = adjust_contrast(image, 1 + self.contrast * stretch * changed[1])
        return {**data, "image": image, "label": label_moved.to(label.dtype)}
