"""Frames of DICOM files as grey values, with their spacing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut

from .dicom_frames import frame_count, read_header, stored_frames
from .grey import luma
from .motion import sampled
from .scan import collect
from .ultrasound_regions import find_tissue
from .unreadable import Unreadable, reading, several_frames

__all__ = ["grey_frames", "read_dicom"]


def read_dicom(
    path: Path, frame: int | None = None, annotation: bool = False
) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    """Read one frame of a DICOM file; no other is decoded unless the spacing depends on the motion of the clip.

    Grey values run through the file's rescaling and window; black to white of the stored range becomes 0 to 255.
    Colours become grey by their luma (ITU-R 601). The spacing is that of `find_tissue`.

    Args:
        path: a DICOM file with preamble, under any name.
        frame: 0-based; None expects a file of one frame.
        annotation: read the stored values as they are, without rescaling and window.

    Returns:
        Values 0 to 255, (rows, columns), and the spacing, mm per pixel, (row, column), None if unknown.

    Raises:
        ValueError: if the file holds no image, is truncated or too large, has no such frame, is compressed in a way
            that the installed decoders do not know, or has a spacing that is not positive.
    """
    with reading(path, "DICOM"):
        header = read_header(path)
        count = frame_count(header)
        if frame is None and count > 1:
            raise several_frames(count)
        if not 0 <= (frame or 0) < count:
            raise Unreadable(f"it has the frames 0 to {count - 1}, not {frame}.")
        only = range(frame or 0, (frame or 0) + 1)
        values = _values(next(stored_frames(path, header, only)), header, annotation)
        spacing = find_tissue(header, lambda: collect(grey_frames(path, header, sampled(count)))).spacing
        if spacing and not (0 < spacing[0] < np.inf and 0 < spacing[1] < np.inf):
            raise Unreadable(f"spacing {spacing} mm is not positive.")
        return values, spacing


def grey_frames(path: Path, header: pydicom.Dataset, numbers: range | None = None) -> Iterator[NDArray[np.uint8]]:
    """Decode frames of a DICOM file, one by one, to the grey values of `read_dicom`.

    Args:
        path: the file.
        header: by `read_header`.
        numbers: of the frames to decode, 0-based; None decodes every frame.

    Yields:
        Values 0 to 255, (rows, columns).

    Raises:
        Unreadable: if a frame is missing, damaged or too large; quotes nothing of the file.
    """
    for stored in stored_frames(path, header, numbers):
        yield _values(stored, header, annotation=False)


def _values(stored: NDArray[Any], header: pydicom.Dataset, annotation: bool) -> NDArray[np.uint8]:
    if annotation:
        if stored.ndim != 2 or stored.dtype.kind == "f" or stored.min() < 0 or stored.max() > 255:
            raise Unreadable("an annotation has one channel of integers 0 to 255.")
        return stored.astype(np.uint8)
    if header.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, header)
        stored = (stored >> 8).astype(np.uint8) if stored.dtype == np.uint16 else stored
    if stored.ndim == 3:
        if stored.dtype != np.uint8:
            raise Unreadable(f"colours of {stored.dtype}; expected 8 bits per channel.")
        return luma(Image.fromarray(stored))
    bits = int(header.BitsStored)
    if not 1 <= bits <= 16:
        raise Unreadable(f"{bits} bits per pixel; allowed are 1 to 16.")
    low = -(1 << bits - 1) if header.PixelRepresentation else 0
    every = np.arange(low, low + (1 << bits), dtype=stored.dtype)
    shown = np.asarray(apply_voi_lut(apply_modality_lut(every, header), header), np.float64)
    black, white = shown.min(), shown.max()
    if not white > black:
        raise Unreadable("its window maps all values to one grey.")
    table: NDArray[np.uint8] = np.round(255 * (shown - black) / (white - black)).astype(np.uint8)
    if header.PhotometricInterpretation == "MONOCHROME1":
        table = 255 - table
    return table[np.clip(stored.astype(np.int64) - low, 0, len(table) - 1)]
