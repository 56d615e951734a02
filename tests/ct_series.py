"""A CT series as DICOM files, one slice a file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

__all__ = ["write_series"]

SERIES = "1.2.826.0.1.3680043.8.498.1"


def write_series(
    folder: Path,
    values: np.ndarray,
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    spacing: tuple[float, float, float] = (0.8, 0.7, 2.5),
    series: str = SERIES,
    leave_out: tuple[int, ...] = (),
    instances: Sequence[int] | None = None,
) -> Path:
    """Write HU values (slices, rows, columns); files are named in no order. `spacing`: row, column, slice, mm.

    `instances`: numbers of the slices as the scanner gives them, which need not follow their places.
    """
    folder.mkdir(parents=True, exist_ok=True)
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(row, column)
    for number, plane in enumerate(values):
        if number in leave_out:
            continue
        slice_ = Dataset()
        slice_.file_meta = FileMetaDataset()
        slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID = CTImageStorage
        slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID = UID(f"{series}.{number + 1}")
        slice_.SeriesInstanceUID, slice_.StudyInstanceUID = UID(series), UID(f"{SERIES}.77")
        slice_.FrameOfReferenceUID = UID(f"{SERIES}.78")
        slice_.Modality, slice_.PatientName, slice_.PatientID = "CT", "Doe^Jane", "secret"
        slice_.InstanceNumber = number + 1 if instances is None else instances[number]
        slice_.ImageOrientationPatient = list(orientation)
        slice_.ImagePositionPatient = (np.array([-20.0, 30.0, 5.0]) + number * spacing[2] * normal).tolist()
        slice_.PixelSpacing, slice_.SliceThickness = list(spacing[:2]), spacing[2]
        slice_.Rows, slice_.Columns = plane.shape
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated = slice_.BitsStored = 16
        slice_.HighBit, slice_.PixelRepresentation = 15, 0
        slice_.RescaleSlope, slice_.RescaleIntercept = 1, -1024
        slice_.PixelData = (plane + 1024).astype("<u2").tobytes()
        slice_.save_as(folder / f"{(number * 7) % 97:03d}.dcm", enforce_file_format=True)
    return folder
