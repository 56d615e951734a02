"""A source and a target as ITK images, and the metric between them."""

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

UNKNOWN = (1.0, 1.0)  # mm per pixel if the spacing is unknown: lengths are then in pixels
COARSEST = 32  # pixels a side on the coarsest level of a pyramid


class ImagePair:
    """Two images to be registered; the arguments are those of `AffineThenBSpline`."""

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
        """Return the transform that aligns the sectors; `scale` as for `align_sectors`."""
        alignment = align_sectors(self.source_mask, self.target_mask, scale)
        rows, columns = np.nonzero(self.target_mask)
        centre = (float(rows.mean()), float(columns.mean()))
        return affine_of(alignment, self.source_spacing, self.target_spacing, centre)

    def metric(self) -> Any:
        """Return Mattes' mutual information over all pixels in both sectors, negated, summed in a fixed order."""
        metric = itk.MattesMutualInformationImageToImageMetricv4[FloatImage, FloatImage].New()
        metric.SetNumberOfHistogramBins(self.bins)
        metric.SetFixedImageMask(mask_of(self.target_mask, self.target_spacing))
        metric.SetMovingImageMask(mask_of(self.source_mask, self.source_spacing))
        metric.SetUseFixedImageGradientFilter(False)
        metric.SetUseMovingImageGradientFilter(False)
        metric.SetMaximumNumberOfWorkUnits(1)  # with several threads, sums would depend on their order
        return metric

    def stage(self, name: str, transform: Any) -> Stage:
        """Measure a transform at full resolution."""
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
        """Optimise the metric over the parameters of a transform, in place; raise ITK's RuntimeError if it fails.

        Args:
            metric: of this pair.
            optimizer: of ITK.
            transform: to change.
            levels: factors by which the images are shrunk, the coarsest first; too coarse ones are left out.
            before: applied after `transform`, and fixed.
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
        registration.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()  # in pixels
        registration.SetNumberOfWorkUnits(1)
        optimizer.SetNumberOfWorkUnits(1)
        registration.Update()
