"""Frames of DICOM files as grey values, with the spacing that ultrasound machines write."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataelem import RawDataElement
from pydicom.encaps import get_frame
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

__all__ = ["read_dicom"]

MAX_SAMPLES = 16 * 1024 * 1024  # in one frame, over all channels: a screen of 1920 x 1080 in colour has 6.2 million
DEFERRED = 64 * 1024  # bytes; larger elements stay in the file
TWO_DIMENSIONAL, CENTIMETRES = 1, 3  # codes of the ultrasound regions, DICOM PS3.3 C.8.5.5
REQUIRED = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PhotometricInterpretation")


def read_dicom(
    path: Path, frame: int | None = None, annotation: bool = False
) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    """Read one frame of a DICOM file; only this frame is decoded.

    Grey values run through the file's rescaling and window; black to white of the stored range becomes 0 to 255.
    Colours become grey by their luma (ITU-R 601). Spacing is that of the first two-dimensional ultrasound region in
    centimetres, else PixelSpacing.

    Args:
        path: a DICOM file with preamble, under any name.
        frame: 0-based; None expects a file of one frame.
        annotation: read the stored values as they are, without rescaling and window.

    Returns:
        Values 0 to 255, (rows, columns), and the spacing, mm per pixel, (row, column), None where not told.

    Raises:
        ValueError: if the file is no image, truncated or too large, has no such frame, or is compressed in a way
            that the installed decoders do not know.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing or no file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _read(path, frame, annotation)
    except Exception as error:  # broken and hostile files make pydicom raise nearly anything
        raise ValueError(f"{path} cannot be read as DICOM: {' '.join(str(error).split())}") from error


def _read(path: Path, frame: int | None, annotation: bool) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    if not pydicom.misc.is_dicom(path):
        raise ValueError("not an image? Other formats are told by .nii, .nii.gz, .mhd, .mha, .png, .bmp, .tif, .jpg.")
    syntax = pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID
    if syntax == DeflatedExplicitVRLittleEndian:  # its size is not known before all of it is in memory
        raise ValueError("the file is deflated as a whole. Convert it to Explicit VR Little Endian.")
    header = pydicom.dcmread(path, stop_before_pixels=True, defer_size=DEFERRED)
    if missing := [key for key in REQUIRED if header.get(key) in (None, "")]:
        raise ValueError(f"it lacks {missing}. Is it an image?")
    shape = (header.Rows, header.Columns, header.SamplesPerPixel)
    if not 0 < math.prod(shape) <= MAX_SAMPLES:
        raise ValueError(f"a frame of {' x '.join(map(str, shape))} samples; allowed are 1 to {MAX_SAMPLES}.")
    count = int(header.get("NumberOfFrames") or 1)
    if frame is None and count > 1:
        raise ValueError(f"it has {count} frames; say which one.")
    index = frame or 0
    if not 0 <= index < count:
        raise ValueError(f"it has the frames 0 to {count - 1}, not {frame}.")
    if syntax == RLELossless:
        _check_run_lengths(path, index, count, math.prod(shape) * header.BitsAllocated // 8)
    try:
        stored = pixel_array(path, index=index)  # YBR becomes RGB
    except Exception as error:
        raise ValueError(f"pixels stored as {syntax.name} are not decoded: {error}") from error
    return _values(stored, header, annotation), _spacing(header)


def _check_run_lengths(path: Path, index: int, count: int, size: int) -> None:
    # pydicom expands the runs, up to 64-fold, before it compares their length with what the header says
    pixels = pydicom.dcmread(path, defer_size=DEFERRED).get_item("PixelData", keep_deferred=True)
    if not isinstance(pixels, RawDataElement):
        raise ValueError("it has no pixels.")
    with path.open("rb") as file:
        file.seek(pixels.value_tell)
        length = len(get_frame(file, index, number_of_frames=count))
    if length > size + size // 64 + 1024:  # what does not compress grows by a 128th
        raise ValueError(f"frame {index} takes {length} bytes compressed, {size} uncompressed. Export it again.")


def _values(stored: NDArray[Any], header: pydicom.Dataset, annotation: bool) -> NDArray[np.uint8]:
    if annotation:
        if stored.ndim != 2 or stored.dtype.kind == "f" or stored.min() < 0 or stored.max() > 255:
            raise ValueError("an annotation has one channel of integers 0 to 255.")
        return stored.astype(np.uint8)
    if header.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, header)
        stored = (stored >> 8).astype(np.uint8) if stored.dtype == np.uint16 else stored
    if stored.ndim == 3:
        if stored.dtype != np.uint8:
            raise ValueError(f"colours of {stored.dtype}; 8 bit a channel are expected.")
        return np.asarray(Image.fromarray(stored).convert("L"))
    bits = int(header.BitsStored)
    if not 1 <= bits <= 16:
        raise ValueError(f"{bits} bits a pixel; allowed are 1 to 16.")
    low = -(1 << bits - 1) if header.PixelRepresentation else 0
    every = np.arange(low, low + (1 << bits), dtype=stored.dtype)
    shown = np.asarray(apply_voi_lut(apply_modality_lut(every, header), header), np.float64)
    black, white = shown.min(), shown.max()
    if not white > black:
        raise ValueError("its window maps all values to one grey.")
    table: NDArray[np.uint8] = np.round(255 * (shown - black) / (white - black)).astype(np.uint8)
    if header.PhotometricInterpretation == "MONOCHROME1":
        table = 255 - table
    return table[np.clip(stored.astype(np.int64) - low, 0, len(table) - 1)]


def _spacing(header: pydicom.Dataset) -> tuple[float, float] | None:
    for region in header.get("SequenceOfUltrasoundRegions") or []:
        units = (region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection"))
        if region.get("RegionSpatialFormat") == TWO_DIMENSIONAL and units == (CENTIMETRES, CENTIMETRES):
            row, column = abs(float(region.PhysicalDeltaY)) * 10, abs(float(region.PhysicalDeltaX)) * 10
            break
    else:
        if not header.get("PixelSpacing"):
            return None
        row, column = (float(length) for length in header.PixelSpacing)
    if not (0 < row < np.inf and 0 < column < np.inf):
        raise ValueError(f"spacing ({row}, {column}) mm is not positive.")
    return row, column
