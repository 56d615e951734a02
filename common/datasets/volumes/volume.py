"""An annotated volume in its own geometry, and how it is reoriented, resampled and windowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from numpy.typing import NDArray
from scipy import ndimage

from ..files.volume.voxels import SPACINGS, Affine, spacing_of_affine

__all__ = ["Volume", "checked_spacing", "checked_window", "standardised", "windowed"]

INT16 = (-32768, 32767)
HUNDRED = 100  # steps in a standard deviation of standardised values
LEAST = 16  # units of a window: values are kept as integers


@dataclass(frozen=True)
class Volume:
    """One annotated volume.

    Args:
        image: of any integer or floating dtype, (x, y, z) in the order of `affine`.
        label: the dataset's own annotation values, uint8, of the same shape.
        affine: 4x4, from voxel indices to mm (right, anterior, superior).

    Example:
        >>> values = np.arange(8).reshape(2, 2, 2)
        >>> volume = Volume(values, values.astype(np.uint8), np.diag([-1.0, -1.0, 3.0, 1.0]))
        >>> volume.spacing, volume.reoriented().image[0, 0, 0].item()
        ((1.0, 1.0, 3.0), 6)
    """

    image: NDArray[Any]
    label: NDArray[np.uint8]
    affine: Affine

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape != self.label.shape:
            raise ValueError(f"image {self.image.shape} and annotation {self.label.shape} differ in shape.")

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Mm between voxels along (x, y, z)."""
        return spacing_of_affine(self.affine)

    def reoriented(self) -> Volume:
        """Return the volume with axes that run to the right, to the front and upwards, as nearly as its own allow.

        Voxels are reordered, never interpolated; a volume that lies obliquely keeps its own axes.
        """
        order = io_orientation(self.affine)
        image, label = (np.asarray(apply_orientation(values, order)) for values in (self.image, self.label))
        return Volume(image, label, self.affine @ inv_ornt_aff(order, self.image.shape))

    def resampled(self, spacing: Sequence[float]) -> Volume:
        """Return the volume at another spacing, mm along (x, y, z): image linearly, annotation by nearest neighbour.

        The outer faces stay where they are, but for the part of a voxel that does not fit.

        Example:
            >>> line = np.array([0, 2, 4, 6]).reshape(4, 1, 1)
            >>> volume = Volume(line, line.astype(np.uint8), np.eye(4)).resampled((2, 1, 1))
            >>> volume.image.ravel().tolist(), volume.affine[0].tolist()
            ([1, 5], [2.0, 0.0, 0.0, 0.5])
        """
        if np.allclose(spacing, self.spacing, rtol=1e-3):
            return self
        factor = np.array(spacing) / self.spacing
        shape = tuple(max(1, round(size / one)) for size, one in zip(self.image.shape, factor, strict=True))
        shift = (factor - 1) / 2
        reverse = {"matrix": factor[::-1], "offset": shift[::-1], "output_shape": shape[::-1]}  # files have x fastest
        image, label = (
            ndimage.affine_transform(values.T, **reverse, order=order, mode="nearest", prefilter=False).T
            for values, order in ((self.image, 1), (self.label, 0))
        )
        step = np.eye(4)
        step[:3, :3], step[:3, 3] = np.diag(factor), shift
        return Volume(image, label, self.affine @ step)


def windowed(image: NDArray[Any], window: tuple[int, int] | None) -> NDArray[np.int16]:
    """Return values clipped to a window, rounded, int16.

    Args:
        image: of any dtype.
        window: lowest and highest value; None: nothing is clipped, and the values must be integers of 16 bits.

    Raises:
        ValueError: if they are not.

    Example:
        >>> windowed(np.array([-1000.0, 12.6, 3000.0]), (-200, 200)).tolist()
        [-200, 13, 200]
    """
    if window is not None:
        image = image.clip(*window)
    elif image.min() < INT16[0] or image.max() > INT16[1]:
        raise ValueError(
            f"its values are {image.min():g} to {image.max():g}, beyond 16 bits; state a window, such as "
            "[-1000, 1000], or rescale the images."
        )
    if image.dtype.kind != "f":
        return image.astype(np.int16)
    rounded: NDArray[Any] = np.rint(image)
    if window is None and not np.array_equal(rounded, image):
        raise ValueError(
            "its values are not integers, and no window is stated; rescale the images to integers, or state the window "
            "in which rounding to integers loses nothing that matters."
        )
    kept: NDArray[np.int16] = rounded.astype(np.int16)
    return kept


def standardised(image: NDArray[Any]) -> NDArray[np.int16]:
    """Return values minus their mean in hundredths of their standard deviation, rounded, int16: MRI has no unit.

    Args:
        image: of any integer or floating dtype.

    Raises:
        ValueError: if values are not finite, or all are the same.

    Example:
        >>> standardised(np.array([1.0, 2.0, 3.0])).tolist()
        [-122, 0, 122]
    """
    values = image.astype(np.float64)
    mean, sd = values.mean(), values.std()
    if not (np.isfinite(mean) and np.isfinite(sd) and sd > 0):
        raise ValueError(f"its values have the mean {mean:g} and the standard deviation {sd:g}, expected an image.")
    kept: NDArray[np.int16] = np.rint((values - mean) * (HUNDRED / sd)).clip(*INT16).astype(np.int16)
    return kept


def checked_spacing(given: Any) -> tuple[float, float, float] | None:
    """Check a spacing that a person wrote: mm along (x, y, z), or one number for all; None keeps that of each volume.

    Example:
        >>> checked_spacing(2), checked_spacing([1, 1, 2.5])
        ((2.0, 2.0, 2.0), (1.0, 1.0, 2.5))
    """
    if given is None:
        return None
    try:
        x, y, z = (float(length) for length in (given if isinstance(given, Sequence) else (given,) * 3))
    except (TypeError, ValueError):
        x = y = z = 0.0
    if not all(SPACINGS[0] <= length <= SPACINGS[1] for length in (x, y, z)):
        raise ValueError(f"spacing is {str(given)[:50]}, expected mm along x, y and z, such as [2, 2, 2].")
    return x, y, z


def checked_window(given: Any) -> tuple[int, int] | None:
    """Check the lowest and highest value that are kept, as a person wrote them; None keeps all.

    Example:
        >>> checked_window([-200, 200])
        (-200, 200)
    """
    if given is None:
        return None
    try:
        low, high = (int(value) if float(value) == int(value) else None for value in given)
    except (TypeError, ValueError, OverflowError):
        low = high = None
    if low is None or high is None or not INT16[0] <= low <= high - LEAST <= INT16[1] - LEAST:
        raise ValueError(
            f"window is {str(given)[:50]}, expected two integers at least {LEAST} apart, such as [-200, 200] for HU; "
            "values are kept as integers."
        )
    return low, high
