"""Keep pictures as 8-bit PNG: squash them to one size, blacken what is outside the ultrasound sector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..image_job import Form
from ..layout import OWN, read_pixels
from ..made_from import code_digest
from ..source import Frame, Job

if TYPE_CHECKING:
    from ...sector.finder import FoundSector

__all__ = ["Pictures", "SectorFinder"]

SIZES = (16, 4096)  # rows and columns

SectorFinder: TypeAlias = "Callable[[NDArray[np.uint8], NDArray[np.float32] | None], FoundSector | None]"


@dataclass(frozen=True)
class Pictures(Form):
    """How pictures are kept.

    Args:
        size: rows and columns; None keeps those of each picture.
        sector_finder: finds the ultrasound sector; None keeps all pixels.
        structures: of each dataset, the annotation values that stand for structures.

    Example:
        >>> Pictures(64, None, {}).settings
        {'size': 64, 'sector': None}
    """

    size: int | None
    sector_finder: SectorFinder | None
    structures: Mapping[str, Sequence[int]]

    suffix = ".png"
    libraries = ("pillow", "numpy", "scipy", "itk", "nibabel", "av", "pydicom")
    resampling = Frame.__module__
    found = ("sector", "outside_sector")

    def __post_init__(self) -> None:
        if self.size is not None and not SIZES[0] <= self.size <= SIZES[1]:
            raise ValueError(f"size is {self.size}, expected {SIZES[0]} to {SIZES[1]} rows and columns.")

    @property
    def settings(self) -> dict[str, Any]:
        """Size, and what finds the sector."""
        return {"size": self.size or OWN, "sector": _named(self.sector_finder)}

    def settings_of(self, dataset: str) -> str:
        """Return the values whose fraction outside the sector is measured."""
        return str(self.structures[dataset]) if self.sector_finder else ""

    def stated(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: ARG002 - of the interface
        """Return the size."""
        return {"size": self.size or OWN}

    def read(self, image: Path, label: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Read the PNG of a picture and of its annotation, (rows, columns)."""
        return read_pixels(image), read_pixels(label)

    def prepared(self, job: Job) -> tuple[NDArray[np.uint8], NDArray[np.uint8], dict[str, Any]]:
        """Read a picture, blacken and squash it."""
        frame: Frame = job.read()
        if self.size is None and max(frame.image.shape) > SIZES[1]:
            raise ValueError(f"it has {frame.image.shape} pixels, at most {SIZES[1]} a side are kept; give --size")
        found: dict[str, Any] = {}
        if self.sector_finder is not None:
            frame, found = _blacken(frame, self.sector_finder, self.structures[job.item["dataset"]])
        frame = frame if self.size is None else frame.resized(self.size)
        return frame.image, frame.label, {**found, "spacing": None if frame.spacing is None else list(frame.spacing)}

    def save(self, path: Path, pixels: NDArray[np.uint8], facts: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Write a PNG."""
        Image.fromarray(pixels).save(path)


def _named(finder: SectorFinder | None) -> str | None:
    """Name what finds the sector, with its weights."""
    if finder is None:
        return None
    weights = None
    with suppress(FileNotFoundError):
        weights = getattr(finder, "weights", None)
    name, module = getattr(finder, "__qualname__", type(finder).__qualname__), type(finder).__module__
    return f"{name} {code_digest(getattr(finder, '__module__', module))[:16]} {weights or 'without network'}"


def _blacken(frame: Frame, sector_finder: SectorFinder, structures: Sequence[int]) -> tuple[Frame, dict[str, Any]]:
    """Blacken the pixels outside the sector; return how it was found and how much of the structures is outside, too."""
    found = sector_finder(frame.image, frame.motion)
    if found is None:
        return frame, {"sector": None}
    drawn = np.isin(frame.label, structures)
    outside = drawn & ~found.mask
    facts = {
        "sector": {"method": found.method, "confidence": round(found.confidence, 3)},
        "outside_sector": round(float(outside.sum() / max(1, np.count_nonzero(drawn))), 4),
    }
    return replace(frame, image=np.where(found.mask, frame.image, 0).astype(np.uint8)), facts
