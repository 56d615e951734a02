"""Convert frames to square network images, and logits to label maps in the geometry of the scan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import interpolate

from ..contours import bounding_box
from ..datasets.sector.framing import Framing

__all__ = ["certainty", "clean", "cleaning_flags", "label_maps", "network_images"]

CHUNK = 4 * 1024 * 1024  # logits that are enlarged at a time; 16 MiB
SOME_FRAMES = 16  # evenly spaced
MOST_PIECES = 5  # of a structure; more are noise
SURROUNDED = 0.8  # fraction of a piece's border along one other structure; then the piece is inside it
USUALLY = 0.5  # the same of the largest piece: some structures are always inside another one
NOT_SMALL = 0.1  # of a structure's area


def network_images(frames: NDArray[np.uint8], size: int) -> Tensor:
    """Resize grey frames (frames, rows, columns) as training images were, to 0 to 1, float32, (frames, 1, size, size).

    Example:
        >>> network_images(np.full((2, 30, 40), 51, np.uint8), 16).unique().tolist()
        [0.20000000298023224]
    """
    pixels = torch.from_numpy(np.ascontiguousarray(frames))[:, None]
    if pixels.shape[2:] != (size, size):  # antialiased and rounded, as by Pillow
        pixels = interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    return pixels.float().div_(255)


def label_maps(logits: Tensor, framing: Framing) -> NDArray[np.uint8]:
    """Enlarge logits to the part of the screen that they came from, and choose the most likely class of every pixel.

    Args:
        logits: (frames, classes, size, size), on any device.
        framing: where they came from. Structures may extend beyond the sector, as readers draw them: in CAMUS up to 4 %
            of the annotation is outside, and cutting it off would lower the Dice of thin structures by 0.03. The result
            is (frames, rows, columns) of the whole image.
    """
    top, left, bottom, right = framing.box
    height, width = bottom - top, right - left
    labels = np.zeros((len(logits), *framing.seen.shape), np.uint8)
    each = max(1, CHUNK // (logits.shape[1] * height * width))
    for start in range(0, len(logits), each):
        enlarged = interpolate(logits[start : start + each].float(), (height, width), mode="bilinear")
        labels[start : start + each, top:bottom, left:right] = enlarged.argmax(dim=1).to(torch.uint8).cpu().numpy()
    return labels


def certainty(logits: Tensor, activation: str) -> float:
    """Return the mean probability of the chosen class over the foreground of some frames; NaN without any.

    Args:
        logits: (frames, classes, size, size).
        activation: how they are read, "softmax" or "sigmoid" (one for each foreground class; the background logit is
            0, so the chosen class is the most likely one in both readings).

    Example:
        >>> logits = torch.tensor([[[[0.0, 9.0]], [[np.log(4.0), 0.0]], [[np.log(3.0), 0.0]]]])
        >>> round(certainty(logits, "softmax"), 3), round(certainty(logits, "sigmoid"), 3)  # the first pixel is class 1
        (0.5, 0.8)
    """
    some = logits[:: -(-len(logits) // SOME_FRAMES)].float()
    probability = some.sigmoid() if activation == "sigmoid" else some.softmax(dim=1)
    highest, chosen = probability.max(dim=1)
    return float(highest[chosen > 0].mean())


def clean(labels: NDArray[np.uint8], classes: int, smallest_piece: float) -> NDArray[np.uint8]:
    """Remove small pieces of every class, and larger ones inside another structure or cutting it in two; fill holes.

    Removed pixels become background, or, where structures enclose them, the class with the longest border on them.

    Args:
        labels: (frames, rows, columns).
        classes: their number, including the background.
        smallest_piece: minimum size of a piece as a fraction of the largest piece of its class in the frame, 0 to 1; 1
            keeps only the largest, 0 keeps all.

    Example:
        >>> clean(np.array([[[1, 1, 0, 1, 0]]], np.uint8), 2, smallest_piece=1.0).tolist()
        [[[1, 1, 0, 0, 0]]]
    """
    kept = labels.copy()
    rows, columns = bounding_box(labels.max(axis=0) > 0)  # smaller is faster
    for frame in kept[:, rows, columns]:
        several = [value for value in range(1, classes) if _count(frame == value) > 1]
        if several and smallest_piece > 0:
            _close(frame, classes, smallest_piece)
        for value in several:
            pieces, sizes = _pieces(frame == value)
            frame[(sizes < smallest_piece * sizes[1:].max(initial=0))[pieces] & (pieces > 0)] = 0
        _fill(frame)
    return kept


def _close(frame: NDArray[np.uint8], classes: int, smallest_piece: float) -> None:
    """Give pieces inside another structure, or cutting it in two, to that structure; small pieces are left."""
    # reverberations inside a structure can look like the border of its neighbour
    for value in range(1, classes):
        pieces, sizes = _pieces(frame == value)
        large = np.flatnonzero(sizes[1:] >= smallest_piece * sizes[1:].max(initial=1)) + 1
        if not 1 < len(large) <= MOST_PIECES:
            continue
        others = [other for other in range(1, classes) if other != value]
        *smaller, largest = large[np.argsort(sizes[large])]
        usual = _beside(frame, pieces == largest, classes)
        for number in smaller:
            piece = pieces == number
            around = _beside(frame, piece, classes)
            other = int(around[1:].argmax()) + 1
            closed = np.where(piece, np.uint8(other), frame)
            joined = any(_count(closed == one) < _count(frame == one) for one in others)
            if joined or (around[other] >= SURROUNDED and usual[other] < USUALLY):
                frame[:] = closed


def _beside(frame: NDArray[np.uint8], piece: NDArray[np.bool_], classes: int) -> NDArray[np.float64]:
    """Return the fraction of each class along the border of a piece, (classes,)."""
    counts = np.bincount(frame[ndimage.binary_dilation(piece) & ~piece], minlength=classes)
    return np.asarray(counts / max(counts.sum(), 1))


def _count(mask: NDArray[np.bool_]) -> int:
    return int(ndimage.label(mask)[1])


def _pieces(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return the piece of each pixel, from 1, and the sizes of the pieces after that of everything else."""
    pieces = ndimage.label(mask)[0]
    return pieces, np.bincount(pieces.ravel())


def cleaning_flags(before: NDArray[np.uint8], after: NDArray[np.uint8], names: Sequence[str]) -> list[str]:
    """Return sentences about frames where `clean` removed much, which may have been right; (frames, rows, columns).

    Example:
        >>> cleaning_flags(np.array([[[1, 1, 0, 1]]]), np.array([[[1, 1, 0, 0]]]), ["background", "left_kidney"])
        ['left kidney: in frame 0 a piece was removed that is not small']
    """
    flags = []
    for value, name in enumerate(names[1:], start=1):
        old, new = before == value, after == value
        lost = (old & ~new).sum(axis=(1, 2)) > NOT_SMALL * new.sum(axis=(1, 2))
        if lost.any():
            frames = ", ".join(map(str, np.flatnonzero(lost)))
            flags.append(f"{name.replace('_', ' ')}: in frame {frames} a piece was removed that is not small")
    return flags


def _fill(labels: NDArray[np.uint8]) -> None:
    """Give enclosed background to the class with the longest border on it."""
    padded = np.pad(labels, 1)
    pieces, _ = ndimage.label(padded == 0)  # the first holds the padding
    for number, (rows, columns) in enumerate(ndimage.find_objects(pieces)[1:], start=2):
        part = slice(rows.start - 1, rows.stop + 1), slice(columns.start - 1, columns.stop + 1)
        hole = pieces[part] == number
        around = padded[part][ndimage.binary_dilation(hole) & ~hole]
        padded[part][hole] = np.bincount(around).argmax()
    labels[:] = padded[1:-1, 1:-1]
