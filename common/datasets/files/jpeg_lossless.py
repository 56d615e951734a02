"""Decode lossless JPEG and JPEG-LS, which ultrasound machines write, with FFmpeg: a plugin for pydicom.

FFmpeg withstands untrusted files. Of the decoders that pydicom knows for these syntaxes, GDCM ends the whole process on
some damaged files, CharLS does not return from others, and libjpeg is under the GPL. Colour JPEG-LS whose channels
alternate from pixel to pixel is decoded by CharLS, which FFmpeg cannot, in a process of its own with a time limit.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless

from .encoded_shape import encoded_shape
from .unreadable import Unreadable

__all__ = ["CODECS", "DECODER_DEPENDENCIES", "decode_frame", "is_available"]

CODECS = {JPEGLossless: "mjpeg", JPEGLosslessSV1: "mjpeg", JPEGLSLossless: "jpegls", JPEGLSNearLossless: "jpegls"}
DECODER_DEPENDENCIES = dict.fromkeys(CODECS, ("av",))
ALTERNATING = 2  # code of the interleave mode, ISO 14495-1 C.2.3
SECONDS = 10  # limit where a process cannot limit itself; a frame takes 0.1 s, most of it to start
CHARLS = """
import signal, sys, jpeg_ls, numpy
if hasattr(signal, "setitimer"):
    signal.setitimer(signal.ITIMER_PROF, 0.5)  # of processor time; then the signal ends this process
sys.stdout.buffer.write(jpeg_ls.decode(numpy.frombuffer(sys.stdin.buffer.read(), numpy.uint8)).tobytes())
"""


def is_available(uid: str) -> bool:
    """Return whether a transfer syntax is decoded here."""
    return uid in CODECS


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Decode one JPEG picture for pydicom, whose `runner` describes it and is set to colours pixel by pixel."""
    name, bits = CODECS[runner.transfer_syntax], (encoded_shape(source) or (0, 0, 0, 8))[3]
    shape = (runner.rows, runner.columns, runner.samples_per_pixel)
    alternating = name == "jpegls" and shape[2] > 1 and _interleave(source) == ALTERNATING
    if alternating and bits != 8:
        raise Unreadable("colours of other than 8 bits per channel.")
    values = _by_charls(source, shape) if alternating else _decoded(source, name)
    if name == "jpegls" and not alternating:  # there FFmpeg moves 12 bits to the upper end of 16
        values = np.right_shift(values, values.itemsize * 8 - bits, dtype=values.dtype)
    if values.shape != shape:
        raise Unreadable(f"a frame of {values.shape} values.")
    if runner.bits_allocated not in (8, 16) or values.itemsize * 8 > runner.bits_allocated:
        raise Unreadable(f"a frame of {values.dtype}.")
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
    return values.astype(f"<u{runner.bits_allocated // 8}").tobytes()


def _interleave(source: bytes) -> int:
    """Return the interleave mode of a JPEG-LS picture, -1 without a scan."""
    start = source.find(b"\xff\xda")
    place = start + 5 + 2 * source[start + 4] + 1 if 0 <= start < len(source) - 5 else len(source)
    return source[place] if place < len(source) else -1


def _by_charls(source: bytes, shape: tuple[int, int, int]) -> NDArray[np.unsignedinteger]:
    try:
        child = [sys.executable, "-I", "-c", CHARLS]
        content = subprocess.run(child, input=source, capture_output=True, timeout=SECONDS, check=True).stdout
    except subprocess.SubprocessError as error:
        raise Unreadable("a frame is damaged.") from error
    if len(content) != shape[0] * shape[1] * shape[2]:
        raise Unreadable(f"a frame of {len(content)} values.")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _decoded(source: bytes, name: str) -> NDArray[np.unsignedinteger]:
    codec = cast(av.VideoCodecContext, av.CodecContext.create(name, "r"))
    codec.options = {"err_detect": "explode"}  # else damage is painted over in grey
    codec.thread_count = 1
    frames = codec.decode(av.Packet(source))
    if len(frames) != 1:
        raise Unreadable(f"{len(frames)} pictures in a frame.")
    values: NDArray[Any] = frames[0].to_ndarray()
    match frames[0].format.name:  # FFmpeg converts no colours: these are its names of one and of three components
        case "gray" | "gray16le":
            return values[..., np.newaxis]
        case "rgb24" | "gbrp":
            return values
        case "bgr24":
            return values[..., ::-1]
        case "yuv444p" | "yuvj444p":
            return values.transpose(1, 2, 0)
    raise Unreadable("neither grey nor three full channels.")
