"""Measure the volumes of a bundle's own classes, in any CT, MRI or PET."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from pydicom.sr.coding import Code
from scipy import ndimage

from ...datasets.checks.volume_facts import FACES
from ..subject import Findings
from ..table import Table
from .subject import SegmentedVolume, VolumeResult

__all__ = ["StructureVolumes", "Volumes"]


@dataclass(frozen=True)
class StructureVolumes:
    """The volume of every class.

    Args:
        millilitres: class -> volume, 0 where it was not found.
        cut_off: class -> sides at which it touches the edge of what was scanned, where its volume is a lower bound.
    """

    millilitres: Mapping[str, float]
    cut_off: Mapping[str, Sequence[str]]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"volumes_ml": dict(self.millilitres), "cut_off": {name: [*own] for name, own in self.cut_off.items()}}


class Volumes:
    """The subject of bundles of volumes that name no other: millilitres, one row for each volume.

    Args:
        classes: names, background first.
    """

    titles: Mapping[str, str] = {}
    codes: Mapping[str, Code] = {}
    description = "Segmentation"
    doubt = "does the volume show what the network was trained on?"

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = list(classes)

    def check(self, inputs: Sequence[PurePath]) -> None:
        """Accept any inputs: volumes are measured independently."""

    def measure(self, segmented: SegmentedVolume, name: PurePath) -> Findings[StructureVolumes]:  # noqa: ARG002  # any
        """Measure the volume of every class, and whether the edge of the scan cuts it off.

        Example:
            >>> labels = np.zeros((9, 9, 9), np.uint8)
            >>> labels[4:6, 4:6, 7:] = 1
            >>> volume = SegmentedVolume(labels, ["background", "left_kidney"], np.diag([5.0, 5.0, 5.0, 1.0]))
            >>> found = Volumes(volume.classes).measure(volume, PurePath("a.nii"))
            >>> dict(found.measured.millilitres), found.flags
            ({'left_kidney': 1.0}, ['left kidney: cut off by the edge of the scan (superior), its volume is a lower bound'])
        """  # noqa: E501 - a doctest
        voxel = abs(float(np.linalg.det(segmented.affine[:3, :3]))) / 1000
        counts = np.bincount(segmented.labels.ravel(), minlength=len(self.classes))
        millilitres = {label: round(voxel * int(counts[value]), 3) for value, label in enumerate(self.classes) if value}
        boxes = ndimage.find_objects(segmented.labels, len(self.classes) - 1)
        cut_off = {
            label: touching
            for label, box in zip(self.classes[1:], boxes, strict=True)
            if box is not None and (touching := _faces(box, segmented.labels.shape))
        }
        flags = [
            f"{label.replace('_', ' ')}: cut off by the edge of the scan ({', '.join(touching)}), its volume is a "
            "lower bound"
            for label, touching in cut_off.items()
        ]
        words = (f"{label.replace('_', ' ')} {own:.1f} ml" for label, own in millilitres.items() if own)
        return Findings(StructureVolumes(millilitres, cut_off), flags, caption=[", ".join(words)])

    def read(self, record: Mapping[str, Any]) -> StructureVolumes:
        """Return the volumes of a record."""
        return StructureVolumes(record["volumes_ml"], record["cut_off"])

    def table(self, scans: Sequence[VolumeResult[StructureVolumes]]) -> Table:
        """Return one row for each volume.

        Example:
            >>> found = StructureVolumes({"left_kidney": 150.25}, {})
            >>> scan = VolumeResult("a.nii", [64, 64, 32], [2.0, 2.0, 5.0], "LPS", [], ["check it"], 0.9, found)
            >>> print(Volumes(["background", "left_kidney"]).table([scan]).as_csv())
            scan,left_kidney_volume (ml),spacing_x (mm),spacing_y (mm),spacing_z (mm),certainty,flags
            a.nii,150.25,2.0,2.0,5.0,0.9,check it
            <BLANKLINE>
        """
        names = {label: f"{label}_volume" for label in self.classes[1:]}
        sides = [f"spacing_{axis}" for axis in "xyz"]
        units = {**dict.fromkeys(names.values(), "ml"), **dict.fromkeys(sides, "mm")}
        rows = {
            scan.input: {
                **{names[label]: scan.measured.millilitres[label] for label in names},
                **dict(zip(sides, scan.spacing_mm, strict=True)),
                "certainty": scan.certainty,
                "flags": [*scan.notes, *scan.flags],
            }
            for scan in scans
        }
        shown = {name: f"{label.replace('_', ' ')} ml" for label, name in names.items()}
        return Table("scan", "scans", [*units, "certainty", "flags"], units, rows, {**shown, "flags": "flags"})


def _faces(box: tuple[slice, ...], shape: Sequence[int]) -> list[str]:
    touching = [edge for side, size in zip(box, shape, strict=True) for edge in (side.start == 0, side.stop == size)]
    return [face for face, touches in zip(FACES, touching, strict=True) if touches]
