"""Clips in video files and in the video streams of DICOM files.

Files are untrusted: only known containers and codecs are tried, and none that names other files.
"""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from .motion import motion, sampled
from .scan import MAX_SAMPLES, Scan, check_size, collect
from .unreadable import Unreadable, reading

__all__ = ["VIDEO_SUFFIXES", "decode_video", "plausible_rate", "read_motion_jpeg"]

VIDEO_SUFFIXES = (".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".wmv", ".asf", ".mpg", ".mpeg")
CONTAINERS = "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,mpeg,mpegts,mpegvideo,h264,hevc,m4v"
CODECS = (
    "mjpeg,h264,hevc,mpeg4,mpeg2video,mpeg1video,msmpeg4v1,msmpeg4v2,msmpeg4,wmv1,wmv2,wmv3,vc1,h263,"
    "rawvideo,png,ffv1,vp8,vp9,av1,libdav1d"
)
MAX_PIXELS = 16_000_000  # in a frame
FASTEST = 1000.0  # Hz; ultrafast research scanners reach more, clips of an apical view do not


def read_motion_jpeg(path: Path, frame: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Read one frame (0-based) of a motion-JPEG AVI file, and the motion of the clip.

    Each frame of motion JPEG stands alone, so only this one and those that show motion are decoded.

    Returns:
        Grey values as they are stored and motion as by `motion`, (rows, columns) each.

    Raises:
        ValueError: if the file is not motion JPEG, damaged, too large or cut short, or has no such frame.
    """
    with reading(path, "a video"), _opened(path, "avi", "mjpeg") as (container, stream):
        count = stream.frames
        if not 0 <= frame < count:
            raise Unreadable(f"it has no frame {frame}: it has {count} frames, counted from 0.")
        wanted = sorted({frame, *sampled(count), count - 1})
        frames = collect(_frames(container, stream, wanted))
        if len(frames) < len(wanted):
            raise Unreadable(f"it breaks off before frame {wanted[len(frames)]} of {count}. Download it again.")
        places = [wanted.index(number) for number in sampled(count)]
        return frames[wanted.index(frame)], motion(frames[places])


def decode_video(source: Path | io.BytesIO) -> Scan:
    """Decode every frame of a video, full range; the spacing is unknown, and a still has no frame rate."""
    with _opened(source, CONTAINERS, CODECS) as (container, stream):
        promised = stream.frames
        frames = collect(_frames(container, stream))
        rate = plausible_rate(stream.average_rate) if len(frames) > 1 else None
    missing = (f"The file breaks off: {len(frames)} of {promised} frames are there.",) if len(frames) < promised else ()
    return Scan(frames, frame_rate=rate, notes=missing)


@contextmanager
def _opened(
    source: Path | io.BytesIO, containers: str, codecs: str
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    limits = {"max_pixels": str(MAX_PIXELS), "codec_whitelist": codecs}
    files = {"protocol_whitelist": "file", "format_whitelist": containers}
    file = f"file:{source}" if isinstance(source, Path) else source
    try:
        with av.open(file, "r", options=limits | files, metadata_errors="replace") as container:
            if not container.streams.video:
                raise Unreadable("it holds no video.")
            stream = container.streams.video[0]
            codec = stream.codec_context.name if stream.codec_context else "unknown"
            if codec not in codecs.split(","):
                raise Unreadable(f"its codec is {codec}, allowed are {codecs}. Convert it.")
            check_size(max(stream.frames, 1), stream.codec_context.height, stream.codec_context.width)
            stream.codec_context.options = limits | {"err_detect": "explode"}  # else damage is painted over in grey
            stream.codec_context.thread_count = 1  # preparation runs one process per core
            yield container, stream
    except av.FFmpegError as error:
        raise Unreadable(f"{error.strerror}. Export it again.") from None


def _frames(
    container: av.container.InputContainer, stream: av.VideoStream, only: Collection[int] | None = None
) -> Iterator[NDArray[np.uint8]]:
    for number, packet in enumerate(container.demux(stream)):
        if packet.is_corrupt:  # the file ends within
            yield from map(_grey, stream.codec_context.decode(None))
            return
        if only is None or number in only or not packet.size:  # the last packet is empty and brings out the last frames
            yield from map(_grey, stream.codec_context.decode(packet))


def _grey(frame: av.VideoFrame) -> NDArray[np.uint8]:
    if not 0 < frame.width * frame.height <= min(MAX_PIXELS, MAX_SAMPLES):
        raise Unreadable(f"a frame of {frame.width} x {frame.height} pixels.")
    return frame.to_ndarray(format="gray").astype(np.uint8, copy=False)


def plausible_rate(rate: object) -> float | None:
    """Return frames per second as a number; None where a file holds something impossible.

    Example:
        >>> plausible_rate("50"), plausible_rate(0), plausible_rate("fast"), plausible_rate(90000)
        (50.0, None, None, None)
    """
    try:
        number = float(rate)  # type: ignore[arg-type]  # whatever fails is None
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and 0 < number <= FASTEST else None
