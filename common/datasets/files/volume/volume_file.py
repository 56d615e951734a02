"""Read a volume from any file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..unreadable import Unreadable, reading
from .dicom_segmentation import read_segmentation
from .dicom_series import read_series
from .metaimage_volume import read_metaimage_volume
from .nifti import read_nifti
from .nrrd import read_nrrd
from .voxels import Voxels, spacing_of_affine

__all__ = ["SUFFIXES", "as_labels", "is_segmentation", "read_mask", "read_voxels"]

# suffix -> kind and what reads it
READERS: dict[str, tuple[str, Callable[[Path], Voxels]]] = {
    ".nii": ("NIfTI", read_nifti),
    ".nii.gz": ("NIfTI", read_nifti),
    ".mhd": ("MetaImage", read_metaimage_volume),
    ".mha": ("MetaImage", read_metaimage_volume),
    ".nrrd": ("NRRD", read_nrrd),
}
SUFFIXES = tuple(READERS)
SKEW = 0.01  # cosine of the angle between two axes that counts as right


def read_voxels(path: Path) -> Voxels:
    """Read a volume.

    Args:
        path: .nii, .nii.gz, .mhd, .mha, .nrrd, or the folder of a DICOM series.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it cannot be read as a volume.
    """
    if path.is_dir():
        return read_series(path)
    suffix = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise ValueError(f"{path} is not a volume; expected {', '.join(SUFFIXES)}, or the folder of a DICOM series.")
    kind, read = READERS[suffix]
    with reading(path, kind):
        voxels = read(path)
        _check(voxels)
        return voxels


def is_segmentation(path: Path) -> bool:
    """Return whether a file is read as a DICOM segmentation, which may cover only a part of its image."""
    return path.suffix.lower() == ".dcm"


def read_mask(path: Path) -> Voxels:
    """Read a volume of annotation values: as `read_voxels`, or a DICOM segmentation (.dcm)."""
    if not is_segmentation(path):
        return read_voxels(path)
    with reading(path, "DICOM segmentation"):
        return read_segmentation(path)


def as_labels(voxels: Voxels, path: Path) -> NDArray[np.uint8]:
    """Return annotation values, uint8; refuse what is not an integer from 0 to 255.

    Raises:
        ValueError: naming `path`.
    """
    values = voxels.values
    low, high = (float(bound) for bound in (values.min(), values.max()))
    labels = values if values.dtype == np.uint8 else values.clip(0, 255).astype(np.uint8)
    if low < 0 or high > 255 or (values.dtype.kind == "f" and not np.array_equal(labels, values)):
        raise ValueError(f"{path} holds values from {low:g} to {high:g}; annotation values are integers from 0 to 255.")
    return labels


def _check(voxels: Voxels) -> None:
    if voxels.values.dtype.kind == "f" and not np.isfinite(voxels.values).all():
        raise Unreadable("some voxels are not finite numbers. Replace them.")
    if voxels.affine is None:
        return
    axes = voxels.affine[:3, :3]
    if not np.isfinite(voxels.affine).all() or abs(np.linalg.det(axes)) < 1e-6:
        raise Unreadable("the directions of its axes are not those of a volume. Correct its header.")
    directions = axes / np.linalg.norm(axes, axis=0)
    if not np.allclose(directions.T @ directions, np.eye(3), atol=SKEW):
        raise Unreadable("its axes are not at right angles, as with a tilted gantry. Resample it to a straight grid.")
    if not np.allclose(spacing_of_affine(voxels.affine), voxels.lengths, rtol=1e-2):
        spacing = spacing_of_affine(voxels.affine)
        raise Unreadable(f"its header states {spacing} mm in one place and {voxels.lengths} mm in another. Correct it.")
