"""The layout of a prepared folder of volumes.

    OUT/images/<id>.nii        int16, (x, y, z), uncompressed; axes run right, anterior, superior (RAS+)
    OUT/labels/<id>.nii        uint8, the dataset's own annotation values, in the same place
    OUT/datalist.json          one item per volume: image, label, dataset, patient, fold, spacing [x, y, z] mm,
                               size [x, y, z] voxels, values, intensity, and perhaps unlabelled
    OUT/provenance.json        as for pictures, with kind "volumes", orientation, spacing (mm, or null: each its own),
                               window (or null) and intensity
    OUT/journal.jsonl          what each volume was made from, and digests

`intensity` of an item holds mean and sd of the `voxels` strictly inside the window (without a window: of all); that of
the provenance pools the training fold. A slice or region that nobody annotated holds a value whose label set names
every class. `read_datalist`, `stated_label_sets`, `select`, `checksum` and folds are those of pictures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from ..files.volume.voxels import Affine
from ..prepared.layout import image_digest

__all__ = [
    "VOLUMES",
    "pooled_intensity",
    "read_affine",
    "read_volume_pair",
    "read_voxels_pair",
    "save_voxels",
]

VOLUMES = "volumes"  # `kind` in provenance.json


def read_volume_pair(item: Mapping[str, Any], stated: str | None = None) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Map the image, int16, and the annotation, uint8, of an item into memory, (x, y, z).

    Both lie in memory with x fastest. Every file that stays mapped keeps a file descriptor; copy what is kept.

    Args:
        item: of a datalist, with absolute paths.
        stated: digest of both in the journal (`stated_pixels`), for which both are read as a whole; None: not verified.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if they are not what was prepared.
    """
    image, label = read_voxels_pair(Path(item["image"]), Path(item["label"]))
    if stated is not None and image_digest(image.T, label.T, {}) != stated:
        raise ValueError(
            f"{item['image']} or its annotation {item['label']} is not what was prepared; correct the source instead, "
            "move the changed file elsewhere, and prepare the dataset again."
        )
    return image, label


def read_voxels_pair(image: Path, label: Path) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Map the files of an image and its annotation into memory, (x, y, z); refuse what `save_voxels` does not write."""
    voxels, values = _mapped(image, np.int16), _mapped(label, np.uint8)
    if voxels.shape != values.shape:
        raise ValueError(f"{label} has {values.shape} voxels, its image {voxels.shape}; prepare the dataset again.")
    return voxels, values


def read_affine(path: str | Path) -> Affine:
    """Read the 4x4 matrix from voxel indices to mm (right, anterior, superior) of a prepared image or annotation."""
    return np.asarray(nib.Nifti1Image.from_filename(path).affine, np.float64)


def _mapped(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    try:
        file = nib.Nifti1Image.from_filename(path, mmap="c")
        found = file.get_data_dtype()
        if found == np.dtype(dtype) and len(file.shape) == 3:
            return np.asanyarray(file.dataobj)
        expected = f"is {found} of shape {file.shape}, expected {np.dtype(dtype)} of 3 dimensions"
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} is missing; prepare the dataset again.") from error
    except (OSError, ValueError, HeaderDataError, WrapStructError) as error:
        expected = f"cannot be read ({error})"
    raise ValueError(f"{path} {expected}; prepare the dataset again.")


def save_voxels(path: Path, voxels: NDArray[Any], affine: Affine) -> None:
    """Write an uncompressed NIfTI file whose directions every library reads alike."""
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.to_filename(path)


def pooled_intensity(items: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """Return mean and standard deviation of the voxels of several items; None without voxels.

    Example:
        >>> two = [{"intensity": {"mean": mean, "sd": 0.0, "voxels": 5}} for mean in (0.0, 2.0)]
        >>> pooled_intensity(two)
        {'mean': 1.0, 'sd': 1.0}
    """
    own = [item["intensity"] for item in items]
    count = sum(one["voxels"] for one in own)
    if not count:
        return None
    mean = sum(one["voxels"] * one["mean"] for one in own) / count
    square = sum(one["voxels"] * (one["sd"] ** 2 + one["mean"] ** 2) for one in own) / count
    return {"mean": round(mean, 4), "sd": round(math.sqrt(max(0.0, square - mean**2)), 4)}
