"""The layout of a prepared folder of volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ..prepared.layout import image_digest

__all__ = ["read_volume_pair"]


def read_volume_pair(item: Mapping[str, Any], stated: str | None = None) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Map the image, int16, and the annotation, uint8, of an item into memory, (x, y, z).

    Args:
        item: of a datalist, with absolute paths.
        stated: digest of both in the journal (`stated_pixels`); None: unknown.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if they are not what was prepared.
    """
    image, label = (
        np.asanyarray(nib.Nifti1Image.from_filename(item[key], mmap="c").dataobj) for key in ("image", "label")
    )
    if stated is not None and image_digest(image.T, label.T, {}) != stated:
        raise ValueError(f"{item['image']} or its annotation {item['label']} is not what was prepared.")
    return image, label
