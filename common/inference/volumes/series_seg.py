"""Write the DICOM SEG of a series of slices, which viewers show on the slices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.sr.coding import Code

from ...datasets.files.unreadable import reading
from ...datasets.files.volume.dicom_series import slice_paths
from ...datasets.files.volume.voxels import TO_RAS, Affine, spacing_of_affine
from ..dicom_seg import REQUIRED, save_segmentation, without_person

__all__ = ["write_series_seg"]

# what places a slice, and what highdicom asks for
COPIED = (
    *("SOPClassUID", "Modality", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
)
NEAR = 0.1  # of the distance of slices


def write_series_seg(
    labels: NDArray[np.uint8],
    affine: Affine,
    structures: Mapping[str, Code],
    source: Path,
    out: Path,
    algorithm: str,
    version: str,
    description: str,
) -> Path:
    """Write a binary DICOM SEG that refers to every slice; return the path, `out` with `_seg.dcm`.

    It contains nothing from the source about who was scanned, when or where; UIDs link the two. Slices without any
    structure have no frame.

    Args:
        labels: class of each voxel, (columns, rows, slices), 0 for the background.
        affine: 4x4, from voxel indices to mm (right, anterior, superior).
        structures: name -> code of each foreground class, in the order of their labels from 1.
        source: folder of the one series.
        out: path to write, without suffix.
        algorithm: name of what made the labels.
        version: of the algorithm.
        description: of the series.

    Raises:
        ValueError: if the slices in the folder are not those of the labels, or lack UIDs or what places them.
    """
    columns, rows, count = labels.shape
    stored: dict[int, Dataset] = {}
    for path in slice_paths(source):
        with reading(path, "DICOM"):
            header = dcmread(path, stop_before_pixels=True)
            place = np.linalg.solve(TO_RAS @ affine, [*map(float, header.ImagePositionPatient), 1.0])
        number = round(float(place[2]))
        if np.abs(place[:3] - [0, 0, number]).max() > NEAR or (header.Columns, header.Rows) != (columns, rows):
            raise ValueError(f"{path} does not lie where its series was segmented; were slices added since?")
        if missing := [key for key in REQUIRED if not header.get(key)]:
            raise ValueError(f"{path} lacks {missing}, which a DICOM SEG needs to refer to it; export it again.")
        stored[number] = header
    if sorted(stored) != list(range(count)):
        raise ValueError(f"{source} has slices {sorted(stored)}, expected 0 to {count - 1}; were some removed?")
    headers = [without_person(stored[number], COPIED) for number in range(count)]
    for shown in headers:
        if not shown.get("SliceThickness"):  # DICOM allows it to be empty, a SEG does not
            shown.SliceThickness = round(spacing_of_affine(affine)[2], 4)
    kind = str(headers[0].SOPClassUID)
    planes = np.ascontiguousarray(labels.T)
    try:
        return save_segmentation(planes, structures, headers, kind, out, algorithm, version, description)
    except (AttributeError, KeyError, TypeError) as error:  # of highdicom, for headers that lack what it reads
        raise ValueError(f"{source}: its headers do not suffice for a DICOM SEG ({error}).") from error
