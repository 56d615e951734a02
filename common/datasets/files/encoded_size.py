"""Size and depth that a compressed picture claims, told before any decoder spends memory on it."""

from __future__ import annotations

import struct

__all__ = ["encoded_bits", "encoded_size"]

# start of a frame in JPEG (ISO 10918-1, table B.1, without DHT, JPG and DAC) and JPEG-LS (ISO 14495-1, SOF55)
STARTS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
SCAN = 0xDA
CODESTREAM = b"\xff\x4f\xff\x51"  # start and size of an image in JPEG 2000 (ISO 15444-1, A.4.1 and A.5.1)


def encoded_size(content: bytes) -> tuple[int, int, int] | None:
    """Read (rows, columns, channels) from a JPEG, JPEG-LS or JPEG 2000 picture; None where there are none.

    Args:
        content: the picture, or its beginning.

    Example:
        >>> encoded_size(bytes.fromhex("ffd8 ffc0 0011 08 0078 00a0 03 012200 021101 031101"))
        (120, 160, 3)
    """
    if (start := content.find(CODESTREAM, 0, 1024)) >= 0:  # in front may lie the boxes of a JP2 file
        if len(content) < start + 42:
            return None
        right, bottom, left, top = struct.unpack_from(">4I", content, start + 8)
        return bottom - top, right - left, struct.unpack_from(">H", content, start + 40)[0]
    if (place := _start_of_frame(content)) is None:
        return None
    rows, columns, channels = struct.unpack_from(">2HB", content, place + 5)
    return rows, columns, channels


def encoded_bits(content: bytes) -> int:
    """Read the bits of a sample from a JPEG or JPEG-LS picture; 8 where there are none.

    Args:
        content: the picture, or its beginning.

    Example:
        >>> encoded_bits(bytes.fromhex("ffd8 fff7 000b 0c 0078 00a0 01 011100"))
        12
    """
    place = _start_of_frame(content)
    return 8 if place is None else content[place + 4]


def _start_of_frame(content: bytes) -> int | None:
    place = 2 if content.startswith(b"\xff\xd8") else len(content)
    while place + 10 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker in STARTS:
            return place
        if marker == SCAN:
            return None
        place += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", content, place + 2)[0]  # 0xFF fills
    return None
