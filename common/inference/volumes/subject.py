"""What a bundle measures in its volumes: the interface of an organ to the way from files to results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Any, Generic, Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom.sr.coding import Code

from ...datasets.files.volume.voxels import Affine
from ..subject import Findings, M
from ..table import Table

__all__ = ["SegmentedVolume", "VolumeResult", "VolumeSubject"]


@dataclass(frozen=True)
class SegmentedVolume:
    """A label map.

    Args:
        labels: classes, (x, y, z); axes run to the right, to the front and upwards, as nearly as those of the file.
        classes: names, background first.
        affine: 4x4, from voxel indices to mm (right, anterior, superior).
    """

    labels: NDArray[np.uint8]
    classes: Sequence[str]
    affine: Affine


@dataclass(frozen=True)
class VolumeResult(Generic[M]):
    """One finished volume.

    Args:
        input: its path below the input folder.
        voxels: their numbers along (x, y, z), to the right, to the front and upwards.
        spacing_mm: likewise.
        axes: directions in which the axes of the file increase, such as LPS.
        notes: what was unusual about the file.
        flags: sentences that ask for review.
        certainty: mean probability of what was segmented; None without anything.
        measured: by the subject.
    """

    input: str
    voxels: Sequence[int]
    spacing_mm: Sequence[float]
    axes: str
    notes: Sequence[str]
    flags: Sequence[str]
    certainty: float | None
    measured: M

    def as_json(self) -> dict[str, Any]:
        """Return the record of the volume."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "measured"}
        return {**own, **self.measured.as_json()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any], measured: M) -> VolumeResult[M]:
        """Return a volume that an earlier run finished, with what the subject read from its record."""
        own = {field.name: record[field.name] for field in fields(cls) if field.name != "measured"}
        return cls(**own, measured=measured)


class VolumeSubject(Protocol[M]):
    """What is measured in volumes, and how it is called; attributes and methods as those of `Subject`."""

    titles: Mapping[str, str]
    codes: Mapping[str, Code]
    description: str
    doubt: str

    def check(self, inputs: Sequence[PurePath]) -> None:
        """Refuse inputs that cannot be measured together; called once, before the first is read."""

    def measure(self, segmented: SegmentedVolume, name: PurePath) -> Findings[M]:
        """Measure one volume; `name` is that of its file, below the input folder."""

    def read(self, record: Mapping[str, Any]) -> M:
        """Return what an earlier run measured, from the record of a volume."""

    def table(self, scans: Sequence[VolumeResult[M]]) -> Table:
        """Return the table of all volumes."""
