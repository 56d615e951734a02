"""Convert logits of a network's grid to label maps on the grid of the volume, and clean them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ...datasets.files.volume.voxels import Affine

__all__ = ["keep_large", "label_map", "removal_flags"]

TOUCHING = np.ones((3, 3, 3), bool)  # voxels of a piece share a face, an edge or a corner
NOT_SMALL = 0.1  # of a structure


def label_map(logits: Tensor, seen: Affine, native: Affine, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Interpolate logits linearly at the voxels of a volume, and choose the most likely class of each.

    Beyond the outermost centres of the network's grid, the nearest logits count.

    Args:
        logits: (classes, X, Y, Z), on any device.
        seen: 4x4, from voxel indices of the logits to mm.
        native: 4x4, from voxel indices of the volume to mm; its axes are parallel to those of `seen`.
        shape: of the volume, (x, y, z); the result is uint8 of this shape.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0], [-1.0, 1.0]]).reshape(2, 2, 1, 1)
        >>> label_map(logits, np.diag([4.0, 1, 1, 1]), np.eye(4), (6, 1, 1)).ravel().tolist()
        [0, 0, 0, 1, 1, 1]
    """
    step = np.linalg.solve(seen, native)
    found = np.argwhere(logits.argmax(dim=0).cpu().numpy() > 0)
    labels = np.zeros(tuple(shape)[::-1], np.uint8)
    if not len(found):
        return labels.T
    places: list[Tensor] = []  # of the voxels between nodes of which one is not background: others cannot differ
    starts: list[int] = []
    for axis, size in enumerate(shape):
        own = step[axis, axis] * np.arange(size) + step[axis, 3]
        own = own.clip(0, logits.shape[axis + 1] - 1)
        inside = np.flatnonzero((own > found[:, axis].min() - 1) & (own < found[:, axis].max() + 1))
        starts.append(int(inside[0]) if len(inside) else 0)
        places.append(torch.from_numpy(own[inside].astype(np.float32)).to(logits.device))
    x, y, z = (slice(start, start + len(own)) for start, own in zip(starts, places, strict=True))
    planes = logits.float().movedim(3, 0)  # (Z, classes, X, Y)
    for number, place in enumerate(places[2].tolist(), start=z.start):
        plane = _between(planes, 0, torch.tensor([place], device=logits.device))[0]
        plane = _between(_between(plane, 1, places[0]), 2, places[1])
        labels[number, y, x] = plane.argmax(dim=0).to(torch.uint8).cpu().numpy().T
    return labels.T


def _between(values: Tensor, axis: int, places: Tensor) -> Tensor:
    """Interpolate linearly along an axis, at places in voxels, within the outermost ones."""
    low = places.floor().long()
    high = (low + 1).clamp_max(values.shape[axis] - 1)
    shape = [-1 if one == axis else 1 for one in range(values.ndim)]
    return torch.lerp(values.index_select(axis, low), values.index_select(axis, high), (places - low).reshape(shape))


def keep_large(labels: NDArray[np.uint8], classes: int, smallest_piece: float) -> NDArray[np.uint8]:
    """Remove the small pieces of every class; they become background.

    Args:
        labels: (x, y, z).
        classes: their number, including the background.
        smallest_piece: minimum size of a piece as a fraction of the largest of its class, 0 to 1; 1 keeps only the
            largest, 0 keeps all.

    Example:
        >>> keep_large(np.array([[[1, 1, 0, 1, 0, 1, 1]]], np.uint8), 2, smallest_piece=0.6).tolist()
        [[[1, 1, 0, 0, 0, 1, 1]]]
    """
    kept = labels.copy()
    for value, box in enumerate(ndimage.find_objects(labels, classes - 1), start=1):
        if box is None or smallest_piece == 0:
            continue
        part = kept[box]
        pieces, count = ndimage.label(part == value, TOUCHING)
        if count > 1:
            sizes = np.bincount(pieces.ravel())
            sizes[0] = 0
            small = sizes < smallest_piece * sizes.max()
            part[small[pieces] & (pieces > 0)] = 0
    return kept


def removal_flags(before: NDArray[np.uint8], after: NDArray[np.uint8], names: Sequence[str]) -> list[str]:
    """Return sentences about structures of which `keep_large` removed much, which may have been right.

    Example:
        >>> removal_flags(np.array([[[1, 1, 0, 1]]]), np.array([[[1, 1, 0, 0]]]), ["background", "left_kidney"])
        ['left kidney: pieces were removed that make up 33 % of it']
    """
    counts = [np.bincount(labels.ravel(), minlength=len(names)) for labels in (before, after)]
    return [
        f"{name.replace('_', ' ')}: pieces were removed that make up {100 * (old - new) / old:.0f} % of it"
        for name, old, new in zip(names[1:], *(own[1:].tolist() for own in counts), strict=True)
        if old - new > NOT_SMALL * old
    ]
