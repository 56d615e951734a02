"""Where a DICOM picture shows tissue and how large its pixels are: the one rule of all readers.

Ultrasound regions are those of PS3.3 C.8.5.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from .screen_scale import screen_scale
from .unreadable import Unreadable

__all__ = ["Tissue", "find_tissue", "refuse_movement"]

Box = tuple[int, int, int, int]
Frames = Callable[[], NDArray[np.uint8]]
TWO_DIMENSIONAL, CENTIMETRES, COLOUR_FLOW = 1, 3, 2
TIMES_AND_SPEEDS = {4: "s", 5: "Hz", 6: "dB/s", 7: "cm/s", 9: "cm2/s", 11: "cm3/s"}
FORMATS = {1: "two-dimensional", 2: "M-mode", 3: "spectral Doppler", 4: "waveform", 5: "graphics"}
MOVEMENT = (2, 3)  # formats that show time on one axis


@dataclass(frozen=True)
class Tissue:
    """The part of a picture that shows tissue in two dimensions.

    Args:
        box: first row and column, and one past the last; None where the file names no region.
        spacing: mm per pixel, (row, column), as the header has it; None if unknown.
        source: of the spacing, in words; "" without spacing.
        notes: for a reader.
    """

    box: Box | None = None
    spacing: tuple[float, float] | None = None
    source: str = ""
    notes: tuple[str, ...] = ()


def find_tissue(header: Dataset, frames: Frames) -> Tissue:
    """Find the largest two-dimensional ultrasound region in centimetres; only without regions PixelSpacing counts.

    Args:
        header: of the file.
        frames: returns grey values, (frames, rows, columns); called only for a region that does not fit the picture.

    Example:
        >>> item, header = Dataset(), Dataset()
        >>> item.RegionSpatialFormat, item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection = 1, 3, 3
        >>> item.PhysicalDeltaX, item.PhysicalDeltaY = 0.03, -0.02
        >>> header.SequenceOfUltrasoundRegions = [item]
        >>> find_tissue(header, frames=lambda: np.zeros((1, 4, 4), np.uint8)).spacing
        (0.2, 0.3)
    """
    regions = header.get("SequenceOfUltrasoundRegions") or []
    if regions:
        found = _largest(regions)
        found = _in_picture(found, found.box, header, frames) if found.box else found
        return replace(found, source="ultrasound region" if found.spacing else "")
    try:
        row, column = (float(length) for length in header.get("PixelSpacing") or ())
    except (TypeError, ValueError):
        return Tissue()
    notes = ("The pixel size is that of PixelSpacing, which is often wrong in ultrasound.",)
    return Tissue(None, (row, column), "PixelSpacing", notes)


def refuse_movement(header: Dataset) -> None:
    """Refuse a screen that shows Doppler or M-mode alone."""
    regions = header.get("SequenceOfUltrasoundRegions") or []
    if not _showing_tissue(regions) and any(map(_shows_movement, regions)):  # converters write empty regions
        found = sorted({_described(region) for region in regions})
        raise Unreadable(
            f"its ultrasound regions are {', '.join(found)}: a Doppler or M-mode recording? "
            "An apical view in B-mode is needed."
        )


def _largest(regions: Sequence[Dataset]) -> Tissue:
    tissue = _showing_tissue(regions)
    if not tissue:
        return Tissue(notes=("Its ultrasound regions do not say where tissue is.",))
    measured = [region for region in tissue if _units(region) == (CENTIMETRES, CENTIMETRES)]
    chosen = max(measured or tissue, key=_area)  # the first of equals
    notes = []
    if beside := sorted({_described(region) for region in regions if _code(region, "RegionSpatialFormat") in MOVEMENT}):
        notes.append(f"The screen also shows {', '.join(beside)}; only the two-dimensional region is used.")
    if any(_code(region, "RegionDataType") == COLOUR_FLOW for region in tissue):
        notes.append("Colour flow is shown; its colours became grey and may hide borders.")
    if len({_box(region) for region in tissue}) > 1:
        notes.append(f"The screen has {len(tissue)} two-dimensional regions; the largest is used.")
    spacing = _spacing(chosen) if measured else None
    if spacing is None:
        notes.append("The ultrasound region has no pixel size in centimetres.")
    return Tissue(_box(chosen), spacing, notes=tuple(notes))


def _in_picture(found: Tissue, box: Box, header: Dataset, frames: Frames) -> Tissue:
    """Bring a region from the screen to the picture."""
    rows, columns = header.Rows, header.Columns
    scale = screen_scale((rows, columns), box, frames)
    if scale is None:
        note = "Its ultrasound region extends beyond the image, so the pixel size is unknown: give the spacing for ml."
        return Tissue(notes=(*found.notes, note))
    top, left, bottom, right = (round(edge / scale) for edge in box)
    inside = max(top, 0), max(left, 0), min(bottom, rows), min(right, columns)
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        note = "Its ultrasound region is empty; the whole image is used."
        return replace(found, box=None, notes=(*found.notes, note))
    spacing, notes = found.spacing, found.notes
    if scale != 1:
        spacing = (spacing[0] * scale, spacing[1] * scale) if spacing else None
        notes = (*notes, f"The image is its screen shrunk {scale:.3g}-fold; box and pixel size are corrected for it.")
    elif bottom > rows + 2 or right > columns + 2:
        notes = (*notes, "The image cuts its ultrasound region off.")
    return Tissue(inside, spacing, notes=notes)


def _code(region: Dataset, keyword: str) -> int:
    try:
        return int(region.get(keyword) or 0)
    except (TypeError, ValueError):
        return 0


def _units(region: Dataset) -> tuple[int, int]:
    return _code(region, "PhysicalUnitsXDirection"), _code(region, "PhysicalUnitsYDirection")


def _shows_movement(region: Dataset) -> bool:
    return _code(region, "RegionSpatialFormat") in MOVEMENT or not set(_units(region)).isdisjoint(TIMES_AND_SPEEDS)


def _showing_tissue(regions: Sequence[Dataset]) -> list[Dataset]:
    flat = [region for region in regions if _code(region, "RegionSpatialFormat") == TWO_DIMENSIONAL]
    return [region for region in flat if not _shows_movement(region)]


def _described(region: Dataset) -> str:
    shape = FORMATS.get(_code(region, "RegionSpatialFormat"), "without format")
    units = [TIMES_AND_SPEEDS[unit] for unit in _units(region) if unit in TIMES_AND_SPEEDS]
    return f"{shape} in {' and '.join(units)}" if units else shape


def _box(region: Dataset) -> Box | None:
    keywords = ("MinY0", "MinX0", "MaxY1", "MaxX1")
    if any(region.get(f"RegionLocation{keyword}") is None for keyword in keywords):
        return None
    top, left, bottom, right = (_code(region, f"RegionLocation{keyword}") for keyword in keywords)
    return top, left, bottom + 1, right + 1  # DICOM counts the last ones in


def _area(region: Dataset) -> int:
    top, left, bottom, right = _box(region) or (0, 0, 0, 0)
    return max(bottom - top, 0) * max(right - left, 0)


def _spacing(region: Dataset) -> tuple[float, float] | None:
    try:
        row, column = (abs(float(region.get(f"PhysicalDelta{axis}"))) * 10 for axis in "YX")
    except (TypeError, ValueError):
        return None
    return row, column
