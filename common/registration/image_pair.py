"""A source and a target as ITK sees them, and the metric between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from .itk_images import FloatImage, affine_of, coordinates_of, image_of, mask_of
from .local_contrast import local_contrast
from .sector_alignment import align_sectors, sector_mask
from .stage import Stage

__all__ = ["ImagePair"]

UNKNOWN = (1.0, 1.0)  # mm per pixel where the spacing is not known: lengths are then pixels
COARSEST = 32  # pixels a side on the coarsest level of a pyramid


class ImagePair:
    """Two images to be registered.

    Args:
        source: grey values, 0 outside the sector, (rows, columns).
        target: likewise, (target rows, target columns).
        source_spacing: mm per pixel, (row, column), None if it is not known.
        target_spacing: likewise.
        bins: of the joint histogram, along each side.
    """

    def __init__(
        self,
        source: NDArray[Any],
        target: NDArray[Any],
        source_spacing: tuple[float, float] | None,
        target_spacing: tuple[float, float] | None,
        bins: int,
    ) -> None:
        self.source_spacing, self.target_spacing = source_spacing or UNKNOWN, target_spacing or UNKNOWN
        self.source_mask, self.target_mask = sector_mask(source), sector_mask(target)
        self.source = image_of(local_contrast(source, self.source_mask), self.source_spacing)
        self.target = image_of(local_contrast(target, self.target_mask), self.target_spacing)
        self.bins = bins

    def start(self, scale: float) -> Any:
        """Return the transform that lays the sectors on one another; `scale` as for `align_sectors`."""
        alignment = align_sectors(self.source_mask, self.target_mask, scale)
        rows, columns = np.nonzero(self.target_mask)
        centre = (float(rows.mean()), float(columns.mean()))
        return affine_of(alignment, self.source_spacing, self.target_spacing, centre)

    def metric(self) -> Any:
        """Return Mattes' mutual information over all pixels in both sectors, the less the better, summed in order."""
        metric = itk.MattesMutualInformationImageToImageMetricv4[FloatImage, FloatImage].New()
        metric.SetNumberOfHistogramBins(self.bins)
        metric.SetFixedImageMask(mask_of(self.target_mask, self.target_spacing))
        metric.SetMovingImageMask(mask_of(self.source_mask, self.source_spacing))
        metric.SetUseFixedImageGradientFilter(False)
        metric.SetUseMovingImageGradientFilter(False)
        metric.SetMaximumNumberOfWorkUnits(1)  # sums of several threads would depend on who comes first
        return metric

    def stage(self, name: str, transform: Any) -> Stage:
        """Measure a transform on the full resolution."""
        metric = self.metric()
        metric.SetFixedImage(self.target)
        metric.SetMovingImage(self.source)
        metric.SetVirtualDomainFromImage(self.target)
        metric.SetMovingTransform(transform)
        try:
            metric.Initialize()
            information = -float(metric.GetValue())
        except RuntimeError:  # the sectors do not meet, or one image is uniform
            information = math.nan
        return Stage(name, coordinates_of(transform, self.target, self.source_spacing), information)

    def optimize(
        self, metric: Any, optimizer: Any, transform: Any, levels: Sequence[int], before: Any | None = None
    ) -> None:
        """Change a transform until the metric is best.

        Args:
            metric: of this pair.
            optimizer: of ITK.
            transform: to change, in place.
            levels: factors by which the images are shrunk, the coarsest first; one too coarse is left out.
            before: applied after `transform`, and fixed.

        Raises:
            RuntimeError: if ITK cannot go on.
        """
        levels = [level for level in levels if level == 1 or min(self.target_mask.shape) // level >= COARSEST]
        registration = itk.ImageRegistrationMethodv4[FloatImage, FloatImage].New(
            FixedImage=self.target, MovingImage=self.source, Metric=metric, Optimizer=optimizer
        )
        if before is not None:
            registration.SetMovingInitialTransform(before)
        registration.SetInitialTransform(transform)
        registration.InPlaceOn()
        registration.SetNumberOfLevels(len(levels))
        registration.SetShrinkFactorsPerLevel(levels)
        registration.SetSmoothingSigmasPerLevel([float(level) for level in levels])
        registration.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()  # but in pixels
        registration.SetNumberOfWorkUnits(1)
        optimizer.SetNumberOfWorkUnits(1)
        registration.Update()
