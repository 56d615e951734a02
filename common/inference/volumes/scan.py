"""A volume as it was read, upright, and on the grid that the network sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, io_orientation, ornt_transform
from numpy.typing import NDArray

from ...datasets.files.volume.volume_file import read_voxels
from ...datasets.files.volume.voxels import PAIRS, Affine, Voxels, affine_of_letters
from ...datasets.volumes.spacings import Spacing, wanted_spacing
from ...datasets.volumes.volume import Volume, windowed
from .checks import check_place, checked_values

__all__ = ["VolumeScan", "checked_orientation", "read_volume"]


@dataclass(frozen=True)
class VolumeScan:
    """A volume of a file.

    Args:
        values: (i, j, k), as the file orders them; standardised if the network was trained on such volumes.
        affine: 4x4, from voxel indices to mm (right, anterior, superior).
        notes: what was unusual about the file.

    Example:
        >>> scan = VolumeScan(np.arange(8).reshape(2, 2, 2), np.diag([-1.0, -1.0, 3.0, 1.0]))
        >>> scan.axes, scan.upright.image[0, 0, 0].item(), scan.in_file_order(scan.upright.image)[0, 0, 0].item()
        ('LPS', 6, 0)
    """

    values: NDArray[Any]
    affine: Affine
    notes: Sequence[str] = ()

    @property
    def axes(self) -> str:
        """Directions in which the axes of the file increase, such as LPS."""
        return "".join(map(str, nib.aff2axcodes(self.affine)))

    @cached_property
    def upright(self) -> Volume:
        """The volume with axes to the right, to the front and upwards, as nearly as its own allow; no annotation."""
        nothing = np.broadcast_to(np.uint8(0), self.values.shape)
        return Volume(self.values, nothing, self.affine).reoriented()

    def in_file_order(self, upright: NDArray[Any]) -> NDArray[Any]:
        """Return voxels of `upright` in the order of the file."""
        there = ornt_transform(io_orientation(np.eye(4)), io_orientation(self.affine))
        return np.ascontiguousarray(apply_orientation(upright, there))

    def seen(self, window: tuple[int, int] | None, spacing: Spacing) -> Volume:
        """Return the volume as preparation keeps it for training: windowed, then resampled.

        Args:
            window: lowest and highest value; None keeps all.
            spacing: of the training (`stated_spacing`), mm along (x, y, z); None keeps that of the volume.
        """
        upright = self.upright
        volume = Volume(windowed(upright.image, window), upright.label, upright.affine)
        return volume.resampled(wanted_spacing(volume.spacing, spacing))


def checked_orientation(letters: str | None) -> str | None:
    """Check the letters that a person wrote for files that do not state how they lie; None leaves those out.

    Raises:
        ValueError: if they are not three directions, one of each pair.

    Example:
        >>> checked_orientation("lps")
        'LPS'
    """
    if letters is None:
        return None
    upper = str(letters).upper()
    if len(upper) != 3 or any(sum(letter in pair for letter in upper) != 1 for pair in PAIRS):
        raise ValueError(
            f"orientation is {letters!r}; expected where the three axes run to, one of R and L, A and P, S and I each, "
            "such as LPS."
        )
    return upper


def read_volume(path: Path, normalisation: Mapping[str, Any], orientation: str | None) -> VolumeScan:
    """Read a volume and check that a network may see it.

    Args:
        path: a file, or the folder of a DICOM series.
        normalisation: of the training of the network.
        orientation: letters of the axes of files that do not state how they lie.

    Raises:
        ValueError: if it cannot be read, or is not what the network was trained on.
    """
    voxels = read_voxels(path)
    affine, notes = _placed(voxels, path, orientation)
    try:
        check_place(voxels.values.shape, voxels.lengths)
        values = checked_values(voxels.values, normalisation)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return VolumeScan(values, affine, notes)


def _placed(voxels: Voxels, path: Path, orientation: str | None) -> tuple[Affine, list[str]]:
    if voxels.affine is not None:
        return voxels.affine, []
    if orientation is None:
        raise ValueError(
            f"{path} does not say how its axes lie in the patient, so left and right are unknown; state it, such as "
            "--orientation LPS."
        )
    return affine_of_letters(orientation, voxels.lengths), [f"the file does not say how it lies; given: {orientation}"]
