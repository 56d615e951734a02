"""Frames of a motion-JPEG clip as it was stored, and where in the picture something moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["Video", "read_frames"]

# far above any clip of the public datasets, far below what fills the memory or takes minutes
MAX_BYTES = 2**30
MAX_PIXELS = 16_000_000
MAX_FRAMES = 100_000
MOTION_FRAMES = 32  # evenly spaced frames tell moving tissue from text; more only cost time


@dataclass(frozen=True)
class Video:
    """What was asked of a clip.

    Args:
        frames: grey values 0 to 255, uint8, (frames asked for, rows, columns).
        count: frames in the clip.
        frame_rate: Hz, as the file tells; None where it does not.
        motion: standard deviation of each pixel over the clip, grey values, (rows, columns).
    """

    frames: NDArray[np.uint8]
    count: int
    frame_rate: float | None
    motion: NDArray[np.float32]


def read_frames(path: Path, indices: Sequence[int]) -> Video:
    """Read single frames of a motion-JPEG AVI file; every frame stands alone, so the others stay undecoded.

    Files come from strangers: sizes are bounded, and no other container (a playlist can name further files) or codec
    is tried. A file that holds fewer frames than its header promises is broken off and refused.

    Args:
        path: an AVI file.
        indices: frames to return, 0-based, in the order to return them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no motion JPEG, damaged or too large, or a frame lies beyond its end.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing or not a file.")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has more than {MAX_BYTES} bytes; a clip of this length is not read.")
    limits = {"max_pixels": str(MAX_PIXELS), "codec_whitelist": "mjpeg"}
    files = {"protocol_whitelist": "file", "format_whitelist": "avi"}
    try:
        with av.open(f"file:{path}", options=limits | files, metadata_errors="replace") as container:
            if not container.streams.video:
                raise ValueError(f"{path} holds no video.")
            stream = container.streams.video[0]
            codec = stream.codec_context.name if stream.codec_context else "unknown"
            if codec != "mjpeg":
                raise ValueError(f"{path} holds {codec} video; motion JPEG is expected.")
            stream.codec_context.options = limits | {"err_detect": "explode"}  # else damage is painted over in grey
            stream.codec_context.thread_count = 1  # the preparation runs a process a core
            return _read(path, container, stream, indices)
    except av.FFmpegError as error:
        raise ValueError(f"{path} cannot be read as a video: {error.strerror}. Download it again.") from error


def _read(path: Path, container: av.container.InputContainer, stream: av.VideoStream, indices: Sequence[int]) -> Video:
    rows, columns, promised = stream.codec_context.height, stream.codec_context.width, stream.frames
    if not 0 < rows * columns <= MAX_PIXELS or not 0 < promised <= MAX_FRAMES:
        raise ValueError(
            f"{path} has {promised} frames of {columns} x {rows} pixels; "
            f"1 to {MAX_FRAMES} frames of at most {MAX_PIXELS} pixels are read."
        )
    if outside := [index for index in indices if not 0 <= index < promised]:
        raise ValueError(f"{path} has no frame {outside[0]}: it has {promised} frames, counted from 0.")
    sampled = range(0, promised, -(-promised // MOTION_FRAMES))
    frames = np.zeros((len(indices), rows, columns), np.uint8)
    total, squares = np.zeros((2, rows, columns), np.int32)  # at most 32 * 255 and 32 * 255^2
    count = 0
    for packet in container.demux(stream):
        if count == promised or packet.size == 0 or packet.is_corrupt:  # all there, or the file ends here
            break
        if count in sampled or count in indices:
            grey = _decode(path, stream, packet, (rows, columns))
            frames[[place for place, index in enumerate(indices) if index == count]] = grey
            if count in sampled:
                total += grey
                squares += np.square(grey, dtype=np.int32)
        count += 1
    if count < promised:
        raise ValueError(f"{path} cannot be read as a video: it holds {count} of {promised} frames. Download it again.")
    motion = np.sqrt(squares * len(sampled) - total**2) / len(sampled)  # exact up to the root: all are integers
    rate = float(stream.average_rate) if stream.average_rate else None
    return Video(frames, promised, rate, motion.astype(np.float32))


def _decode(
    path: Path, stream: av.VideoStream, packet: av.Packet[av.VideoStream], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    frames = stream.codec_context.decode(packet)
    if [(frame.height, frame.width) for frame in frames] != [shape]:
        raise ValueError(f"{path} cannot be read as a video: a frame is not of {shape} pixels. Download it again.")
    return frames[0].to_ndarray(format="gray").astype(np.uint8, copy=False)  # full-range luma comes as it is stored
