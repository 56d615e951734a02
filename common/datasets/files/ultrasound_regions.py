"""Where on a DICOM screen the tissue is and how large its pixels are: the ultrasound regions, PS3.3 C.8.5.5."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from .unreadable import Unreadable

__all__ = ["Region", "tissue_region"]

Box = tuple[int, int, int, int]
TWO_DIMENSIONAL, CENTIMETRES, COLOUR_FLOW = 1, 3, 2
TIMES_AND_SPEEDS = {4: "s", 5: "Hz", 6: "dB/s", 7: "cm/s", 9: "cm2/s", 11: "cm3/s"}
FORMATS = {1: "two-dimensional", 2: "M-mode", 3: "spectral Doppler", 4: "waveform", 5: "graphics"}
MOVEMENT = (2, 3)  # formats that show time on one axis


@dataclass(frozen=True)
class Region:
    """The two-dimensional region of a screen.

    Args:
        box: first row and column, and one past the last, as the header has them; None where it does not say.
        spacing: mm per pixel, (row, column), as the header has them; None where it is not in centimetres.
        notes: for a reader.
    """

    box: Box | None
    spacing: tuple[float, float] | None
    notes: tuple[str, ...]


def tissue_region(regions: Sequence[Dataset]) -> Region:
    """Choose the largest two-dimensional region in centimetres.

    Args:
        regions: items of SequenceOfUltrasoundRegions, at least one.

    Raises:
        Unreadable: if none shows tissue, and one shows Doppler, M-mode and the like.

    Example:
        >>> item = Dataset()
        >>> item.RegionSpatialFormat, item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection = 1, 3, 3
        >>> item.PhysicalDeltaX, item.PhysicalDeltaY = 0.03, -0.02
        >>> tissue_region([item]).spacing
        (0.2, 0.3)
    """
    tissue = [region for region in regions if _code(region, "RegionSpatialFormat") == TWO_DIMENSIONAL]
    tissue = [region for region in tissue if not _shows_movement(region)]
    if not tissue:
        if not any(_shows_movement(region) for region in regions):  # converters write empty regions
            return Region(None, None, ("Its ultrasound regions do not tell where tissue is.",))
        found = sorted({_described(region) for region in regions})
        raise Unreadable(
            f"its ultrasound regions are {', '.join(found)}: a Doppler or M-mode recording? "
            "An apical view in B-mode is needed."
        )
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
        notes.append("The ultrasound region tells no pixel size in centimetres.")
    return Region(_box(chosen), spacing, tuple(notes))


def _code(region: Dataset, keyword: str) -> int:
    try:
        return int(region.get(keyword) or 0)
    except (TypeError, ValueError):
        return 0


def _units(region: Dataset) -> tuple[int, int]:
    return _code(region, "PhysicalUnitsXDirection"), _code(region, "PhysicalUnitsYDirection")


def _shows_movement(region: Dataset) -> bool:
    return _code(region, "RegionSpatialFormat") in MOVEMENT or not set(_units(region)).isdisjoint(TIMES_AND_SPEEDS)


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
    return (row, column) if 0 < row < math.inf and 0 < column < math.inf else None
