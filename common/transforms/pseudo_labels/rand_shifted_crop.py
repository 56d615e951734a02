"""The random part of co-training: a shifted crop of each image, and a box that is cut out of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import pad

from ..draws import DrawsPerImage
from .cut import boxes
from .shifts import crop, shifts

__all__ = ["RandShiftedCropd", "surroundings"]


def surroundings(size: Sequence[int], multiple: int) -> list[int]:
    """Return the size of images in which a crop can be shifted: `shifts` to either side.

    Example:
        >>> surroundings([64, 64, 32], 8)
        [96, 96, 48]
    """
    return [length + 2 * int(step) for length, step in zip(size, shifts(size, multiple).abs()[0], strict=True)]


class RandShiftedCropd(DrawsPerImage):
    """Crop the centre of each image, draw a crop that is shifted against it, and a box (`CoTraining`).

    Images that have the size of the crop are padded first, each with its lowest value; what is not there is ignored.

    Args:
        size: of the crop, pixels along each axis.
        multiple: pixels by which crops are shifted, as `shifts`.

    Raises:
        ValueError: as `shifts`.

    Example:
        >>> batch = {"image": torch.zeros(1, 1, 64, 64), "label": torch.ones(1, 2, 64, 64, dtype=torch.int64)}
        >>> result = RandShiftedCropd([64, 64], multiple=16)(batch)
        >>> result["shifted_label"].shape, result["shift"].abs()
        (torch.Size([1, 2, 64, 64]), tensor([[16, 16]]))
    """

    def __init__(self, size: Sequence[int], multiple: int = 16) -> None:
        super().__init__()
        self.size, self.multiple = list(size), multiple
        self.shifts, self.around = shifts(size, multiple), surroundings(size, multiple)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace `image` (B, K, *spatial) and the label-set maps `label` by crops, given `index`.

        Add `shifted_image` and `shifted_label`, of the same size; `shift`, pixels, int64, (B, axes), on the CPU; and
        `cut`, bool, (B, *size), false in a box.
        """
        draws = self.draw(data, 2 + len(self.size)).cpu()
        shift = self.shifts[(draws[:, 0] * len(self.shifts)).long()]
        image, label = data["image"], data["label"]
        if (space := [most - own for most, own in zip(self.around, image.shape[2:], strict=True)]) and max(space) > 0:
            sides = [side for more in reversed(space) for side in (more // 2, more - more // 2)]
            lowest = image.flatten(start_dim=1).amin(dim=1).view(-1, *[1] * (image.ndim - 1))
            there = pad(torch.ones_like(image, dtype=torch.bool), sides)
            image, label = torch.where(there, pad(image, sides), lowest), pad(label, sides)
        crops: dict[Hashable, Any] = {
            f"{kind}{name}": crop(whole, self.size, by)
            for kind, by in (("", torch.zeros_like(shift)), ("shifted_", shift))
            for name, whole in (("image", image), ("label", label))
        }
        return {**data, **crops, "shift": shift, "cut": boxes(draws[:, 1:], self.size, image.device)}
