"""A volume from the folder of a DICOM series."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..unreadable import reading
from .voxels import TO_RAS, Affine, Voxels, check_lengths, check_size, spacing_of_affine

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["has_slices", "read_series", "slice_paths"]

MAX_FILES = 10_000
SINGLE_SLICES = {  # SOP classes: CT, MR, PET
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.128",
}


def slice_paths(folder: Path) -> list[Path]:
    """Return the DICOM files of a folder that hold slices of CT, MR or PET, sorted by name."""
    return [path for path in _dicom_files(folder) if _is_slice(path)]


def has_slices(folder: Path) -> bool:
    """Return whether a folder holds a DICOM file with a slice of CT, MR or PET."""
    return any(map(_is_slice, _dicom_files(folder)))


def _dicom_files(folder: Path) -> Iterator[Path]:
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        with path.open("rb") as file:
            if file.read(132)[128:] == b"DICM":
                yield path


def _is_slice(path: Path) -> bool:
    from pydicom import dcmread

    try:
        with reading(path, "DICOM"):
            return _of_volume(dcmread(path, specific_tags=["SOPClassUID", "ImageType"], stop_before_pixels=True))
    except ValueError:
        return False  # damaged; where the others are slices, `read_series` says so


def _of_volume(header: Dataset) -> bool:
    kinds = header.get("ImageType") or ()
    return header.get("SOPClassUID") in SINGLE_SLICES and "LOCALIZER" not in kinds


def read_series(folder: Path) -> Voxels:
    """Read the slices of the one CT, MR or PET series in a folder; other objects and localizers are not looked at.

    Axes are (columns, rows, slices), as ITK orders them. Values are those after the rescale of the modality: HU for CT.

    Raises:
        ValueError: if there is not exactly one series, or its slices do not make one volume. Nothing of the headers is
            quoted: they may name a patient.
    """
    from highdicom import get_volume_from_series  # slow to import, and needed for this format alone
    from pydicom import dcmread

    paths = list(_dicom_files(folder))
    if len(paths) > MAX_FILES:
        raise ValueError(f"{folder} has {len(paths)} files; at most {MAX_FILES} slices are read.")
    series: dict[str, list[Dataset]] = {}
    for path in paths:
        with reading(path, "DICOM"):
            header = dcmread(path)
            if _of_volume(header) and "PixelData" in header:
                series.setdefault(str(header.SeriesInstanceUID), []).append(header)
    if len(series) != 1:
        raise ValueError(
            f"{folder} has {len(series)} DICOM series of CT, MR or PET slices, expected one; put each into a folder of "
            "its own."
        )
    (slices,) = series.values()
    logger = logging.getLogger("highdicom")
    level = logger.level
    try:
        check_size([len(slices), int(slices[0].Rows), int(slices[0].Columns)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logger.setLevel(logging.CRITICAL + 1)
            volume = get_volume_from_series(slices, dtype=np.float32)
        array, affine = _columns_first(np.asarray(volume.array), np.asarray(volume.affine, np.float64))
        lengths = check_lengths(spacing_of_affine(affine))
    except Exception:  # libraries raise nearly anything, and quote headers
        raise ValueError(
            f"the {len(slices)} slices in {folder} do not make one volume: some are missing, damaged or double, or "
            "they have several orientations or a tilted gantry. Export the series again, or convert it to NIfTI."
        ) from None
    finally:
        logger.setLevel(level)
    whole = np.rint(array)
    values = whole.astype(np.int32) if np.array_equal(whole, array) else array
    return Voxels(values, TO_RAS @ affine, lengths)


def _columns_first(array: NDArray[np.float32], affine: Affine) -> tuple[NDArray[np.float32], Affine]:
    """Reorder (slices, rows, columns) to (columns, rows, slices), with slices as ITK sorts them.

    Slices follow each other in the direction of the vector product of a row and a column.

    Args:
        array: values.
        affine: 4x4, from voxel indices to mm (left, posterior, superior).
    """
    axes = affine[:3, :3]
    order = np.zeros((4, 4))
    order[[0, 1, 2, 3], [2, 1, 0, 3]] = 1.0
    array = array.T
    if np.dot(np.cross(axes[:, 2], axes[:, 1]), axes[:, 0]) < 0:
        array = array[:, :, ::-1]
        order[0, 2:] = -1.0, array.shape[2] - 1.0
    return array, affine @ order
