"""Show a network the ultrasound sector alone, as a transform of MONAI."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import Crop, InvertibleTransform, MapTransform

from ..files.scan import Scan
from .finder import SectorFinder
from .framing import frame
from .grey_image import GreyImaged

__all__ = ["MaskSectord"]


class MaskSectord(MapTransform, InvertibleTransform):
    """Do what `GreyImaged` does, blacken what is beside the ultrasound sector and crop to it, as `frame` does.

    The inverse restores size and axes. The sector is found by geometry; without one, the image stays whole.

    Args:
        keys: of the images, as for `GreyImaged`.
        allow_missing_keys: pass over keys that are not in the data.

    Raises:
        ValueError: as for `GreyImaged`.

    Example:
        >>> import torch
        >>> from .geometry import Sector
        >>> sector = Sector((10, 100), -40, 40, inner=0, outer=150, frame=(0, 0, 199, 199)).mask((200, 200))
        >>> image = np.random.default_rng(0).integers(40, 200, (200, 200)) * sector
        >>> image[:5, :60] = 255  # a name
        >>> shown = MaskSectord("image")({"image": torch.from_numpy(image.T)[None].float()})["image"]
        >>> shown.shape[1] < 160, bool(shown.max() == 255)
        (True, False)
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.grey = GreyImaged(keys, allow_missing_keys)
        self.cropper = Crop()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with masked and cropped images."""
        found = self.grey(data)
        for key in self.key_iterator(found):
            image = found[key]
            framing = frame(Scan(np.asarray(image).astype(np.uint8)), SectorFinder())
            top, left, bottom, right = framing.box
            seen = image.new_tensor(framing.seen)
            found[key] = self.cropper(image * seen, (slice(top, bottom), slice(left, right)))
        return found

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with images, or predictions, in their size and axes before; what was cut off is 0."""
        found = dict(data)
        for key in self.key_iterator(found):
            found[key] = self.cropper.inverse(found[key])
        return self.grey.inverse(found)
