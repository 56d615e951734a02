"""Serve files as a dataset: each item is a whole scan, ready for the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from ..datasets.files.scan_reader import read_scan
from ..datasets.sector.finder import SectorFinder
from ..datasets.sector.framing import frame
from .segmentation import network_images

__all__ = ["Scans", "one_scan"]

SHOWN = "the overlay shows only the surroundings of what was segmented"


def one_scan(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Collate one scan: its frames are the batch, since scans differ in size.

    Raises:
        ValueError: for several items.
    """
    if len(items) != 1:
        raise ValueError(f"expected one scan, got {len(items)}; set batch_size to 1, the frames of a scan are batched.")
    return items[0]


class Scans(Dataset[dict[str, Any]]):
    """Scans, read on access.

    Args:
        files: to read.
        image_size: pixels per side of the network's images.
        spacing: mm per pixel, one number or (row, column), for files without; overrides that of the files.
        frame_rate: frames per second; likewise.
        sector_finder: crops to the ultrasound sector; None shows the network the whole image, of any modality.

    Item:
        image: float32, (frames, 1, image_size, image_size), in [0, 1]; without frames if there is no scan;
        path; scan (`Scan`) and framing (`Framing`), None if the file cannot be read; error: why it cannot be read,
        otherwise "".
    """

    def __init__(
        self,
        files: Sequence[Path],
        image_size: int,
        spacing: float | Sequence[float] | None = None,
        frame_rate: float | None = None,
        sector_finder: SectorFinder | None = None,
    ) -> None:
        self.files = files
        self.image_size = image_size
        self.spacing = _pair(spacing)
        self.frame_rate = frame_rate
        self.sector_finder = sector_finder

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        path = self.files[index]
        nothing = torch.zeros(0, 1, self.image_size, self.image_size)
        item = {"image": nothing, "path": path, "scan": None, "framing": None, "error": ""}
        try:
            scan = read_scan(path, self.spacing, self.frame_rate, ultrasound=self.sector_finder is not None)
        except (ValueError, OSError, MemoryError) as error:  # the other files can still be read
            return {**item, "error": str(error) or f"{path}: {type(error).__name__}"}
        framing = frame(scan, self.sector_finder)
        if self.sector_finder is not None and not framing.sector:
            asked = "by geometry and network" if self.sector_finder.bundle else "by geometry, and no network was asked"
            note = f"the ultrasound sector was not found {asked}: the network saw the whole image, {SHOWN}"
            scan = replace(scan, notes=(*scan.notes, note))
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
