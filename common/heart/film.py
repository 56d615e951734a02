"""A clip with its classes drawn in, as a file that browsers play."""

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
from .drawing import FILL, Canvas, enlarged

__all__ = ["Film"]

CHROMA = 128  # of grey, in both planes
ALL, NO_EDGE = slice(None), np.uint8(255)
BORDERS = 128  # where the borders of the classes begin in `_STARTS`
Bytes = NDArray[np.uint8]


class Film:
    """Draws frames and encodes them as H.264, one at a time.

    Classes are drawn without smoothing, straight into the luma and chroma planes of the video (BT.601, chroma halved):
    several times as fast as `draw_anatomy`.

    Args:
        canvas: where things go.
        above: colours of the band above all frames, (height, width, 3), of an even height.
        below: of that below.
    """

    def __init__(self, canvas: Canvas, above: Bytes, below: Bytes) -> None:
        self.canvas = canvas
        height, width = canvas.size
        page = np.concatenate([above, np.zeros((height, width, 3), np.uint8), below])
        page = np.pad(page, [(0, side % 2) for side in page.shape[:2]] + [(0, 0)])
        video = av.VideoFrame.from_ndarray(page, format="rgb24").reformat(format="yuv420p")
        self._page: Bytes = np.ascontiguousarray(video.to_ndarray(), np.uint8)
        self.size = page.shape[:2]
        pixels = page.shape[0] * page.shape[1]
        luma, *chroma = np.split(self._page.reshape(-1), [pixels, pixels + pixels // 4])
        top = len(above)
        self._luma = luma.reshape(self.size)[top : top + height, :width]
        self._chroma = [
            plane.reshape(self.size[0] // 2, -1)[top // 2 : (top + height + 1) // 2, : (width + 1) // 2]
            for plane in chroma
        ]

    def write(self, frames: Iterable[tuple[Bytes, Bytes]], rate: Fraction, path: Path) -> None:
        """Write a film, its index in front.

        Args:
            frames: grey values 0 to 255, and class of each pixel, (rows, columns) both.
            rate: frames per second.
            path: of the file.
        """
        with av.open(path, "w", options={"movflags": "faststart"}) as container:
            stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "ultrafast"})
            stream.height, stream.width = self.size  # even: H.264 halves colours
            stream.pix_fmt = "yuv420p"  # the only one that all browsers play
            stream.codec_context.thread_count = 0
            for frame, labels in frames:
                self._draw(frame, labels)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(self._page, format="yuv420p")))
            container.mux(stream.encode(None))

    def _draw(self, frame: Bytes, labels: Bytes) -> None:
        """Draw into the planes."""
        height, width = self.canvas.size
        shown = np.asarray(Image.fromarray(labels[self.canvas.box]).resize((width, height), Image.Resampling.NEAREST))
        # both sides of a border have the colour of its first class, for luma and chroma must be of one class
        ranked = shown - np.uint8(1)  # the background comes last
        edge = np.full_like(shown, NO_EDGE)
        for one, other in (((slice(1, None),), (slice(-1),)), ((ALL, slice(1, None)), (ALL, slice(-1)))):
            first = np.where(shown[one] != shown[other], np.minimum(ranked[one], ranked[other]), NO_EDGE)
            for side in (one, other):
                np.minimum(edge[side], first, out=edge[side])
        colour = _STARTS[np.where(edge < NO_EDGE, edge + np.uint8(BORDERS + 1), shown)] + enlarged(self.canvas, frame)
        self._luma[:] = _PALETTE[0].take(colour)
        colour = colour[::2, ::2]
        for plane, palette in zip(self._chroma, _PALETTE[1:], strict=True):
            plane[:] = palette.take(colour)


def _palette() -> Bytes:
    """Return luma and both chroma of every grey value inside each class, then on its border, (3, 2 (classes + 1) 256).

    BT.601, of limited range, as players take it where a file does not tell.
    """
    grey = np.repeat(np.arange(256.0)[None, :, None], 3, axis=2)
    colours = 255 * np.array([to_rgb(colour) for colour in COLOURS])[:, None]
    inside, border = (grey * (1 - opacity) + colours * opacity for opacity in (FILL, 1.0))
    red, green, blue = np.moveaxis(
        np.concatenate([grey, inside, grey, np.broadcast_to(border, inside.shape)]).reshape(-1, 3) / 255, 1, 0
    )
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = 16 + 219 * luma, CHROMA + 224 * (blue - luma) / 1.772, CHROMA + 224 * (red - luma) / 1.402
    return np.round(np.stack(planes)).astype(np.uint8)


_PALETTE = _palette()
# where in it a class begins, then where its border does; colours are used again from the eighth class on
_CLASSES = np.arange(BORDERS)
_INSIDE = np.where(_CLASSES > 0, (_CLASSES - 1) % len(COLOURS) + 1, 0)
_STARTS = (256 * np.concatenate([_INSIDE, _INSIDE + len(COLOURS) + 1])).astype(np.uint16)
