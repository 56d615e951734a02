"""Images and annotations from files of strangers: NIfTI, MetaImage, PNG, JPEG, BMP, TIFF and DICOM.

What a header claims is checked before memory is spent on it; a compressed file is read as far as its header promises.
NIfTI and MetaImage are parsed here and not by ITK, which reads truncated files without a word, turns NaN into 0 and
expands bombs; the tests hold both to the same pixels and spacing.
All arrays are upright: rows run downwards from the transducer, columns to the right.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from .dicom_grey import read_dicom

__all__ = ["MAX_PIXELS", "PICTURES", "read_annotation", "read_clip", "read_grey", "read_metaimage", "read_nifti"]

MAX_PIXELS = 64 * 1024 * 1024  # in a file, over all frames: a clip of 50 frames of 1280 x 1024; as float64 512 MiB
MAX_EXTENSIONS = 16 * 1024 * 1024  # bytes between the header and the pixels of a NIfTI file
MAX_TEXT = 64 * 1024  # bytes of a MetaImage header; real ones have a few hundred
PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
NIFTI_UNITS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # code of the length unit: mm; 0 is "unknown", mm by custom
METAIMAGE_TYPES = {
    "MET_UCHAR": "u1",
    "MET_CHAR": "i1",
    "MET_USHORT": "u2",
    "MET_SHORT": "i2",
    "MET_UINT": "u4",
    "MET_INT": "i4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}

Spacing = tuple[float, float]
Which = int | Literal["all"] | None  # of the frames of a file; None: the only one


def read_grey(path: Path, frame: int | None = None) -> tuple[NDArray[np.uint8], Spacing | None]:
    """Read grey values; colours become grey by their luma (ITU-R 601).

    Args:
        path: .nii, .nii.gz, .mhd, .mha, .png, .jpg, .jpeg, .bmp, .tif, .tiff; any other name must be DICOM.
        frame: 0-based, in a file of several; None expects a single one.

    Returns:
        Grey values 0 to 255, (rows, columns), and the spacing, mm per pixel, (row, column), None where not told.

    Raises:
        ValueError: if the file is unreadable, too large, has no such frame, or does not fit 8 bits.
    """
    return _read(path, frame, annotation=False)


def read_clip(path: Path) -> tuple[NDArray[np.uint8], Spacing | None]:
    """Read every frame of a NIfTI, MetaImage or picture file as grey values.

    Args:
        path: as for `read_grey`, but no DICOM.

    Returns:
        Grey values 0 to 255, (frames, rows, columns), and the spacing, mm per pixel, (row, column), None if not told.

    Raises:
        ValueError: as for `read_grey`, and if the frames differ in size.
    """
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        return _read_picture(path, PICTURES[suffix], "all", annotation=False), None
    return _metaimage(path, "all") if suffix in (".mhd", ".mha") else _nifti(path, "all")


def read_annotation(path: Path, frame: int | None = None) -> tuple[NDArray[np.uint8], Spacing | None]:
    """Read annotation values as they are stored: of a palette the index, of a bilevel image 0 and 1.

    Args:
        path: as for `read_grey`, but JPEG is refused, for it alters values.
        frame: 0-based, in a file of several; None expects a single one.

    Returns:
        Annotation values 0 to 255, (rows, columns), and the spacing, mm per pixel, (row, column), None where not told.

    Raises:
        ValueError: as for `read_grey`, and if the file is JPEG or its colours are no grey.
    """
    return _read(path, frame, annotation=True)


def read_nifti(path: Path, frame: int | None = None) -> tuple[NDArray[np.uint8], Spacing]:
    """Read a NIfTI image of integers 0 to 255, whatever type they are stored in (CAMUS: float).

    Args:
        path: a .nii or .nii.gz file, NIfTI-1.
        frame: 0-based, along the third dimension; None expects a single one.

    Returns:
        Values, (rows, columns), and the spacing, mm per pixel, (row, column).

    Raises:
        ValueError: if the file is unreadable, truncated or too large, or holds anything but the integers 0 to 255.
    """
    frames, spacing = _nifti(path, frame)
    return frames[0], spacing


def _nifti(path: Path, which: Which) -> tuple[NDArray[np.uint8], Spacing]:
    with _naming(path, "NIfTI"), gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        header = file.read(348)
        order = "<" if header[:4] == struct.pack("<i", 348) else ">"
        if len(header) < 348 or header[344:348] != b"n+1\0" or struct.unpack_from(f"{order}i", header) != (348,):
            raise ValueError("truncated or not an image? A single file of NIfTI-1 is expected; download it again.")
        rank, *sizes = struct.unpack_from(f"{order}8h", header, 40)
        code, units = struct.unpack_from(f"{order}h", header, 70)[0], header[123] & 7
        start, slope, intercept = struct.unpack_from(f"{order}3f", header, 108)
        if not 2 <= rank <= 7 or code not in NIFTI_TYPES or units not in NIFTI_UNITS:
            raise ValueError(f"{rank} dimensions, data type {code} or unit {units} is none of a grey image.")
        if not 348 <= start <= MAX_EXTENSIONS:
            raise ValueError(f"its pixels begin at byte {start}, allowed are 348 to {MAX_EXTENSIONS}.")
        file.seek(int(start))
        pixels = _read_frames(file, sizes[:rank], np.dtype(f"{order}{NIFTI_TYPES[code]}"), which)
        file.read(1)  # where gzip's stream ends it compares its checksum
        if slope and math.isfinite(slope) and (slope, intercept) != (1, 0):
            pixels = pixels * float(slope) + float(intercept)
        column, row = struct.unpack_from(f"{order}2f", header, 80)
        return _as_bytes(pixels), _checked((row * NIFTI_UNITS[units], column * NIFTI_UNITS[units]))


def read_metaimage(path: Path, frame: int | None = None) -> tuple[NDArray[np.uint8], Spacing]:
    """Read a MetaImage of integers 0 to 255.

    Args:
        path: a .mhd file, whose pixels lie in a file beside it, or an .mha file.
        frame: 0-based, along the third dimension; None expects a single one.

    Returns:
        Values, (rows, columns), and the spacing, mm per pixel, (row, column).

    Raises:
        ValueError: if the file is unreadable, truncated or too large, names pixels in another folder, or holds anything
            but the integers 0 to 255.
    """
    frames, spacing = _metaimage(path, frame)
    return frames[0], spacing


def _metaimage(path: Path, which: Which) -> tuple[NDArray[np.uint8], Spacing]:
    with _naming(path, "MetaImage"):
        fields, start = _metaimage_fields(path)
        sizes = [int(size) for size in fields["DimSize"].split()]
        order = ">" if _true(fields, "BinaryDataByteOrderMSB") or _true(fields, "ElementByteOrderMSB") else "<"
        if not _true(fields, "BinaryData", default="True") or fields.get("ElementNumberOfChannels", "1") != "1":
            raise ValueError("text and several channels are not read; save it as binary grey values.")
        if fields["ElementType"] not in METAIMAGE_TYPES:
            raise ValueError(f"ElementType is {fields['ElementType']}, allowed are {list(METAIMAGE_TYPES)}.")
        dtype = np.dtype(order + METAIMAGE_TYPES[fields["ElementType"]])
        size = _checked_pixels(sizes) * dtype.itemsize
        source, start = _metaimage_pixels(path, fields["ElementDataFile"], start)
        skipped = int(fields.get("HeaderSize", "0"))
        with source.open("rb") as file:
            file.seek(max(source.stat().st_size - size, 0) if skipped == -1 else start + skipped)  # -1: at the end
            if _true(fields, "CompressedData"):
                # what does not compress grows by less than a thousandth
                inflated = zlib.decompressobj().decompress(file.read(size + size // 1000 + 1024), size)
                pixels = _read_frames(io.BytesIO(inflated), sizes, dtype, which)
            else:
                pixels = _read_frames(file, sizes, dtype, which)
        column, row = [float(length) for length in fields["ElementSpacing"].split()][:2]
        return _as_bytes(pixels), _checked((row, column))


@contextmanager
def _naming(path: Path, kind: str) -> Iterator[None]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing or no file.")
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path} cannot be read as {kind}: its header lacks {error}. Export it again.") from error
    except EOFError as error:
        raise ValueError(f"{path} cannot be read as {kind}: truncated or not an image? Download it again.") from error
    except Exception as error:  # broken and hostile files make the libraries raise nearly anything
        raise ValueError(f"{path} cannot be read as {kind}: {error}") from error


def _read(path: Path, frame: int | None, annotation: bool) -> tuple[NDArray[np.uint8], Spacing | None]:
    suffix = path.suffix.lower()
    if suffix == ".nii" or path.name.lower().endswith(".nii.gz"):
        return read_nifti(path, frame)
    if suffix in (".mhd", ".mha"):
        return read_metaimage(path, frame)
    if suffix in PICTURES:
        return _read_picture(path, PICTURES[suffix], frame, annotation)[0], None
    return read_dicom(path, frame, annotation)


def _read_picture(path: Path, kind: str, which: Which, annotation: bool) -> NDArray[np.uint8]:
    with _naming(path, kind), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        if annotation and kind == "JPEG":
            raise ValueError("JPEG alters annotation values. Export the annotation as PNG.")
        with Image.open(path, formats=[kind]) as picture:
            chosen = _checked_frames(which, getattr(picture, "n_frames", 1))
            frames: list[NDArray[np.uint8]] = []
            for index in chosen:
                picture.seek(index)
                _checked_pixels([*picture.size, len(picture.getbands()), len(chosen)])
                frames.append(_page(picture, annotation))
                if frames[-1].shape != frames[0].shape:
                    raise ValueError(f"frames of {frames[0].shape} and {frames[-1].shape} pixels. Split the file.")
            return np.stack(frames)


def _page(picture: Image.Image, annotation: bool) -> NDArray[np.uint8]:
    if picture.mode in ("1", "P") and annotation:
        return np.asarray(picture).astype(np.uint8)
    if picture.mode in ("L", "I", "F") or picture.mode.startswith("I;16"):
        return _as_bytes(np.asarray(picture))
    if annotation:
        channels = np.asarray(picture.convert("RGB"))
        if (channels != channels[..., :1]).any():
            raise ValueError("colours are no annotation values. Export it as grey values or as a palette.")
        return channels[..., 0]
    return np.asarray(picture.convert("L"))


def _read_frames(file: io.BufferedIOBase, sizes: Sequence[int], dtype: DTypeLike, which: Which) -> NDArray[Any]:
    # sizes: columns first, as the pixels lie in the file
    _checked_pixels(sizes)
    columns, rows, *frames = sizes
    chosen = _checked_frames(which, math.prod(frames))
    size = rows * columns * np.dtype(dtype).itemsize
    file.seek(chosen.start * size, io.SEEK_CUR)
    content = file.read(len(chosen) * size)
    if len(content) < len(chosen) * size:
        raise EOFError
    return np.frombuffer(content, dtype).reshape(-1, rows, columns)


def _checked_pixels(sizes: Sequence[int]) -> int:
    if len(sizes) < 2 or min(sizes) < 1 or math.prod(sizes) > MAX_PIXELS:
        raise ValueError(f"size {' x '.join(map(str, sizes))}; allowed are 1 to {MAX_PIXELS} pixels. Is it an image?")
    return math.prod(sizes)


def _checked_frames(which: Which, count: int) -> range:
    if which == "all":
        return range(count)
    if which is None and count > 1:
        raise ValueError(f"it has {count} frames; say which one.")
    if not 0 <= (which or 0) < count:
        raise ValueError(f"it has the frames 0 to {count - 1}, not {which}.")
    return range(which or 0, (which or 0) + 1)


def _checked(spacing: Spacing) -> Spacing:
    if not all(0 < length < math.inf for length in spacing):
        raise ValueError(f"spacing {spacing} mm is not positive. Correct it in the header.")
    return spacing


def _as_bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = pixels.min(), pixels.max()  # NaN where there is one
    if low >= 0 and high <= 255:
        values = pixels.astype(np.uint8)
        if (values == pixels).all():
            return values
    raise ValueError(f"it holds values outside the integers 0 to 255 ({low} to {high}). Convert it to 8 bit.")


def _metaimage_fields(path: Path) -> tuple[dict[str, str], int]:
    with path.open("rb") as file:
        text = file.read(MAX_TEXT)
    fields, end = {}, 0
    while "ElementDataFile" not in fields:
        start, end = end, text.find(b"\n", end) + 1 or len(text)
        key, equals, value = text[start:end].decode("latin-1").partition("=")
        if not equals:
            raise ValueError("no ElementDataFile in its header of 'key = value'. Is it a MetaImage?")
        fields[key.strip()] = value.strip()
    return fields, end


def _metaimage_pixels(path: Path, name: str, start: int) -> tuple[Path, int]:
    if name == "LOCAL":
        return path, start
    pixels = path.parent / (name if name == Path(name).name else path.name)
    if pixels.resolve().parent != path.parent.resolve() or pixels == path:
        raise ValueError(f"ElementDataFile is {name!r}; a file in the same folder, or LOCAL, is expected.")
    if not pixels.is_file():
        raise ValueError(f"its pixels {name} are missing. Put the file beside it.")
    return pixels, 0


def _true(fields: dict[str, str], key: str, default: str = "False") -> bool:
    return fields.get(key, default).lower() == "true"
