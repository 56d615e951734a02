"""Measure one prepared volume: digests, and the geometry of its annotated structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...identity import digest
from ..prepared.layout import image_digest
from ..prepared.source import values_in
from .image_facts import hull

__all__ = ["FACES", "VolumeFacts", "VolumeRegion", "air_below", "measure_volume"]

CRUMB = 0.02  # fraction of a structure; nearest-neighbour resampling breaks off less
FACES = ("left", "right", "posterior", "anterior", "inferior", "superior")  # of a volume, in the order of its axes
BODY_HU = -300.0  # lower is air, in CT
ABOVE = 0.1  # of a window: where its lowest value is higher than air, what is more than this above it


@dataclass(frozen=True, slots=True)
class VolumeRegion:
    """One annotated structure of one volume.

    Args:
        millilitres: volume.
        centre: of gravity, mm from the first voxel to the right, to the front, upwards.
        pieces: components (26 neighbours) with more than 2 % of the voxels.
        largest: fraction of the voxels in the largest component.
        faces: of the volume that it touches, among `FACES`.
        outside: fraction outside the convex hull of the body, slice by slice.
    """

    millilitres: float
    centre: tuple[float, float, float]
    pieces: int
    largest: float
    faces: tuple[str, ...]
    outside: float


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """One volume and its annotation.

    Args:
        shape: voxels along (x, y, z).
        spacing: mm.
        pixels: digest of the image.
        content: digest of image, annotation and item, as in the preparation.
        blank: all voxels of the image are equal.
        values: annotation values present, ascending.
        regions: the structures that are present.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    pixels: str
    content: str
    blank: bool
    values: tuple[int, ...]
    regions: dict[str, VolumeRegion]


def air_below(modality: str | None, window: Sequence[int] | None) -> float | None:
    """Return the value that only the body exceeds; None: what is above the lowest value of a volume is body.

    Example:
        >>> air_below("CT", None), air_below("CT", [-200, 200]), air_below("MR", None)
        (-300.0, -160.0, None)
    """
    if modality != "CT":
        return None
    return max(BODY_HU, window[0] + ABOVE * (window[1] - window[0])) if window else BODY_HU


def measure_volume(
    image: NDArray[np.int16],
    label: NDArray[np.uint8],
    item: Mapping[str, Any],
    structures: Mapping[str, Sequence[int]],
    air: float | None,
) -> VolumeFacts:
    """Measure one volume.

    Args:
        image: int16, (x, y, z).
        label: annotation values, uint8, of the same shape.
        item: of the datalist, with spacing.
        structures: the annotation values of each structure.
        air: values up to this are outside the body (`air_below`).

    Example:
        >>> label = np.zeros((8, 8, 4), np.uint8)
        >>> label[2:4, 2:4, :2] = 1
        >>> facts = measure_volume(label.astype(np.int16) + 1, label, {"spacing": [1, 1, 2]}, {"bladder": [1]}, 0.0)
        >>> facts.regions["bladder"]
        VolumeRegion(millilitres=0.016, centre=(2.5, 2.5, 1.0), pieces=1, largest=1.0, faces=('inferior',), outside=0.0)
    """
    x, y, z = (float(length) for length in item["spacing"])
    lowest = int(image.min())
    blank = lowest == int(image.max())
    body = _Body(image, lowest if air is None else air)
    regions = {}
    for name, values in structures.items():
        mask = np.isin(label, values)
        if mask.any():
            regions[name] = _region(mask, (x, y, z), body)
    return VolumeFacts(
        shape=(image.shape[0], image.shape[1], image.shape[2]),
        spacing=(x, y, z),
        pixels=digest(np.ascontiguousarray(image.T).data),
        content=image_digest(image.T, label.T, item),
        blank=blank,
        values=tuple(values_in(label)),
        regions=regions,
    )


class _Body:
    """The convex hull of the body in each slice, computed where it is asked for.

    Args:
        image: (x, y, z).
        air: values up to this are outside.
    """

    def __init__(self, image: NDArray[np.int16], air: float) -> None:
        self.image = image
        self.air = air
        self.slices: dict[int, NDArray[np.bool_]] = {}

    def __getitem__(self, z: int) -> NDArray[np.bool_]:
        if z not in self.slices:
            self.slices[z] = hull(self.image[:, :, z] > self.air)
        return self.slices[z]


def _region(mask: NDArray[np.bool_], spacing: tuple[float, float, float], body: _Body) -> VolumeRegion:
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    cut = mask[box]
    count = int(np.count_nonzero(cut))
    sizes = np.bincount(ndimage.label(cut, np.ones((3, 3, 3)))[0].ravel())[1:]
    starts = [side.start for side in box]
    centre = [
        (start + float(cut.sum(axis=tuple({0, 1, 2} - {axis})) @ np.arange(cut.shape[axis])) / count) * length
        for axis, (start, length) in enumerate(zip(starts, spacing, strict=True))
    ]
    touching = [
        edge for side, size in zip(box, mask.shape, strict=True) for edge in (side.start == 0, side.stop == size)
    ]
    outside = sum(int(np.count_nonzero(mask[:, :, z] & ~body[z])) for z in range(box[2].start, box[2].stop))
    return VolumeRegion(
        millilitres=count * float(np.prod(spacing)) / 1000,
        centre=(centre[0], centre[1], centre[2]),
        pieces=int(np.count_nonzero(sizes > CRUMB * count)),
        largest=int(sizes.max()) / count,
        faces=tuple(face for face, touches in zip(FACES, touching, strict=True) if touches),
        outside=outside / count,
    )
