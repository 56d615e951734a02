"""Keep volumes as uncompressed NIfTI: one orientation, one spacing, one window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..prepared.image_job import Form
from ..prepared.layout import OWN
from ..prepared.preparation import prepare_in
from ..prepared.source import Job, Source
from .layout import VOLUMES, pooled_intensity, read_voxels_pair, save_voxels
from .volume import Volume, windowed

__all__ = ["Volumes", "prepare_volumes"]


@dataclass(frozen=True)
class Volumes(Form):
    """How volumes are kept.

    Args:
        spacing: mm along (x, y, z); None keeps that of each volume.
        window: lowest and highest value; None keeps all.

    Example:
        >>> Volumes((2.0, 2.0, 2.0), (-200, 200)).settings
        {'spacing': [2.0, 2.0, 2.0], 'window': [-200, 200]}
    """

    spacing: tuple[float, float, float] | None
    window: tuple[int, int] | None

    suffix = ".nii"
    libraries = ("numpy", "scipy", "nibabel", "itk", "pydicom", "highdicom")
    resampling = Volume.__module__

    @property
    def settings(self) -> dict[str, Any]:
        """Spacing and window."""
        return {
            "spacing": None if self.spacing is None else list(self.spacing),
            "window": None if self.window is None else list(self.window),
        }

    def settings_of(self, dataset: str) -> str:  # noqa: ARG002 - of the interface
        """Return nothing: all datasets are treated alike."""
        return ""

    def stated(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return kind, orientation, settings, and the intensity of the training fold."""
        training = [item for item in items if item["fold"] == "training"]
        stated = {"kind": VOLUMES, "size": OWN, "orientation": "RAS", **self.settings}
        return {**stated, "intensity": pooled_intensity(training)}

    def read(self, image: Path, label: Path) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Map a volume and its annotation into memory, (z, y, x): the order of the files."""
        voxels, values = read_voxels_pair(image, label)
        return voxels.T, values.T

    def prepared(self, job: Job) -> tuple[NDArray[np.int16], NDArray[np.uint8], dict[str, Any]]:
        """Read, reorient, window and resample a volume; return it as (z, y, x)."""
        volume: Volume = job.read().reoriented()
        volume = Volume(windowed(volume.image, self.window), volume.label, volume.affine)
        volume = volume if self.spacing is None else volume.resampled(self.spacing)
        facts = {
            "spacing": list(volume.spacing),
            "size": list(volume.image.shape),
            "intensity": self._intensity(volume.image),
            "affine": volume.affine,
        }
        return np.ascontiguousarray(volume.image.T), np.ascontiguousarray(volume.label.T), facts

    def save(self, path: Path, pixels: NDArray[Any], facts: Mapping[str, Any]) -> None:
        """Write an uncompressed NIfTI file."""
        save_voxels(path, pixels.T, facts["affine"])

    def _intensity(self, image: NDArray[np.int16]) -> dict[str, Any]:
        values: NDArray[np.int16] = image.ravel()
        if self.window is not None:
            values = values[(values > self.window[0]) & (values < self.window[1])]
        if not values.size:
            return {"mean": 0.0, "sd": 0.0, "voxels": 0}
        mean, sd = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        return {"mean": round(mean, 4), "sd": round(sd, 4), "voxels": int(values.size)}


def prepare_volumes(
    source: Source,
    out: Path,
    spacing: tuple[float, float, float] | None = None,
    window: tuple[int, int] | None = None,
    workers: int = 0,
    strict: bool = False,
) -> list[dict[str, Any]]:
    """Read every volume of `source` and write the prepared folder `out`.

    Args:
        source: the dataset; its jobs read a `Volume`.
        out: the prepared folder.
        spacing: mm along (x, y, z) that all are resampled to; None keeps that of each.
        window: lowest and highest value; None keeps all, which must be integers of 16 bits.
        workers: as for `prepare`.
        strict: likewise.

    Returns:
        The items of the datalist.

    Raises:
        ValueError: as `prepare`, and further errors likewise.
    """
    return prepare_in(Volumes(spacing, window), source, out, workers, strict)
