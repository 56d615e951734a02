"""Show a network the ultrasound sector alone, as a transform of MONAI."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import Crop, InvertibleTransform, MapTransform
from numpy.typing import NDArray
from torch import Tensor

from ..files.scan import Scan
from .finder import SectorFinder
from .framing import frame

__all__ = ["MaskSectord"]


class MaskSectord(MapTransform, InvertibleTransform):
    """Blacken what is beside the ultrasound sector and crop to it, as `frame` does; the inverse restores the size.

    The sector is found by geometry; without one, the image stays as it is.

    Args:
        keys: of the images, (1, rows, columns), grey values 0 to 255.
        allow_missing_keys: pass over keys that are not in the data.

    Raises:
        ValueError: for an image of another shape or range.

    Example:
        >>> import torch
        >>> from .geometry import Sector
        >>> sector = Sector((10, 100), -40, 40, inner=0, outer=150, frame=(0, 0, 199, 199)).mask((200, 200))
        >>> image = np.random.default_rng(0).integers(40, 200, (200, 200)) * sector
        >>> image[:5, :60] = 255  # a name
        >>> shown = MaskSectord("image")({"image": torch.from_numpy(image)[None].float()})["image"]
        >>> shown.shape[1] < 160, bool(shown.max() == 255)
        (True, False)
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.cropper = Crop()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with masked and cropped images."""
        found = dict(data)
        for key in self.key_iterator(found):
            image = found[key]
            framing = frame(Scan(_grey(image)[None]), SectorFinder())
            top, left, bottom, right = framing.box
            seen = image.new_tensor(framing.seen)
            found[key] = self.cropper(image * seen, (slice(top, bottom), slice(left, right)))
        return found

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with images, or predictions, in their size before cropping; what was cut off is 0."""
        found = dict(data)
        for key in self.key_iterator(found):
            found[key] = self.cropper.inverse(found[key])
        return found


def _grey(image: Tensor) -> NDArray[np.uint8]:
    pixels = np.asarray(image)
    low, high = float(pixels.min()), float(pixels.max())
    if pixels.ndim != 3 or len(pixels) != 1 or low < 0 or high > 255 or 0 < high <= 1:
        raise ValueError(
            f"expected grey values 0 to 255, (1, rows, columns), got {low:g} to {high:g}, {tuple(pixels.shape)}; "
            "mask the sector before values are scaled."
        )
    grey: NDArray[np.uint8] = pixels[0].round().astype(np.uint8)
    return grey
