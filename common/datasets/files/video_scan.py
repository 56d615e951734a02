"""Clips as video files, and as the video streams inside DICOM files, decoded once and as a whole.

Files come from strangers: only known containers and codecs are tried, and none that names other files.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from .gathering import MAX_SAMPLES, check_size, gathered
from .scan import Scan
from .unreadable import Unreadable, reading

__all__ = ["VIDEO_SUFFIXES", "decode_video", "plausible_rate", "read_video_scan"]

VIDEO_SUFFIXES = (".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".wmv", ".asf", ".mpg", ".mpeg")
CONTAINERS = "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,mpeg,mpegts,mpegvideo,h264,hevc,m4v"
CODECS = (
    "mjpeg,h264,hevc,mpeg4,mpeg2video,mpeg1video,msmpeg4v1,msmpeg4v2,msmpeg4,wmv1,wmv2,wmv3,vc1,h263,"
    "rawvideo,png,ffv1,vp8,vp9,av1,libdav1d"
)
MAX_PIXELS = 16_000_000  # in a frame
FASTEST = 1000.0  # Hz; ultrafast research scanners reach more, clips of an apical view do not


def read_video_scan(path: Path) -> Scan:
    """Read every frame of a video file; it tells no spacing.

    Args:
        path: an AVI, MP4, MOV, MKV, WMV or MPEG file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no video, too large, damaged, or of a codec or container that is not tried.
    """
    with reading(path, "a video"):
        frames, rate, notes = decode_video(path)
        return Scan(frames, frame_rate=rate if len(frames) > 1 else None, notes=notes)


def decode_video(source: Path | io.BytesIO) -> tuple[NDArray[np.uint8], float | None, tuple[str, ...]]:
    """Decode every frame of a video to grey values, full range.

    Args:
        source: a file, or a stream in memory.

    Returns:
        Grey values, (frames, rows, columns); frames per second, None where not told; and notes for a reader.

    Raises:
        Unreadable: if it is no video, too large or damaged.
    """
    limits = {"max_pixels": str(MAX_PIXELS), "codec_whitelist": CODECS}
    files = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    file = f"file:{source}" if isinstance(source, Path) else source
    try:
        with av.open(file, "r", options=limits | files, metadata_errors="replace") as container:
            if not container.streams.video:
                raise Unreadable("it holds no video.")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise Unreadable("its codec is not read. Convert it to H.264.")
            promised = stream.frames
            check_size(max(promised, 1), stream.codec_context.height, stream.codec_context.width)
            stream.codec_context.options = limits | {"err_detect": "explode"}  # else damage is painted over in grey
            stream.codec_context.thread_count = 1
            frames = gathered(_frames(container, stream))
            rate = plausible_rate(stream.average_rate)
    except av.FFmpegError as error:
        raise Unreadable(f"{error.strerror}. Export it again.") from None
    missing = (f"The file breaks off: {len(frames)} of {promised} frames are there.",) if len(frames) < promised else ()
    return frames, rate, missing


def _frames(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[NDArray[np.uint8]]:
    for packet in container.demux(stream):  # ends with an empty packet, which brings out the last frames
        if packet.is_corrupt:  # the file ends within
            yield from map(_grey, stream.codec_context.decode(None))
            return
        yield from map(_grey, stream.codec_context.decode(packet))


def _grey(frame: av.VideoFrame) -> NDArray[np.uint8]:
    if not 0 < frame.width * frame.height <= min(MAX_PIXELS, MAX_SAMPLES):
        raise Unreadable(f"a frame of {frame.width} x {frame.height} pixels.")
    return frame.to_ndarray(format="gray").astype(np.uint8, copy=False)


def plausible_rate(rate: object) -> float | None:
    """Return frames per second as a number, None where they cannot be.

    Args:
        rate: whatever a file tells: a number, a fraction, text or nothing.

    Example:
        >>> plausible_rate("50"), plausible_rate(0), plausible_rate("fast"), plausible_rate(90000)
        (50.0, None, None, None)
    """
    try:
        number = float(rate)  # type: ignore[arg-type]  # whatever fails is no rate
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and 0 < number <= FASTEST else None
