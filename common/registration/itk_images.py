"""Convert between numpy arrays, rows first, and ITK's images and transforms, x first and in mm."""

from __future__ import annotations

from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from .sector_alignment import Alignment

__all__ = ["FloatImage", "affine_of", "bspline_grid", "composed", "coordinates_of", "image_of", "mask_of"]

FloatImage = itk.Image[itk.F, 2]


def image_of(pixels: NDArray[Any], spacing: tuple[float, float]) -> Any:
    """Return a float image.

    Args:
        pixels: (rows, columns).
        spacing: mm per pixel, (row, column).

    Example:
        >>> list(image_of(np.zeros((3, 2)), (0.5, 0.25)).GetSpacing())
        [0.25, 0.5]
    """
    image = itk.image_from_array(np.ascontiguousarray(pixels, np.float32))
    image.SetSpacing(spacing[::-1])
    return image


def mask_of(mask: NDArray[np.bool_], spacing: tuple[float, float]) -> Any:
    """Return a mask for ITK's metrics; the arguments are those of `image_of`."""
    image = itk.image_from_array(mask.astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    inside = itk.ImageMaskSpatialObject[2].New()
    inside.SetImage(image)
    inside.Update()
    return inside


def affine_of(
    alignment: Alignment,
    source_spacing: tuple[float, float],
    target_spacing: tuple[float, float],
    centre: tuple[float, float],
) -> Any:
    """Return the affine transform, from target to source in mm, of an alignment in pixels.

    Args:
        alignment: target pixels to source pixels.
        source_spacing: mm per pixel, (row, column).
        target_spacing: mm per pixel, (row, column).
        centre: of rotation and scaling, target pixels, (row, column).
    """
    factor, offset, to_source, to_target, pixel = (
        np.asarray(pair, float)[::-1]
        for pair in (alignment.factor, alignment.offset, source_spacing, target_spacing, centre)
    )
    transform = itk.AffineTransform[itk.D, 2].New()
    transform.SetCenter(itk.Point[itk.D, 2]((pixel * to_target).tolist()))
    transform.SetMatrix(itk.matrix_from_array(np.diag(factor * to_source / to_target)))
    moved = (offset + factor * pixel) * to_source - pixel * to_target
    transform.SetTranslation(itk.Vector[itk.D, 2](moved.tolist()))
    return transform


def bspline_grid(target: Any, mesh: int) -> Any:
    """Return a cubic B-spline transform over an ITK image, `mesh` elements along each side, initially the identity."""
    spline = itk.BSplineTransform[itk.D, 2, 3].New()
    initializer = itk.BSplineTransformInitializer[type(spline), FloatImage].New(Transform=spline, Image=target)
    initializer.SetTransformDomainMeshSize([mesh, mesh])
    initializer.InitializeTransform()
    return spline


def composed(*transforms: Any) -> Any:
    """Return the transform that applies the last of `transforms` first."""
    whole = itk.CompositeTransform[itk.D, 2].New()
    for transform in transforms:
        whole.AddTransform(transform)
    return whole


def coordinates_of(transform: Any, target: Any, source_spacing: tuple[float, float]) -> NDArray[np.float64]:
    """Return the position of each target pixel in the source.

    Args:
        transform: from target to source, mm.
        target: ITK image.
        source_spacing: mm per pixel, (row, column).

    Returns:
        Source pixels, row then column, (2, target rows, target columns).

    Example:
        >>> target = image_of(np.zeros((2, 3)), (1.0, 1.0))
        >>> half = affine_of(Alignment((0.5, 1.0), (0.0, 2.0)), (4.0, 4.0), (1.0, 1.0), (0.0, 0.0))
        >>> coordinates_of(half, target, (4.0, 4.0))[:, 1, 0].tolist()
        [0.5, 2.0]
    """
    field = itk.TransformToDisplacementFieldFilter[itk.Image[itk.Vector[itk.F, 2], 2], itk.D].New(Transform=transform)
    field.SetReferenceImage(target)
    field.UseReferenceImageOn()
    field.SetNumberOfWorkUnits(1)
    field.Update()
    moved = itk.array_from_image(field.GetOutput()).astype(np.float64)  # (rows, columns, x y), mm
    rows, columns = np.indices(moved.shape[:2])
    step = target.GetSpacing()
    return np.stack(
        [(rows * step[1] + moved[..., 1]) / source_spacing[0], (columns * step[0] + moved[..., 0]) / source_spacing[1]]
    )
