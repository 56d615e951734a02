"""Images and annotations from untrusted NIfTI, MetaImage, PNG, JPEG, BMP, TIFF and DICOM files.

Header sizes are checked before memory is allocated; a compressed file is read only as far as its header promises.
All arrays are upright: rows run downwards from the transducer, columns to the right.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.arrayproxy import ArrayProxy
from nibabel.nifti1 import Nifti1Header, data_type_codes
from numpy.typing import NDArray
from PIL import Image, ImageOps

from .dicom_grey import read_dicom
from .grey import as_bytes, luma
from .metaimage import metaimage_header, metaimage_pixels
from .unreadable import Unreadable, reading, several_frames

__all__ = [
    "ANNOTATIONS",
    "MAX_PIXELS",
    "PICTURES",
    "read_annotation",
    "read_clip",
    "read_grey",
    "with_pixel_files",
]

MAX_PIXELS = 64 * 1024 * 1024  # in a file, over all frames: a clip of 50 frames of 1280 x 1024; as float64 512 MiB
MAX_EXTENSIONS = 16 * 1024 * 1024  # bytes between the header and the pixels of a NIfTI file
ANNOTATIONS = ("_gt", "_seg")  # ends of the names of files that hold masks, such as those of an earlier run
PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
NIFTI_UNITS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # code of the length unit: mm; 0 is "unknown", mm by custom
Spacing = tuple[float, float]
Which = int | Literal["all"] | None  # of the frames of a file; None: the only one
Read = tuple[NDArray[np.uint8], Spacing | None]


def read_grey(path: Path, frame: int | None = None) -> Read:
    """Read grey values; colours become grey by their luma (ITU-R 601).

    Args:
        path: .nii, .nii.gz, .mhd, .mha, .png, .jpg, .jpeg, .bmp, .tif, .tiff; any other name must be DICOM.
        frame: 0-based, in a file of several, along the third dimension; None expects a single one.

    Returns:
        Grey values 0 to 255, (rows, columns), and the spacing, mm per pixel, (row, column), None if unknown.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is unreadable, truncated or too large, has no such frame, holds anything but the
            integers 0 to 255 (in whatever type), or names pixels in another folder.
    """
    return _read(path, frame, annotation=False)


def read_annotation(path: Path, frame: int | None = None) -> Read:
    """Read annotation values as they are stored: of a palette the index, of a bilevel image 0 and 1.

    Args:
        path: as for `read_grey`, but JPEG is refused because it alters values.
        frame: 0-based, in a file of several; None expects a single one.

    Returns:
        Annotation values 0 to 255, (rows, columns), and the spacing, mm per pixel, (row, column), None if unknown.

    Raises:
        FileNotFoundError: as for `read_grey`.
        ValueError: as for `read_grey`, and if the file is JPEG or its colours are not grey.
    """
    return _read(path, frame, annotation=True)


def read_clip(path: Path) -> Read:
    """Read every frame of a NIfTI, MetaImage or picture file as grey values.

    Args:
        path: as for `read_grey`, but not DICOM.

    Returns:
        Grey values 0 to 255, (frames, rows, columns), and the spacing, mm per pixel, (row, column), None if unknown.

    Raises:
        FileNotFoundError: as for `read_grey`.
        ValueError: as for `read_grey`, and if the frames differ in size.
    """
    return _frames(path, "all", annotation=False)


def with_pixel_files(path: Path) -> list[Path]:
    """Return a file, and the file of its pixels if it is a MetaImage header that names one; of a folder its files.

    Example:
        >>> with_pixel_files(Path("scan.nii.gz"))
        [PosixPath('scan.nii.gz')]
    """
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file())
    if path.suffix.lower() not in (".mhd", ".mha"):
        return [path]
    try:
        return list(dict.fromkeys([path, metaimage_pixels(path)]))
    except (OSError, ValueError):
        return [path]  # the reader says what is wrong


def _read(path: Path, frame: int | None, annotation: bool) -> Read:
    if not path.name.lower().endswith((".nii", ".nii.gz", ".mhd", ".mha", *PICTURES)):
        return read_dicom(path, frame, annotation)
    frames, spacing = _frames(path, frame, annotation)
    return frames[0], spacing


def _frames(path: Path, which: Which, annotation: bool) -> Read:
    suffix = path.suffix.lower()
    kind = PICTURES.get(suffix) or ("MetaImage" if suffix in (".mhd", ".mha") else "NIfTI")
    with reading(path, kind):
        if suffix in PICTURES:
            return _picture(path, kind, which, annotation), None
        pixels, spacing = _metaimage(path, which) if kind == "MetaImage" else _nifti(path, which)
        if not all(0 < length < math.inf for length in spacing):
            raise Unreadable(f"spacing {spacing} mm is not positive. Correct it in the header.")
        return as_bytes(pixels), spacing


def _nifti(path: Path, which: Which) -> tuple[NDArray[Any], Spacing]:
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        block = file.read(348).ljust(348, b"\0")
        order = "<" if block[:4] == (348).to_bytes(4, "little") else ">"  # nibabel would guess it from the dimensions
        header = Nifti1Header(block, order, check=False)
        if header["magic"] != b"n+1" or header["sizeof_hdr"] != 348:
            raise Unreadable("truncated or not an image? Expected a single file of NIfTI-1; download it again.")
        rank, *sizes = header["dim"].tolist()
        if not 2 <= rank <= 7:
            raise Unreadable(f"{rank} dimensions; an image has 2 to 7.")
        _check_pixels(sizes[:rank])
        columns, rows, *frames = sizes[:rank]
        chosen = _chosen(which, math.prod(frames))
        code, unit, start = int(header["datatype"]), int(header["xyzt_units"]) & 7, float(header["vox_offset"])
        if code not in data_type_codes.dtype or header.get_data_dtype().kind not in "iuf":
            raise Unreadable(f"data type {code} is not grey values.")
        if unit not in NIFTI_UNITS:
            raise Unreadable(f"unit {unit} is not a length; allowed are {list(NIFTI_UNITS)}.")
        if not 348 <= start <= MAX_EXTENSIONS:
            raise Unreadable(f"its pixels begin at byte {start}, allowed are 348 to {MAX_EXTENSIONS}.")
        slope, intercept = header.get_slope_inter()
        scale = (1.0, 0.0) if slope is None else (slope, intercept)
        stored = ((columns, rows, math.prod(frames)), header.get_data_dtype(), int(start), *scale)
        pixels: NDArray[Any] = ArrayProxy(file, stored, mmap=False)[..., chosen.start : chosen.stop].T
        file.read(1)  # where gzip's stream ends it compares its checksum
        column, row = (float(length) * NIFTI_UNITS[unit] for length in header["pixdim"][1:3])
        if header["sform_code"] > 0:
            across, down = (float(length) * NIFTI_UNITS[unit] for length in voxel_sizes(header.get_sform())[:2])
            if not np.allclose([across, down], [column, row], rtol=0.01):
                raise Unreadable(
                    f"its header states {row:g} x {column:g} mm in one place and {down:g} x {across:g} mm in another. "
                    "Correct it."
                )
        return pixels, (row, column)


def _metaimage(path: Path, which: Which) -> tuple[NDArray[Any], Spacing]:
    header = metaimage_header(path)
    _check_pixels(header.sizes)
    columns, rows, *frames = header.sizes
    chosen = _chosen(which, math.prod(frames))
    content = header.read(chosen.start * rows * columns, len(chosen) * rows * columns)
    column, row = header.lengths[:2]
    return content.reshape(-1, rows, columns), (row, column)


def _picture(path: Path, kind: str, which: Which, annotation: bool) -> NDArray[np.uint8]:
    if annotation and kind == "JPEG":
        raise Unreadable("JPEG alters annotation values. Export the annotation as PNG.")
    # given a path, Pillow maps the file into memory, and confuses rows and columns of a TIFF that says to turn it
    with path.open("rb") as file, Image.open(file, formats=[kind]) as picture:
        chosen = _chosen(which, getattr(picture, "n_frames", 1))
        frames: list[NDArray[np.uint8]] = []
        for index in chosen:
            picture.seek(index)
            _check_pixels([*picture.size, len(picture.getbands()), len(chosen)])
            frames.append(_page(ImageOps.exif_transpose(picture), annotation))
            if frames[-1].shape != frames[0].shape:
                raise Unreadable(f"frames of {frames[0].shape} and {frames[-1].shape} pixels. Split the file.")
        return np.stack(frames)


def _page(picture: Image.Image, annotation: bool) -> NDArray[np.uint8]:
    if picture.mode in ("1", "P") and annotation:
        return np.asarray(picture).astype(np.uint8)
    if picture.mode in ("L", "I", "F") or picture.mode.startswith("I;16"):
        return as_bytes(np.asarray(picture))
    if annotation:
        channels = np.asarray(picture.convert("RGB"))
        if (channels != channels[..., :1]).any():
            raise Unreadable("colours are not annotation values. Export it as grey values or as a palette.")
        if (channels == channels[0, 0]).all() and len(set(picture.convert("RGBA").getchannel("A").getextrema())) > 1:
            raise Unreadable("its annotation is in its transparency. Export it as grey values or as a palette.")
        return channels[..., 0]
    return luma(picture)


def _check_pixels(sizes: Sequence[int]) -> int:
    if len(sizes) < 2 or min(sizes) < 1 or math.prod(sizes) > MAX_PIXELS:
        raise Unreadable(f"size {' x '.join(map(str, sizes))}; allowed are 1 to {MAX_PIXELS} pixels. Is it an image?")
    return math.prod(sizes)


def _chosen(which: Which, count: int) -> range:
    if which == "all":
        return range(count)
    if which is None and count > 1:
        raise several_frames(count)
    if not 0 <= (which or 0) < count:
        raise Unreadable(f"it has the frames 0 to {count - 1}, not {which}.")
    return range(which or 0, (which or 0) + 1)
