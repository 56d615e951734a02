"""Annotation from a DICOM segmentation (SEG)."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from ..unreadable import Unreadable
from .voxels import TO_RAS, Voxels, check_lengths, check_size, spacing_of_affine

__all__ = ["read_segmentation"]

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"  # SOP class


def read_segmentation(path: Path) -> Voxels:
    """Read the segments of a file; values are segment numbers, 0 elsewhere.

    A file may leave out empty slices, so it may cover only a part of the image.

    Raises:
        Unreadable: if it is not a segmentation, or segments overlap.
    """
    from highdicom.seg import Segmentation  # slow to import, and needed for this format alone
    from pydicom import dcmread

    header = dcmread(path)
    if header.get("SOPClassUID") != SEGMENTATION:
        raise Unreadable("it is not a segmentation (SEG).")
    if header.SegmentationType != "BINARY" or len(header.SegmentSequence) > 255:
        raise Unreadable("its segments are not binary, or more than 255.")
    check_size([int(header.get("NumberOfFrames", 1)), int(header.Rows), int(header.Columns)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        segmentation = Segmentation.from_dataset(header, copy=False)
        try:
            volume = segmentation.get_volume(combine_segments=True, dtype=np.uint8)
        except RuntimeError:
            raise Unreadable("its segments overlap. Save each as a file.") from None
    affine = TO_RAS @ np.asarray(volume.affine, np.float64)
    return Voxels(np.asarray(volume.array), affine, check_lengths(spacing_of_affine(affine)))
