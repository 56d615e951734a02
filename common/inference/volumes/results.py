"""Write what every volume shows, and at the end one table, as a handler of an evaluator."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic

import numpy as np
from ignite.engine import Engine
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from torch import Tensor

from ..algorithm import Algorithm
from ..files.plan import Plan
from ..results import NOTE, UNSURE, Collection
from ..segmentation import certainty
from ..subject import Findings, M
from .label_file import write_label_volume
from .label_maps import keep_large, label_map, removal_flags
from .overlay import volume_overlay_png
from .scan import VolumeScan
from .series_seg import write_series_seg
from .subject import SegmentedVolume, VolumeResult, VolumeSubject

__all__ = ["VolumeResults"]

LOGGER = logging.getLogger(__name__)
ENDINGS = ("_seg.nii.gz", "_seg.dcm", "_overlay.png")


class VolumeResults(Generic[M]):
    """Write label maps, overlays, records and a table of volumes; finished ones of an earlier run are not repeated.

    A volume `a/b.nii.gz` of the input folder gives `a/b_seg.nii.gz`, `a/b_overlay.png` and `a/b.json`; the folder `a/c`
    of a DICOM series gives `a/c_seg.nii.gz`, `a/c_seg.dcm`, `a/c_overlay.png` and `a/c.json`. All volumes together give
    `measurements.csv` and `measurements.json`. A file of such a name that is not as an earlier run left it is kept, and
    the volume is left out. Names of files and folders are kept, so they should not name anyone;
    nothing else that identifies a patient is written.

    Args:
        plan: what is read, and where results go.
        classes: names, background first.
        activation: how logits are read, "softmax" or "sigmoid".
        subject: what is measured.
        algorithm: what makes the results.
        window: lowest and highest value of the overlay; None: those of each volume.
        smallest_piece: minimum size of a piece as a fraction of the largest one of its class; 1 keeps only the largest,
            0 keeps all.
    """

    def __init__(
        self,
        plan: Plan,
        classes: Sequence[str],
        activation: str,
        subject: VolumeSubject[M],
        algorithm: Algorithm,
        window: Sequence[float] | None = None,
        smallest_piece: float = 0.05,
    ) -> None:
        self.plan = plan
        self.classes = list(classes)
        self.activation = activation
        self.subject = subject
        self.algorithm = algorithm
        self.window = window
        self.smallest_piece = smallest_piece
        self._collection = Collection(plan, self._one, self._read, subject.table)

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        self._collection.attach(engine)

    def run(self, evaluator: Engine) -> None:
        """Run the evaluator over the unfinished volumes, then write the table of all.

        Raises:
            ValueError: if a file could not be used; all others are finished then.
        """
        self.subject.check([self.plan.name(path) for path in self.plan.files])
        self._collection.run(evaluator)

    def _read(self, record: Mapping[str, Any]) -> VolumeResult[M]:
        return VolumeResult.from_json(record, self.subject.read(record))

    def _one(self, path: Path, item: Mapping[str, Any], logits: Tensor) -> VolumeResult[M]:
        scan: VolumeScan = item["scan"]
        upright = scan.upright
        found = label_map(logits[0], item["seen"], upright.affine, upright.image.shape)
        labels = keep_large(found, len(self.classes), self.smallest_piece)
        findings = self.subject.measure(SegmentedVolume(labels, self.classes, upright.affine), self.plan.name(path))
        flags = [*findings.flags, *removal_flags(found, labels, self.classes)]
        sure = certainty(logits, self.activation)
        if sure < UNSURE:
            flags.append(f"the network is unsure ({sure:.2f}): {self.subject.doubt}")
        result = VolumeResult(
            input=str(self.plan.name(path)),
            voxels=list(labels.shape),
            spacing_mm=[round(side, 4) for side in upright.spacing],
            axes=scan.axes,
            notes=list(scan.notes),
            flags=flags,
            certainty=None if math.isnan(sure) else round(sure, 3),
            measured=findings.measured,
        )
        out = self.plan.outs[path]
        self.plan.claim(path, ENDINGS)
        written = scan.in_file_order(labels)
        write_label_volume(written, path, scan.affine, out)
        if path.is_dir():
            self._write_seg(written, scan, path, out)
        self._write_overlay(upright.image, labels, upright.spacing, findings, out)
        self.plan.finish(path, result.as_json(), ENDINGS)
        return result

    def _write_seg(self, labels: NDArray[np.uint8], scan: VolumeScan, path: Path, out: Path) -> None:
        structures = {name: self.subject.codes.get(name, codes.SCT.AnatomicalStructure) for name in self.classes[1:]}
        name, version = self.algorithm.name, self.algorithm.version
        try:
            write_series_seg(labels, scan.affine, structures, path, out, name, version, self.subject.description)
        except ValueError as error:  # UIDs are missing, for example; everything else is still wanted
            LOGGER.warning("no DICOM segmentation: %s", error)

    def _write_overlay(
        self, image: NDArray[Any], labels: NDArray[np.uint8], spacing: Sequence[float], found: Findings[M], out: Path
    ) -> None:
        names = [self.subject.titles.get(name, name.replace("_", " ")) for name in self.classes]
        volume_overlay_png(image, labels, spacing, self.window, names, [*found.caption, NOTE], out)
