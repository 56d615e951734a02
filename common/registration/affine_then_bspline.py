"""Registration of two ultrasound images: affine, then B-spline, both by mutual information within the sectors."""

from __future__ import annotations

from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from .image_pair import ImagePair
from .itk_images import bspline_grid, composed
from .stage import Stage, refusal

__all__ = ["AffineThenBSpline"]


class AffineThenBSpline:
    """Register a source image to a target image: align the sectors, then affine, then B-spline.

    The metric is Mattes' mutual information of the local contrast over all pixels in both sectors. No pixels are
    sampled at random and one thread sums, so the same images always give the same result. A step that fails, lowers the
    metric, folds, or moves the sectors apart is undone; the next step then starts from the one before.

    Args:
        affine_iterations: maximum on each level of the pyramid.
        bspline_iterations: likewise.
        mesh: B-spline elements along each side of the target.
        bend: bound of the displacement of a control point along an axis, as a fraction of the distance between control
            points. Below 0.488 a cubic B-spline cannot fold (Choi and Lee, 2000); Rueckert et al. (2006) use 0.4.
        bins: of the joint histogram, along each side.

    References:
        D. Mattes et al., IEEE TMI 22(1):120-128, 2003, doi 10.1109/TMI.2003.809072 (the metric).
        D. Rueckert et al., IEEE TMI 18(8):712-721, 1999, doi 10.1109/42.796284 (affine, then B-spline).
        Y. Choi and S. Lee, Graphical Models 62(6):411-427, 2000, doi 10.1006/gmod.2000.0531 (bound without folds).
        D. Rueckert et al., MICCAI 2006, LNCS 4191:702-709, doi 10.1007/11866763_86 (its use in registration).

    Example:
        >>> register = AffineThenBSpline(mesh=4)  # stages = register(source, target); stages[-1].coordinates
        >>> register.mesh, register.bend
        (4, 0.4)
    """

    def __init__(
        self,
        affine_iterations: int = 60,
        bspline_iterations: int = 30,
        mesh: int = 6,
        bend: float = 0.4,
        bins: int = 32,
    ) -> None:
        self.affine_iterations = affine_iterations
        self.bspline_iterations = bspline_iterations
        self.mesh = mesh
        self.bend = bend
        self.bins = bins

    def __call__(
        self,
        source: NDArray[Any],
        target: NDArray[Any],
        source_spacing: tuple[float, float] | None = None,
        target_spacing: tuple[float, float] | None = None,
        scale: float = 1.0,
    ) -> list[Stage]:
        """Register.

        Args:
            source: grey values, 0 outside the sector, (rows, columns).
            target: likewise, (target rows, target columns).
            source_spacing: mm per pixel, (row, column); None if unknown.
            target_spacing: likewise.
            scale: of the start, see `align_sectors`.

        Returns:
            The stages "start", "affine" and "bspline".
        """
        pair = ImagePair(source, target, source_spacing, target_spacing, self.bins)
        transform = pair.start(scale)
        stages = [pair.stage("start", transform)]
        for name in ("affine", "bspline"):
            before = stages[-1]
            try:
                moved = self._affine(pair, scale) if name == "affine" else self._bspline(pair, transform)
                after = pair.stage(name, moved)
                refused = refusal(before, after, pair.source_mask, pair.target_mask)
            except RuntimeError as error:  # from ITK: "file:line:\nITK ERROR: class(address): message."
                refused = "failed: " + str(error).rpartition("): ")[2].partition(".")[0].strip()
            if refused:
                after = Stage(name, before.coordinates, before.metric, refused)
            else:
                transform = moved
            stages.append(after)
        return stages

    def _affine(self, pair: ImagePair, scale: float) -> Any:
        affine, metric = pair.start(scale), pair.metric()
        pixel = max(pair.target_spacing)
        optimizer = itk.RegularStepGradientDescentOptimizerv4[itk.D].New()
        optimizer.SetNumberOfIterations(self.affine_iterations)
        optimizer.SetScalesEstimator(itk.RegistrationParameterScalesFromPhysicalShift[type(metric)].New(Metric=metric))
        optimizer.SetMaximumStepSizeInPhysicalUnits(2 * pixel)
        optimizer.SetMinimumStepLength(0.01 * pixel)
        optimizer.SetRelaxationFactor(0.6)
        optimizer.SetReturnBestParametersAndValue(True)
        pair.optimize(metric, optimizer, affine, [4, 2, 1])
        return affine

    def _bspline(self, pair: ImagePair, before: Any) -> Any:
        spline = bspline_grid(pair.target, self.mesh)
        count = spline.GetNumberOfParameters()
        extent = np.multiply(pair.target_mask.shape, pair.target_spacing)[::-1]  # mm, x before y
        optimizer = itk.LBFGSBOptimizerv4.New()
        kinds, lower, upper = itk.Array[itk.SL](count), itk.Array[itk.D](count), itk.Array[itk.D](count)
        kinds.Fill(2)  # bounded on both sides
        for index, bound in enumerate(np.repeat(self.bend * extent / self.mesh, count // 2).tolist()):
            lower.SetElement(index, -bound)
            upper.SetElement(index, bound)
        optimizer.SetBoundSelection(kinds)
        optimizer.SetLowerBound(lower)
        optimizer.SetUpperBound(upper)
        optimizer.SetNumberOfIterations(self.bspline_iterations)
        optimizer.SetMaximumNumberOfFunctionEvaluations(2 * self.bspline_iterations)
        pair.optimize(pair.metric(), optimizer, spline, [2, 1], before)
        return composed(before, spline)
