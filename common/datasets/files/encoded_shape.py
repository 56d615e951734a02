"""Size and depth of a compressed picture, read from its header before a decoder allocates memory."""

from __future__ import annotations

import struct

__all__ = ["encoded_shape"]

# start of a frame in JPEG (ISO 10918-1, table B.1, without DHT, JPG and DAC) and JPEG-LS (ISO 14495-1, SOF55)
STARTS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
SCAN = 0xDA
CODESTREAM = b"\xff\x4f\xff\x51"  # start and size of an image in JPEG 2000 (ISO 15444-1, A.4.1 and A.5.1)


def encoded_shape(content: bytes) -> tuple[int, int, int, int] | None:
    """Read (rows, columns, channels, bits per sample) from a JPEG, JPEG-LS or JPEG 2000 picture; None for other bytes.

    Args:
        content: the picture, or its beginning.

    Example:
        >>> encoded_shape(bytes.fromhex("ffd8 ffc0 0011 08 0078 00a0 03 012200 021101 031101"))
        (120, 160, 3, 8)
    """
    if (start := content.find(CODESTREAM, 0, 1024)) >= 0:  # after the boxes of a JP2 file, if any
        if len(content) < start + 43:
            return None
        right, bottom, left, top = struct.unpack_from(">4I", content, start + 8)
        channels, depth = struct.unpack_from(">HB", content, start + 40)
        return bottom - top, right - left, channels, (depth & 0x7F) + 1
    place = 2 if content.startswith(b"\xff\xd8") else len(content)
    while place + 10 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker in STARTS:
            bits, rows, columns, channels = struct.unpack_from(">B2HB", content, place + 4)
            return rows, columns, channels, bits
        if marker == SCAN:
            return None
        place += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", content, place + 2)[0]  # 0xFF fills
    return None
