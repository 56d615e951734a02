"""A volume from the folder of a DICOM series."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..unreadable import reading
from .voxels import TO_RAS, Voxels, check_lengths, check_size, spacing_of_affine

__all__ = ["read_series"]

MAX_FILES = 10_000
SINGLE_SLICES = {  # SOP classes: CT, MR, PET
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.128",
}


def read_series(folder: Path) -> Voxels:
    """Read the slices of the one CT, MR or PET series in a folder; other objects in it are not looked at.

    Values are those after the rescale of the modality: HU for CT.

    Raises:
        ValueError: if there is not exactly one series, or its slices do not make one volume. Nothing of the headers is
            quoted: they may name a patient.
    """
    from highdicom import get_volume_from_series  # slow to import, and needed for this format alone
    from pydicom import Dataset, dcmread

    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if len(paths) > MAX_FILES:
        raise ValueError(f"{folder} has {len(paths)} files; at most {MAX_FILES} slices are read.")
    series: dict[str, list[Dataset]] = {}
    for path in paths:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                continue
        with reading(path, "DICOM"):
            header = dcmread(path)
            if header.get("SOPClassUID") in SINGLE_SLICES and "PixelData" in header:
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
        affine = TO_RAS @ np.asarray(volume.affine, np.float64)
        lengths = check_lengths(spacing_of_affine(affine))
    except Exception:  # libraries raise nearly anything, and quote headers
        raise ValueError(
            f"the {len(slices)} slices in {folder} do not make one volume: some are missing, damaged or double, or "
            "they have several orientations or a tilted gantry. Export the series again, or convert it to NIfTI."
        ) from None
    finally:
        logger.setLevel(level)
    values: NDArray[np.float32] = np.asarray(volume.array)
    whole = np.rint(values)
    return Voxels(whole.astype(np.int32) if np.array_equal(whole, values) else values, affine, lengths)
