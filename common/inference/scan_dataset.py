"""Serve files as a dataset: each item is a whole scan, ready for the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from ..datasets.files.scan_reader import read_scan, scan_files
from ..datasets.sector.finder import SectorFinder
from ..datasets.sector.framing import frame
from .segmentation import network_images

__all__ = ["Scans", "one_scan"]


def one_scan(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Collate one scan: its frames are the batch, since scans differ in size.

    Raises:
        ValueError: for several items.
    """
    if len(items) != 1:
        raise ValueError(f"expected one scan, got {len(items)}; set batch_size to 1, the frames of a scan are batched.")
    return items[0]


class Scans(Dataset[dict[str, Any]]):
    """The files of a folder, or one file, read on access.

    Args:
        path: a file, or a folder including its subfolders.
        image_size: pixels per side of the network's images.
        spacing: mm per pixel, one number or (row, column), for files without; overrides that of the files.
        frame_rate: frames per second; likewise.
        find_sector: crop to the ultrasound sector; False shows the network the whole image.
        sector_bundle: folder of the bundle sector_segmentation, used where geometry is unsure; None uses geometry only.
        results: what writes the results: has a `folder`, receives all paths by `plan`, and contains the finished ones,
            which are not read again.

    Raises:
        FileNotFoundError: if there is nothing to read.

    Item:
        image: float32, (frames, 1, image_size, image_size), in [0, 1]; without frames if there is no scan;
        path; scan (`Scan`) and framing (`Framing`), None if the file cannot be read or is already done; error: why it
        cannot be read, otherwise "".
    """

    def __init__(
        self,
        path: str | Path,
        image_size: int,
        spacing: float | Sequence[float] | None = None,
        frame_rate: float | None = None,
        find_sector: bool = True,
        sector_bundle: str | Path | None = None,
        results: Any = None,
    ) -> None:
        self.image_size = image_size
        self.spacing = _pair(spacing)
        self.frame_rate = frame_rate
        self.results = results
        self.paths = scan_files(Path(path), None if results is None else results.folder)
        if not self.paths:
            raise FileNotFoundError(f"{path}: expected DICOM, AVI, MP4, NIfTI, MetaImage, PNG or JPEG files, got none.")
        if results is not None:
            results.plan(self.paths)
        self._finder = SectorFinder(None if sector_bundle is None else Path(sector_bundle)) if find_sector else None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        path = self.paths[index]
        nothing = torch.zeros(0, 1, self.image_size, self.image_size)
        item = {"image": nothing, "path": path, "scan": None, "framing": None, "error": ""}
        if self.results is not None and path in self.results:
            return item
        try:
            scan = read_scan(path, self.spacing, self.frame_rate)
        except (ValueError, OSError, MemoryError) as error:  # the other files can still be read
            return {**item, "error": str(error) or f"{path}: {type(error).__name__}"}
        framing = frame(scan, self._finder)
        image = network_images(framing.cut(scan.frames), self.image_size)
        return {**item, "image": image, "scan": scan, "framing": framing}


def _pair(spacing: float | Sequence[float] | None) -> tuple[float, float] | None:
    """Parse a spacing from the command line: a number, or a list or string of two."""
    if spacing is None:
        return None
    parts = spacing.strip("[]() ").split(",") if isinstance(spacing, str) else spacing
    try:
        row, column = np.broadcast_to(np.array(parts, float), 2).tolist()
    except (TypeError, ValueError):
        row = column = math.nan
    if not (0 < row < math.inf and 0 < column < math.inf):
        raise ValueError(f"expected spacing in mm per pixel, 0.3 or (rows, columns) [0.3,0.2], got {spacing!r}.")
    return row, column
