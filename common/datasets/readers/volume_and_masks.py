"""Read a volume and what annotates it: one mask file, or one for each structure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

from ..files.volume.volume_file import as_labels, is_segmentation, read_mask, read_voxels
from ..files.volume.voxels import Affine, Voxels, affine_of_letters, in_the_same_place, spacing_of_affine
from ..prepared.source import values_in
from ..volumes.volume import Volume

__all__ = ["read_volume_and_masks"]


def read_volume_and_masks(
    image: Path,
    *masks: Path,
    values: Collection[int],
    structures: Sequence[int] | None = None,
    orientation: str | None = None,
    empty_slices: int | None = None,
) -> Volume:
    """Read one annotated volume.

    Args:
        image: its file.
        masks: one file of annotation values, or one for each of `structures`; without, nothing is annotated.
        values: allowed annotation values.
        structures: value of the structure that each mask file outlines (every voxel that is not 0; whole numbers from
            0); where masks overlap, the later one counts. None: one mask holds all values.
        orientation: letters of the axes of files that do not state how they lie (`affine_of_letters`).
        empty_slices: value of slices, along the last axis of the file, in which the mask is 0 everywhere.

    Raises:
        ValueError: if a file cannot be used, or masks are not where the image is.
    """
    voxels = read_voxels(image)
    affine = voxels.affine
    if affine is None:
        if orientation is None:
            raise ValueError(
                f"{image} does not say how its axes lie in the patient, so left and right are unknown; state it in the "
                "description, such as 'orientation: LPS'."
            )
        affine = affine_of_letters(orientation, voxels.lengths)
    if structures is None:
        (mask,) = masks
        label = as_labels(_placed(read_mask(mask), mask, voxels, affine, image), mask)
        if unknown := sorted(set(values_in(label)) - set(values)):
            raise ValueError(f"{mask} has the annotation values {unknown}, expected values among {sorted(values)}.")
        label = np.array(label)
    else:
        label = np.zeros(voxels.values.shape, np.uint8)
        for value, mask in zip(structures, masks, strict=True):
            outlined = _placed(read_mask(mask), mask, voxels, affine, image).values
            if not ((outlined >= 0) & (outlined % 1 == 0)).all():
                raise ValueError(
                    f"{mask} has fractions or negative values, so the outline of its structure is not clear; save 1 "
                    "where the structure is, 0 elsewhere."
                )
            label[outlined != 0] = value
    if empty_slices is not None:
        label[:, :, ~label.any(axis=(0, 1))] = empty_slices
    return Volume(voxels.values, label, affine)


def _placed(mask: Voxels, path: Path, voxels: Voxels, affine: Affine, image: Path) -> Voxels:
    """Return a mask in the order of the image's voxels; refuse one that lies elsewhere."""
    if mask.affine is None and mask.values.shape == voxels.values.shape:
        return mask
    own = affine if mask.affine is None else mask.affine
    order = ornt_transform(io_orientation(own), io_orientation(affine))
    placed: NDArray[np.generic] = np.asarray(apply_orientation(mask.values, order))
    there = own @ inv_ornt_aff(order, mask.values.shape)
    if is_segmentation(path):
        placed, there = _padded(placed, there, affine, voxels.values.shape)
    if placed.shape != voxels.values.shape or not in_the_same_place(there, affine, placed.shape):
        sizes = [
            f"{' x '.join(map(str, values.shape))} voxels of {' x '.join(f'{one:g}' for one in spacing_of_affine(at))} "
            f"mm from {at[:3, 3].round(2).tolist()}"
            for values, at in ((mask.values, own), (voxels.values, affine))
        ]
        raise ValueError(
            f"{path} does not lie where its image {image} lies ({sizes[0]}; {sizes[1]}); resample "
            "the mask to the image."
        )
    return Voxels(placed, affine, voxels.lengths)


def _padded(
    values: NDArray[np.generic], there: Affine, affine: Affine, shape: tuple[int, ...]
) -> tuple[NDArray[np.generic], Affine]:
    """Return a part of a mask as a mask of the whole image, if it lies on its voxels and inside."""
    start = np.linalg.solve(affine, there[:, 3])[:3].round().astype(int)
    if (start < 0).any() or (start + values.shape > shape).any():
        return values, there
    whole = np.zeros(shape, values.dtype)
    whole[tuple(slice(one, one + size) for one, size in zip(start, values.shape, strict=True))] = values
    moved = there.copy()
    moved[:3, 3] -= there[:3, :3] @ start
    return whole, moved
