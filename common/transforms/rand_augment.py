"""Random geometry and appearance of a batch, on its device."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import kornia.augmentation as K
import torch
from kornia.constants import DataKey, Resample
from monai.transforms import Randomizable

__all__ = ["RandAugmentd"]


class RandAugmentd(Randomizable):
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
        self.scale, self.rotation, self.shift = scale, rotation, shift
        self.blur, self.brightness, self.contrast = blur, brightness, contrast
        self.prob = prob
        kernel = 2 * max(1, round(2 * blur)) + 1  # covers two standard deviations on each side
        self._augment = K.AugmentationSequential(
            K.RandomAffine(rotation, translate=(shift, shift), scale=(1 - scale, 1 + scale), p=1.0),
            K.RandomGaussianBlur((kernel, kernel), (0.1, max(blur, 0.11)), p=prob),  # kornia requires a sigma above 0
            K.RandomBrightness((1 - brightness, 1 + brightness), p=prob),  # kornia adds (factor - 1)
            K.RandomContrast((1 - contrast, 1 + contrast), p=prob),
            data_keys=["input", "mask"],
            extra_args={DataKey.MASK: {"resample": Resample.NEAREST, "align_corners": False}},
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Augment `image` (B, 1, H, W) in [0, 1] and the integer `label` (B, 1, H, W) of a batch."""
        # kornia draws from torch's global generator: seed it from our own state, then restore it. It draws on the CPU
        # whatever the device of the batch, so the generators of the GPUs are not affected.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(self.R.randint(2**31)))
            image, label = self._augment(data["image"], data["label"].float())
        return {**data, "image": image, "label": label.to(data["label"].dtype)}
