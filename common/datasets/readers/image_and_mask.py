"""Read an image and the mask that annotates it from two files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from nibabel.orientations import aff2axcodes

from ..files.images import read_annotation, read_grey
from ..files.volume.plane import read_plane
from ..files.volume.voxels import in_the_same_place
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

    Raises:
        ValueError: if a file cannot be used, or the mask is not where the image is; files that do not state where they
            lie are taken as they are stored.
    """
    grey, spacing = read_grey(image, frame)
    annotation, mask_spacing = read_annotation(mask, mask_frame)
    if grey.shape != annotation.shape:
        raise ValueError(f"{mask} has shape {annotation.shape}, its image {grey.shape}.")
    for other, name in ((mask_spacing, mask), (described, "the description")):
        if spacing and other and not np.allclose(spacing, other, rtol=1e-3):
            raise ValueError(f"{image} has spacing {spacing} mm, {name} {other} mm. Correct one of them.")
        spacing = spacing or other
    _check_place(image, mask, grey.shape)
    if unknown := sorted(set(np.unique(annotation).tolist()) - set(values)):
        raise ValueError(f"{mask} has the annotation values {unknown}, expected values among {list(values)}.")
    return Frame(grey, annotation.astype(np.uint8), spacing)


def _check_place(image: Path, mask: Path, shape: tuple[int, ...]) -> None:
    """Refuse a mask whose pixels lie elsewhere than those of its image, where both files state it."""
    plane, mask_plane = read_plane(image), read_plane(mask)
    if plane is None or mask_plane is None:
        return
    here, there = plane.affine, mask_plane.affine
    directions = {one.reversed_slices for one in (plane, mask_plane)} - {None}
    if len(directions) > 1 and here[:3, 2] @ there[:3, 2] > 0:
        raise ValueError(
            f"the slices of {image} and those of {mask} follow each other in opposite directions: the mask would be on "
            "another slice. Save it in the order of its image."
        )
    if not (plane.has_slice and mask_plane.has_slice):  # a frame of a clip and a still: compare within the plane
        normal = here[:3, 2] / np.linalg.norm(here[:3, 2])
        there[:3, 3] -= normal * (normal @ (there - here)[:3, 3])
    rows, columns = shape
    if in_the_same_place(there, here, (columns, rows, 1)):
        return
    axes, mask_axes = (" and ".join(aff2axcodes(one)[1::-1]) for one in (here, there))
    if axes != mask_axes:
        raise ValueError(
            f"rows and columns of {image} lead to {axes}, those of {mask} to {mask_axes}: "
            "the mask would be mirrored or turned. Save it in the order of its image."
        )
    last = (columns - 1, rows - 1, 0, 1)
    at, mask_at = (
        f"from {one[:3, 3].round(2).tolist()} to {(one @ last)[:3].round(2).tolist()}" for one in (here, there)
    )
    raise ValueError(
        f"{mask} lies {mask_at}, its image {image} {at} (mm to the right, front and top): the mask would be shifted. "
        "Resample it to its image, or correct the wrong header."
    )
