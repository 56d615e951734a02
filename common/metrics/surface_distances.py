"""Distances between the outlines of prediction and annotation, in millimetres."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from monai.metrics.utils import get_surface_distance
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from torch import Tensor

from ..label_set_map import annotated, known_masks

__all__ = ["SurfaceDistances"]

Mask = NDArray[np.bool_]


class SurfaceDistances:
    """Hausdorff distance (95th percentile) and symmetric average surface distance of each image and foreground class.

    Outlines are those of MONAI's metrics. Points next to pixels whose annotation does not decide the class are left
    out: there an outline ends because the annotation does. A distance is NaN if the image does not annotate the class,
    if it is missing in the annotation or in the prediction, and if the spacing is unknown: pixels are not millimetres.

    Args:
        spacing: mm per pixel of the network's image along each axis, for each index; unknown: None or NaN.

    Example:
        >>> target = torch.tensor([[[[2, 2, 1, 1]], [[3, 3, 3, 3]]]])  # class 1 in two pixels, all of them decided
        >>> scores = SurfaceDistances([(1.0, 0.5)])(torch.tensor([[[1, 1, 1, 0]]]), target, 2, torch.tensor([0]))
        >>> scores["asd_mm"]  # the outline has one pixel more: 0.5 mm once, 0 mm four times
        tensor([[   nan, 0.1000]], dtype=torch.float64)
    """

    def __init__(self, spacing: Sequence[Sequence[float] | None]) -> None:
        self.spacing = spacing

    def __call__(self, prediction: Tensor, target: Tensor, num_classes: int, index: Tensor) -> Mapping[str, Tensor]:
        """Return `hd95_mm` and `asd_mm`, float64, (B, C)."""
        decided, true = (part(target, num_classes).cpu().numpy() for part in (annotated, known_masks))
        predicted = prediction.cpu().numpy()
        distances = torch.full((2, len(prediction), num_classes), math.nan, dtype=torch.float64)
        for image, number in enumerate(index.tolist()):
            spacing = self.spacing[number]
            known = spacing is not None and not any(map(math.isnan, spacing))
            for label in range(1, num_classes) if known else ():
                inner = binary_erosion(decided[image, label], border_value=1)
                masks = predicted[image] == label, true[image, label]
                if all((mask & decided[image, label]).any() for mask in masks):
                    distances[:, image, label] = torch.tensor(_distances(*masks, inner, spacing))
        return {"hd95_mm": distances[0], "asd_mm": distances[1]}


def _distances(predicted: Mask, true: Mask, mask: Mask, spacing: Sequence[float] | None) -> tuple[float, float]:
    there = _box(predicted | true)  # distances of voxels far from both would be most of the work
    edges = [one & ~binary_erosion(one) & mask[there] for one in (predicted[there], true[there])]
    if not all(edge.any() for edge in edges):
        return math.nan, math.nan
    both = [get_surface_distance(*pair, spacing=spacing) for pair in (edges, edges[::-1])]
    return max(float(np.quantile(one, 0.95)) for one in both), float(np.concatenate(both).mean())


def _box(mask: Mask) -> tuple[slice, ...]:
    others = [tuple(axis for axis in range(mask.ndim) if axis != kept) for kept in range(mask.ndim)]
    places = [np.flatnonzero(mask.any(axis=axes)) for axes in others]
    return tuple(slice(int(place[0]), int(place[-1]) + 1) for place in places)
