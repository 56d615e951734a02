"""Write valid and invalid DICOM files for tests."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage


def scan(*channels: int) -> np.ndarray:
    """Draw grey values that no transposition or flip maps onto themselves, (row, column)."""
    grey = np.add.outer(np.arange(20) * 3, np.arange(30)) % 200
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8) if channels else grey.astype(np.uint8)


def write(path: Path, pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian, **fields: Any) -> Path:
    """Write (rows, columns) as grey values, (rows, columns, 3) as colours; fields override."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = UltrasoundMultiFrameImageStorage, "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = pixels.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()
    for key, value in fields.items():
        setattr(dataset, key, value)
    dataset["PixelData"].is_undefined_length = syntax != ExplicitVRLittleEndian
    dataset["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    dataset.save_as(path, enforce_file_format=True)
    return path


def region(**fields: Any) -> Dataset:
    dataset = Dataset()
    dataset.RegionSpatialFormat = 1
    dataset.PhysicalUnitsXDirection = dataset.PhysicalUnitsYDirection = 3
    dataset.PhysicalDeltaX, dataset.PhysicalDeltaY = 0.03, -0.015
    for key, value in fields.items():
        setattr(dataset, key, value)
    return dataset


@contextmanager
def at_most(mebibytes: int) -> Iterator[None]:
    """Fail if more memory is allocated at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * 1024 * 1024
    finally:
        tracemalloc.stop()


def bundled(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom comes without {name}")
    return Path(str(path))
