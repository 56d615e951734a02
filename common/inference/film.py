"""Encode a clip with its classes drawn in as a file that browsers play."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image

from ..palette import COLOURS
from .drawing import FILL, Canvas, enlarge

__all__ = ["write_film"]

Bytes = NDArray[np.uint8]


def write_film(
    frames: Iterable[tuple[Bytes, Bytes]], canvas: Canvas, above: Bytes, below: Bytes, rate: Fraction, path: Path
) -> None:
    """Draw frames and encode them as H.264, one at a time, with the index in front.

    Classes are drawn without smoothing, by a table of colours: several times as fast as `draw_anatomy`. Frames are grey
    values 0 to 255 and the class of each pixel, both (rows, columns); the bands above and below them are colours,
    (height, width, 3); `rate` is frames per second.
    """
    height, width = canvas.size
    page = np.concatenate([above, np.zeros((height, width, 3), np.uint8), below])
    page = np.pad(page, [(0, side % 2) for side in page.shape[:2]] + [(0, 0)])  # even: H.264 halves colours
    page = np.pad(page, [(0, 0), (0, 0), (0, 1)])
    picture = page.view(np.uint32)[len(above) : len(above) + height, :width, 0]  # a pixel is one number
    with av.open(path, "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "ultrafast"})
        stream.height, stream.width = page.shape[:2]
        stream.pix_fmt = "yuv420p"  # the only one that all browsers play
        stream.codec_context.thread_count = 0
        for frame, labels in frames:
            picture[:] = _draw(canvas, frame, labels)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(page, format="rgba")))
        container.mux(stream.encode(None))


def _draw(canvas: Canvas, frame: Bytes, labels: Bytes) -> NDArray[np.uint32]:
    """Return a pixel of four bytes for each of the canvas, (height, width)."""
    height, width = canvas.size
    shown = np.asarray(Image.fromarray(labels[canvas.box]).resize((width, height), Image.Resampling.NEAREST))
    # both sides of a border have the colour of its first class: a line of one pixel would lose its colour in H.264
    ranked = shown - np.uint8(1)  # the background comes last
    first = ranked.copy()
    border = np.zeros(shown.shape, np.bool_)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = ranked[one] != ranked[other]
        for here, there in ((one, other), (other, one)):
            border[here] |= differ
            np.minimum(first[here], ranked[there], out=first[here])
    start = np.where(border, _STARTS[first + np.uint8(1)] + 256 * len(COLOURS), _STARTS[shown])
    return np.asarray(_TABLE.take(start + enlarge(canvas, frame)))


def _table() -> NDArray[np.uint32]:
    """Return the colour of every grey value in the background, inside each class, then on each border, row by row."""
    grey = np.repeat(np.arange(256.0)[None, :, None], 3, axis=2)
    colours = 255 * np.array([to_rgb(colour) for colour in COLOURS])[:, None]
    inside, border = (grey * (1 - opacity) + colours * opacity for opacity in (FILL, 1.0))
    table = np.round(np.concatenate([grey, inside, border])).astype(np.uint8)
    return np.pad(table, [(0, 0), (0, 0), (0, 1)]).reshape(-1, 4).view(np.uint32)[:, 0]


_TABLE = _table()
_STARTS = 256 * np.array([0, *(index % len(COLOURS) + 1 for index in range(255))], np.uint16)  # of a class in it
