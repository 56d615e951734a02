"""Read an image and the mask that annotates it from two files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files.images import axes_of, read_annotation, read_grey
from ..prepared.source import Frame

__all__ = ["read_image_and_mask"]


def read_image_and_mask(
    image: Path,
    mask: Path,
    values: Sequence[int],
    frame: int | None = None,
    mask_frame: int | None = None,
    described: tuple[float, float] | None = None,
) -> Frame:
    """Read one annotated image.

    Args:
        image: file of grey values.
        mask: file of annotation values.
        values: allowed annotation values.
        frame: 0-based, in an image file of several; None expects a single one.
        mask_frame: likewise in the mask file.
        described: mm per pixel, (row, column), for files without spacing; None if unknown.
    """
    grey, spacing = read_grey(image, frame)
    annotation, mask_spacing = read_annotation(mask, mask_frame)
    if grey.shape != annotation.shape:
        raise ValueError(f"{mask} has shape {annotation.shape}, its image {grey.shape}.")
    for other, name in ((mask_spacing, mask), (described, "the description")):
        if spacing and other and not np.allclose(spacing, other, rtol=1e-3):
            raise ValueError(f"{image} has spacing {spacing} mm, {name} {other} mm. Correct one of them.")
        spacing = spacing or other
    axes, mask_axes = axes_of(image), axes_of(mask)
    if axes and mask_axes and axes != mask_axes:
        raise ValueError(
            f"rows and columns of {image} lead to {' and '.join(axes)}, those of {mask} to {' and '.join(mask_axes)}: "
            "the mask would be mirrored or turned. Save it in the order of its image."
        )
    if unknown := sorted(set(np.unique(annotation).tolist()) - set(values)):
        raise ValueError(f"{mask} has the annotation values {unknown}, expected values among {list(values)}.")
    return Frame(grey, annotation.astype(np.uint8), spacing)
