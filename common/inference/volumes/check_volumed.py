"""Refuse volumes that MONAI loaded and a network must not see, as a dictionary transform."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor

from ...datasets.files.volume.voxels import spacing_of_affine
from .checks import check_place, checked_values
from .scan import VolumeScan, read_volume

__all__ = ["CheckVolumed"]


class CheckVolumed(MapTransform):
    """Refuse loaded volumes as measurements do; everything passes unchanged.

    A volume from a file is read again: MONAI's readers ignore its unit, a missing orientation and missing slices.

    Args:
        keys: of the volumes, (1, x, y, z), with an affine matrix in mm.
        normalisation: of the training.

    Raises:
        ValueError: names the file.

    Example:
        >>> import torch
        >>> check = CheckVolumed("image", {"window": None, "mean": 100.0, "sd": 50.0})
        >>> check({"image": torch.arange(8.0).reshape(1, 2, 2, 2) * 40})["image"].shape
        torch.Size([1, 2, 2, 2])
    """

    def __init__(self, keys: KeysCollection, normalisation: Mapping[str, Any]) -> None:
        super().__init__(keys)
        self.normalisation = normalisation

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data as they are."""
        for key in self.key_iterator(data):
            image = convert_to_tensor(data[key], track_meta=True)
            path = Path(str(image.meta.get("filename_or_obj", "")))
            if path.exists() and path != Path():
                _check_loaded(image.affine, read_volume(path, self.normalisation, None), path)
                continue
            try:
                channels, *sizes = image.shape
                if channels != 1:
                    raise ValueError(f"it has {channels} channels or times; expected one volume.")
                check_place(sizes, spacing_of_affine(np.asarray(image.affine)))
                checked_values(np.asarray(image), self.normalisation)
            except ValueError as error:
                raise ValueError(f"{image.meta.get('filename_or_obj', key)}: {error}") from None
        return dict(data)


def _check_loaded(affine: Any, scan: VolumeScan, path: Path) -> None:
    loaded, right = (sorted(spacing_of_affine(np.asarray(one, np.float64))) for one in (affine, scan.affine))
    if not np.allclose(loaded, right, rtol=1e-3):
        said, own = (" x ".join(f"{length:g}" for length in lengths) for lengths in (loaded, right))
        raise ValueError(f"{path}: its voxels are {own} mm apart, MONAI reads {said}; store it in millimetres.")
