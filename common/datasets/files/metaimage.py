"""MetaImage files: header and pixels.

They are parsed here and not by ITK, which opens files in other folders and returns uninitialised memory for pixels that
it cannot decompress; the tests compare both on sound files.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .unreadable import Unreadable

__all__ = ["MetaImage", "metaimage_header", "metaimage_pixels"]

MAX_TEXT = 64 * 1024  # bytes of a header; real ones have a few hundred
TYPES = {
    "MET_UCHAR": "u1",
    "MET_CHAR": "i1",
    "MET_USHORT": "u2",
    "MET_SHORT": "i2",
    "MET_UINT": "u4",
    "MET_INT": "i4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}


@dataclass(frozen=True)
class MetaImage:
    """Header of a MetaImage file.

    Args:
        fields: as they are written.
        sizes: along each axis, the fastest first.
        lengths: mm between pixels along each axis.
        dtype: of the pixels.
        pixels: file of the pixels.
        start: byte at which they begin in it, before HeaderSize.
    """

    fields: Mapping[str, str]
    sizes: list[int]
    lengths: list[float]
    dtype: np.dtype[Any]
    pixels: Path
    start: int

    def read(self, first: int, count: int) -> NDArray[Any]:
        """Read `count` pixels from number `first`; the sizes must have been checked, because memory is allocated.

        Raises:
            EOFError: if the file is truncated.
        """
        size = math.prod(self.sizes) * self.dtype.itemsize
        skipped = int(self.fields.get("HeaderSize", "0"))
        with self.pixels.open("rb") as opened:
            file: io.BufferedIOBase = opened
            # -1: at the end
            file.seek(max(self.pixels.stat().st_size - size, 0) if skipped == -1 else self.start + skipped)
            if _true(self.fields, "CompressedData"):
                # what does not compress grows by less than a thousandth
                file = io.BytesIO(zlib.decompressobj().decompress(file.read(size + size // 1000 + 1024), size))
            file.seek(first * self.dtype.itemsize, io.SEEK_CUR)
            content = file.read(count * self.dtype.itemsize)
        if len(content) < count * self.dtype.itemsize:
            raise EOFError
        return np.frombuffer(content, self.dtype)


def metaimage_header(path: Path) -> MetaImage:
    """Read the header of a MetaImage file.

    Raises:
        Unreadable: if it is not one, or names pixels in another folder.
    """
    fields, end = _fields(path)
    if missing := [key for key in ("DimSize", "ElementType", "ElementSpacing") if key not in fields]:
        raise Unreadable(f"its header lacks {missing}. Export it again.")
    if not _true(fields, "BinaryData", default="True") or fields.get("ElementNumberOfChannels", "1") != "1":
        raise Unreadable("text and several channels are not read; save it as binary grey values.")
    if fields["ElementType"] not in TYPES:
        raise Unreadable(f"ElementType is {fields['ElementType']}, allowed are {list(TYPES)}.")
    order = ">" if _true(fields, "BinaryDataByteOrderMSB") or _true(fields, "ElementByteOrderMSB") else "<"
    pixels, start = _pixels(path, fields["ElementDataFile"], end)
    return MetaImage(
        fields,
        [int(size) for size in fields["DimSize"].split()],
        [float(length) for length in fields["ElementSpacing"].split()],
        np.dtype(order + TYPES[fields["ElementType"]]),
        pixels,
        start,
    )


def metaimage_pixels(path: Path) -> Path:
    """Return the file that holds the pixels: the file itself, or one beside it.

    Raises:
        Unreadable: if it is missing or in another folder.
    """
    fields, end = _fields(path)
    return _pixels(path, fields["ElementDataFile"], end)[0]


def _fields(path: Path) -> tuple[dict[str, str], int]:
    with path.open("rb") as file:
        text = file.read(MAX_TEXT)
    fields, end = {}, 0
    while "ElementDataFile" not in fields:
        start, end = end, text.find(b"\n", end) + 1 or len(text)
        key, equals, value = text[start:end].decode("latin-1").partition("=")
        if not equals:
            raise Unreadable("no ElementDataFile in its header of 'key = value'. Is it a MetaImage?")
        fields[key.strip()] = value.strip()
    return fields, end


def _pixels(path: Path, name: str, start: int) -> tuple[Path, int]:
    if name == "LOCAL":
        return path, start
    pixels = path.parent / (name if name == Path(name).name else path.name)
    if pixels.resolve().parent != path.parent.resolve() or pixels == path:
        raise Unreadable(f"ElementDataFile is {name!r}; expected a file in the same folder, or LOCAL.")
    if not pixels.is_file():
        raise Unreadable(f"its pixels {name} are missing. Put the file beside it.")
    return pixels, 0


def _true(fields: Mapping[str, str], key: str, default: str = "False") -> bool:
    return fields.get(key, default).lower() == "true"
