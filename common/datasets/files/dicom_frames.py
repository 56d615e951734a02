"""Stored pixels of DICOM files; each frame is checked before it is decoded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pydicom
from numpy.typing import NDArray
from pydicom.datadict import keyword_dict
from pydicom.dataelem import RawDataElement
from pydicom.encaps import generate_frames
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from . import jpeg_lossless
from .encoded_shape import encoded_shape
from .jpeg_lossless import CODECS
from .unreadable import Unreadable

__all__ = ["encapsulated", "frame_count", "read_header", "stored_frames"]

MAX_SAMPLES = 16 * 1024 * 1024  # in one frame, over all channels: a screen of 1920 x 1080 in colour has 6.2 million
DEFERRED = 64 * 1024  # bytes; larger elements stay in the file
REQUIRED = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PhotometricInterpretation")
IMAGE_TAGS = [tag for tag in keyword_dict.values() if tag >> 16 == 0x0028]  # pixels, palettes, windows
ULTRASOUND_REGIONS = 0x00186011
# one decoder per syntax, so that all machines read alike; `jpeg_lossless` says why others are left out
DECODERS = {
    **dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit, *JPEG2000TransferSyntaxes), "pillow"),
    **dict.fromkeys(CODECS, "ffmpeg"),
    RLELossless: "pydicom",
}
for _syntax in CODECS:
    if "ffmpeg" not in get_decoder(_syntax).available_plugins:
        get_decoder(_syntax).add_plugin("ffmpeg", (jpeg_lossless.__name__, "decode_frame"))


def read_header(path: Path, tags: Iterable[int] = ()) -> pydicom.Dataset:
    """Read the elements that describe the pixels, and nothing about the patient.

    Args:
        path: a DICOM file with preamble, under any name.
        tags: further elements to read.

    Returns:
        Group 0028, the ultrasound regions and the requested elements; `REQUIRED` are present and of allowed size.

    Raises:
        Unreadable: if the file is not an image, deflated, or its frames are too large.
    """
    if not pydicom.misc.is_dicom(path):
        raise Unreadable("not an image? Other formats are known by .nii, .nii.gz, .mhd, .mha, .png, .bmp, .tif, .jpg.")
    if read_file_meta_info(path).TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        # its size is not known before all of it is in memory
        raise Unreadable("the file is deflated as a whole. Convert it to Explicit VR Little Endian.")
    wanted = [*IMAGE_TAGS, ULTRASOUND_REGIONS, *tags]
    header = pydicom.dcmread(path, stop_before_pixels=True, defer_size=DEFERRED, specific_tags=wanted)
    missing = [key for key in REQUIRED if header.get(key) in (None, "")]
    if missing == list(REQUIRED):
        raise Unreadable("it holds no image. A report, or the directory of a disc?")
    if missing:
        raise Unreadable(f"it lacks {missing}. Is it an image?")
    shape = (int(header.Rows), int(header.Columns), int(header.SamplesPerPixel))
    if not 0 < math.prod(shape) <= MAX_SAMPLES:
        raise Unreadable(f"a frame of {' x '.join(map(str, shape))} samples; allowed are 1 to {MAX_SAMPLES}.")
    return header


def frame_count(header: pydicom.Dataset) -> int:
    """Return the number of frames that the header states, 1 by default."""
    return int(header.get("NumberOfFrames") or 1)


def _syntax_name(header: pydicom.Dataset) -> str:
    """Return how the pixels are stored, in words."""
    syntax = UID(header.file_meta.TransferSyntaxUID)
    return syntax.name if syntax in AllTransferSyntaxes else "an unknown transfer syntax"  # not the text of the file


def stored_frames(path: Path, header: pydicom.Dataset, numbers: range | None = None) -> Iterator[NDArray[Any]]:
    """Decode frames one by one, (rows, columns) or (rows, columns, channels), as stored except that YBR becomes RGB.

    Args:
        path: the file.
        header: by `read_header`.
        numbers: of the frames to decode, 0-based; None decodes every frame.
    """
    syntax, name = header.file_meta.TransferSyntaxUID, _syntax_name(header)
    wanted = range(frame_count(header)) if numbers is None else numbers
    decoder = DECODERS.get(syntax, "")
    if syntax.is_encapsulated:
        if not decoder:
            raise Unreadable(f"pixels stored as {name} are not decoded. Export it as JPEG or uncompressed.")
        _check_encoded(path, header, wanted)
    done = 0
    try:
        for frame in islice(iter_pixels(path, indices=numbers, decoding_plugin=decoder), len(wanted)):
            yield frame
            done += 1
    except Exception:
        done = -1
    if done < len(wanted):  # outside of the handler, for its exception quotes the file
        remedy = "Export it uncompressed." if syntax.is_encapsulated else "Export it again: does the file break off?"
        raise Unreadable(f"pixels stored as {name} are not decoded: damaged, missing or of a rare kind. {remedy}")


def encapsulated(path: Path, header: pydicom.Dataset, numbers: range) -> Iterator[bytes]:
    """Read compressed frames, by 0-based numbers, as they are in the file; `header` is that of `read_header`."""
    only = pydicom.dcmread(path, defer_size=DEFERRED, specific_tags=["PixelData"])
    pixels = only.get_item("PixelData", keep_deferred=True) if "PixelData" in only else None
    if not isinstance(pixels, RawDataElement):
        raise Unreadable("it has no pixels.")
    with path.open("rb") as file:
        file.seek(pixels.value_tell)
        frames = generate_frames(file, number_of_frames=frame_count(header))
        yield from islice(frames, numbers.start, numbers.stop, numbers.step)


def _check_encoded(path: Path, header: pydicom.Dataset, numbers: range) -> None:
    name, shape = _syntax_name(header), (header.Rows, header.Columns, header.SamplesPerPixel)
    size = math.prod(shape) * header.BitsAllocated // 8
    count = 0
    for frame, content in zip(numbers, encapsulated(path, header, numbers), strict=False):
        count += 1
        if header.file_meta.TransferSyntaxUID == RLELossless:
            # pydicom expands the runs, up to 64-fold, before it compares their length with what the header says
            if len(content) > size + size // 64 + 1024:  # what does not compress grows by a 128th
                raise Unreadable(f"frame {frame} takes {len(content)} bytes compressed, {size} uncompressed.")
        elif (found := encoded_shape(content)) is None:
            raise Unreadable(f"pixels stored as {name} are not decoded: frame {frame} is not such a picture.")
        elif found[:3] != shape:
            raise Unreadable(f"frame {frame}, stored as {name}, has {found[:3]} samples; its header says {shape}.")
    if count < len(numbers):
        raise Unreadable(f"it holds {count} of {len(numbers)} frames. Export it again.")
