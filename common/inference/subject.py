"""What a bundle measures in its images: the interface of an organ to the way from files to results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom.sr.coding import Code

from ..datasets.files.scan import Scan
from ..datasets.sector.framing import Framing
from .overlay import Moment
from .table import Table

__all__ = ["Findings", "Measured", "ScanResult", "Segmented", "Subject"]


class Measured(Protocol):
    """What was measured in one scan."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the record of the scan."""


M = TypeVar("M", bound=Measured)


@dataclass(frozen=True)
class Segmented:
    """A scan with its label maps.

    Args:
        labels: classes, (frames, rows, columns).
        classes: names, background first.
        scan: as it was read.
        framing: the part of it that the network saw.
    """

    labels: NDArray[np.uint8]
    classes: Sequence[str]
    scan: Scan
    framing: Framing


@dataclass(frozen=True)
class Findings(Generic[M]):
    """What a subject found in one scan.

    Args:
        measured: goes into the record and the table.
        flags: sentences that ask for review.
        moments: frames worth showing; without any, the first frame is shown.
        caption: lines below the overlay.
    """

    measured: M
    flags: Sequence[str] = ()
    moments: Sequence[Moment] = ()
    caption: Sequence[str] = ()


@dataclass(frozen=True)
class ScanResult(Generic[M]):
    """One finished scan.

    Args:
        input: its path below the input folder.
        frames: their number.
        rows_columns: of a frame.
        frame_rate_hz: None if unknown.
        spacing_mm: (row, column); None if unknown.
        spacing_source: in words; "" without spacing.
        notes: what was unusual about the file.
        flags: sentences that ask for review.
        certainty: mean probability of what was segmented; None without anything.
        measured: by the subject.
    """

    input: str
    frames: int
    rows_columns: Sequence[int]
    frame_rate_hz: float | None
    spacing_mm: Sequence[float] | None
    spacing_source: str
    notes: Sequence[str]
    flags: Sequence[str]
    certainty: float | None
    measured: M

    def as_json(self) -> dict[str, Any]:
        """Return the record of the scan."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "measured"}
        return {**own, **self.measured.as_json()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any], measured: M) -> ScanResult[M]:
        """Return a scan that an earlier run finished, with what the subject read from its record."""
        own = {field.name: record[field.name] for field in fields(cls) if field.name != "measured"}
        return cls(**own, measured=measured)


class Subject(Protocol[M]):
    """An organ, or anything else that images show: what is measured, and how it is called.

    Attributes:
        titles: class -> words for pictures, where they differ from the class's name.
        codes: class -> code in DICOM segmentations; without one, a class is an anatomical structure.
        description: of the series of a DICOM segmentation.
        doubt: question to ask where the network is unsure.
    """

    titles: Mapping[str, str]
    codes: Mapping[str, Code]
    description: str
    doubt: str

    def check(self, inputs: Sequence[PurePath]) -> None:
        """Refuse inputs that cannot be measured together; called once, before the first is read."""

    def measure(self, segmented: Segmented, name: PurePath) -> Findings[M]:
        """Measure one scan.

        Args:
            segmented: a still or a clip.
            name: of its file, below the input folder.
        """

    def read(self, record: Mapping[str, Any]) -> M:
        """Return what an earlier run measured, from the record of a scan."""

    def table(self, scans: Sequence[ScanResult[M]]) -> Table:
        """Return the table of all scans."""
