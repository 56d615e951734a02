"""Serve volumes as a dataset: each item is a whole volume, as the network was trained to see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from ...datasets.volumes.intensity import intensity_of
from ...datasets.volumes.spacings import Spacing
from .scan import checked_orientation, read_volume

__all__ = ["VolumeScans"]


class VolumeScans(Dataset[dict[str, Any]]):
    """Volumes, read on access.

    Args:
        files: to read; the folder of a DICOM series counts as a file.
        normalisation: of the training: window, mean, sd.
        spacing: of the training (`stated_spacing`), mm along (x, y, z); None: any.
        orientation: where the axes of files run to that do not state it, such as LPS; None leaves those out.

    Item:
        image: float32, (1, 1, X, Y, Z), of no images if the file cannot be used; path; scan (`VolumeScan`) and seen
        (affine matrix of the image), None if the file cannot be used; error: why it cannot be used, otherwise "".
    """

    def __init__(
        self,
        files: Sequence[Path],
        normalisation: Mapping[str, Any],
        spacing: Spacing = None,
        orientation: str | None = None,
    ) -> None:
        self.files = files
        self.normalisation = normalisation
        self.spacing = spacing
        self.orientation = checked_orientation(orientation)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        path = self.files[index]
        item = {"image": torch.zeros(0, 1, 1, 1, 1), "path": path, "scan": None, "seen": None, "error": ""}
        window = self.normalisation["window"]
        try:
            scan = read_volume(path, self.normalisation, self.orientation)
            seen = scan.seen(None if window is None else (window[0], window[1]), self.spacing)
        except (ValueError, OSError, MemoryError) as error:  # the other files can still be read
            words = str(error) or type(error).__name__
            return {**item, "error": words if str(path) in words else f"{path}: {words}"}
        values = torch.from_numpy(np.ascontiguousarray(seen.image))
        image = intensity_of(self.normalisation)(values)[None, None]
        return {**item, "image": image, "scan": scan, "seen": seen.affine}
