"""Check what MONAI has loaded, and show a network its grey values, as a transform of MONAI."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..files.grey import as_bytes, luma
from ..files.unreadable import Unreadable

__all__ = ["GreyImaged"]

COLOURS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # channels: Pillow's name
STILLS_ONLY = "two-dimensional images only; measure.yaml reads clips"


class GreyImaged(MapTransform, InvertibleTransform):
    """Turn a loaded image into upright 8-bit grey values, as `read_grey` does; the inverse restores MONAI's axes.

    MONAI reads (columns, rows), with an axis of one slice from some files; networks see (rows, columns).

    Args:
        keys: of the images, (channels, columns, rows) or (channels, columns, rows, 1).
        allow_missing_keys: pass over keys that are not in the data.

    Raises:
        ValueError: for clips, volumes, and values other than the integers 0 to 255.

    Example:
        >>> shown = GreyImaged("image")({"image": torch.tensor([255.0, 0.0, 0.0]).reshape(3, 1, 1).expand(3, 4, 5)})
        >>> shown["image"].shape, float(shown["image"].max())  # red is dark
        (torch.Size([1, 5, 4]), 76.0)
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with float images, (1, rows, columns), 0 to 255."""
        found = dict(data)
        for key in self.key_iterator(found):
            image = convert_to_tensor(found[key], track_meta=True)
            meta = dict(image.meta)
            try:
                grey = _grey(image, meta)
            except Unreadable as error:
                raise ValueError(f"{meta.get('filename_or_obj', key)}: {error}") from None
            # SaveImage reads both: with three sizes, it would take the channel for an axis in space
            meta |= {"spatial_shape": np.array(grey.T.shape), "original_channel_dim": math.nan}
            shown = MetaTensor(torch.tensor(grey)[None].float(), meta=meta, applied_operations=image.applied_operations)
            self.push_transform(shown, extra_info={"affine": image.affine})
            found[key] = shown
        return found

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with images, or predictions, (channels, columns, rows), and the affine of the image."""
        found = dict(data)
        for key in self.key_iterator(found):
            affine = self.pop_transform(found[key])["extra_info"]["affine"]
            found[key] = found[key].transpose(1, 2)
            found[key].affine = affine
        return found


def _grey(image: Tensor, meta: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Return the grey values of a loaded image, (rows, columns)."""
    pixels = np.asarray(image)
    channels, *sizes = pixels.shape
    is_clip = channels > 1 and "pixdim" in meta  # the channels of NIfTI are frames
    if len(sizes) < 2 or any(size > 1 for size in sizes[2:]) or is_clip or channels not in COLOURS:
        raise Unreadable(
            f"expected one image, got {' x '.join(map(str, sizes))} pixels with {channels} channels or frames "
            f"({STILLS_ONLY})."
        )
    if (mode := meta.get("mode", COLOURS[channels])) in ("1", "P", "PA", "CMYK"):  # MONAI drops what the numbers mean
        raise Unreadable(f"its pixels are stored as {mode!r}, not as grey values or RGB. Convert it to 8 bit.")
    values = as_bytes(pixels.reshape(channels, *sizes[:2]).T)  # (rows, columns, channels)
    return values[..., 0] if channels == 1 else luma(Image.fromarray(values, COLOURS[channels]))
