"""Where an image of two dimensions lies in the patient, as its file states it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from nibabel.nifti1 import Nifti1Image
from pydicom.misc import is_dicom

from ..dicom_frames import frame_count, read_header
from ..metaimage import metaimage_header
from ..unreadable import reading
from .metaimage_volume import metaimage_affine
from .nifti import nifti_affine
from .voxels import TO_RAS, Affine

__all__ = ["Plane", "read_plane"]

PLACED = (0x00200032, 0x00200037)  # ImagePositionPatient, ImageOrientationPatient


class Plane(NamedTuple):
    """Place of an image.

    Args:
        affine: 4x4, from indices (column, row, 0, 1) to mm (right, anterior, superior, 1). The third axis is at right
            angles to the image, and as long as a row is high.
        has_slice: whether the file states the place along that axis: not if it has two dimensions or several frames.
        reversed_slices: whether several frames follow each other against that axis; None with a single one.
    """

    affine: Affine
    has_slice: bool
    reversed_slices: bool | None


def read_plane(path: Path) -> Plane | None:
    """Return where the pixels of a NIfTI, MetaImage or DICOM file lie; None if it does not say so.

    Args:
        path: .nii, .nii.gz, .mhd, .mha; any other file that is not DICOM does not say so.

    Raises:
        ValueError: if the file is damaged.
    """
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        with reading(path, "NIfTI"):
            header = Nifti1Image.from_filename(path).header
            return _plane(nifti_affine(header), header.get_data_shape())
    if name.endswith((".mhd", ".mha")):
        with reading(path, "MetaImage"):
            stated = metaimage_header(path)
            return _plane(metaimage_affine(stated), stated.sizes)
    return _dicom(path)


def _dicom(path: Path) -> Plane | None:
    with reading(path, "DICOM"):
        if not is_dicom(path):
            return None
        header = read_header(path, PLACED)
        position, directions, spacing = (
            header.get(key) for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
        )
        if not (position and directions and spacing):
            return None
        affine = np.eye(4)
        # the direction of a row comes first, the distance between rows, too
        affine[:3, :2] = np.reshape(directions, (2, 3)).T.astype(float) * [float(spacing[1]), float(spacing[0])]
        affine[:3, 2] = 0.0  # where further frames lie is not stated here
        affine[:3, 3] = position
        return _plane(TO_RAS @ affine, (int(header.Columns), int(header.Rows), frame_count(header)))


def _plane(affine: Affine | None, sizes: Sequence[int]) -> Plane | None:
    if affine is None:
        return None
    column, row = affine[:3, 0], affine[:3, 1]
    normal = np.cross(column, row)
    if not 0 < np.linalg.norm(normal) < math.inf:
        return None  # a header filled with zeros
    plane = affine.copy()
    plane[:3, 2] = normal / np.linalg.norm(column)
    several = math.prod(sizes[2:]) > 1
    backwards = bool(affine[:3, 2] @ normal < 0) if several and affine[:3, 2].any() else None
    return Plane(plane, len(sizes) > 2 and not several, backwards)
