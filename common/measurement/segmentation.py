"""From logits of square network images to label maps in the geometry of the scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import interpolate

from common.measurement.framing import Framing

__all__ = ["certainty", "cleaned", "label_maps", "network_images"]

CHUNK = 4 * 1024 * 1024  # logits that are enlarged at a time; 16 MiB


def network_images(frames: NDArray[np.uint8], size: int) -> Tensor:
    """Squash frames to squares as the preparation of the training images does.

    Args:
        frames: grey values, (frames, rows, columns).
        size: pixels a side.

    Returns:
        Grey value / 255, float32, (frames, 1, size, size).

    Example:
        >>> network_images(np.full((2, 30, 40), 51, np.uint8), 16).unique().tolist()
        [0.20000000298023224]
    """
    pixels = torch.from_numpy(np.ascontiguousarray(frames))[:, None]
    if pixels.shape[2:] != (size, size):  # widens with the scale and rounds, as Pillow's
        pixels = interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    return pixels.float().div_(255)


def label_maps(logits: Tensor, framing: Framing) -> NDArray[np.uint8]:
    """Enlarge logits to the part of the screen that they came from; the most likely class of every pixel.

    Args:
        logits: (frames, classes, size, size), on any device.
        framing: where they came from. Structures may go on beyond the sector, as readers draw them: in CAMUS up to 4 %
            of the annotation lies outside, and cutting it off would cost the myocardium 0.03 Dice.

    Returns:
        Classes, (frames, rows, columns) of the whole image.
    """
    top, left, bottom, right = framing.box
    height, width = bottom - top, right - left
    labels = np.zeros((len(logits), *framing.seen.shape), np.uint8)
    each = max(1, CHUNK // (logits.shape[1] * height * width))
    for start in range(0, len(logits), each):
        enlarged = interpolate(logits[start : start + each].float(), (height, width), mode="bilinear")
        labels[start : start + each, top:bottom, left:right] = enlarged.argmax(dim=1).to(torch.uint8).cpu().numpy()
    return labels


def certainty(logits: Tensor) -> float:
    """Return the mean probability of the chosen class over everything that is not background, NaN if all is.

    Args:
        logits: (frames, classes, size, size).

    Example:
        >>> round(certainty(torch.tensor([[[[0.0, 9.0]], [[np.log(4.0), 0.0]]]])), 3)  # the first pixel is class 1
        0.8
    """
    highest, chosen = logits.float().softmax(dim=1).max(dim=1)
    return float(highest[chosen > 0].mean())


def cleaned(labels: NDArray[np.uint8], classes: int, smallest_piece: float) -> NDArray[np.uint8]:
    """Remove small pieces of every class and fill its holes; what is removed becomes background.

    Args:
        labels: (frames, rows, columns).
        classes: their number, the background among them.
        smallest_piece: share of the largest piece of the class in its frame, 0 to 1, that a piece must have to be kept;
            1 keeps the largest alone.

    Example:
        >>> cleaned(np.array([[[1, 1, 0, 1, 0]]], np.uint8), 2, smallest_piece=1.0).tolist()
        [[[1, 1, 0, 0, 0]]]
    """
    kept = np.zeros_like(labels)
    somewhere = np.asarray(labels.any(axis=0))
    part = (slice(None), *(_extent(np.any(somewhere, axis=axis)) for axis in (1, 0)))  # less to look at
    for before, after in zip(labels[part], kept[part], strict=True):
        for value in range(1, classes):
            pieces, count = ndimage.label(before == value)
            if count:
                sizes = np.bincount(pieces.ravel())
                sizes[0] = 0
                after[(sizes >= max(1.0, smallest_piece * sizes.max()))[pieces]] = value
        _fill(after)
    return kept


def _fill(labels: NDArray[np.uint8]) -> None:
    """Give background that one class alone surrounds to this class."""
    padded = np.pad(labels, 1)
    pieces, count = ndimage.label(padded == 0)  # the first holds the padding
    for piece in range(2, count + 1):
        hole = pieces == piece
        around = np.unique(padded[ndimage.binary_dilation(hole) & ~hole])
        if len(around) == 1:
            labels[hole[1:-1, 1:-1]] = around[0]


def _extent(marked: Any) -> slice:
    places = np.flatnonzero(marked)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)
