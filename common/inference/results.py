"""Write what every scan shows, and at the end one table, as a handler of an evaluator."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from ignite.engine import Engine, Events
from monai.utils import CommonKeys
from numpy.typing import NDArray
from pydicom.misc import is_dicom
from pydicom.sr.codedict import codes
from rich.console import Console
from tqdm import tqdm

from ..atomic import write_text
from ..contours import bounding_box
from ..engines.ending import report_once
from ..wide_table import fit
from .algorithm import Algorithm
from .dicom_seg import write_dicom_seg
from .files.plan import Plan
from .label_map import write_label_map
from .overlay import Display, Moment, overlay_mp4, overlay_png
from .segmentation import certainty, clean, cleaning_flags, label_maps
from .subject import Findings, M, ScanResult, Segmented, Subject
from .table import Table

__all__ = ["MARGIN", "NOTE", "UNSURE", "Collection", "Results"]

LOGGER = logging.getLogger(__name__)
UNSURE = 0.85  # mean probability of what was segmented
NOTE = "Research only, not for diagnosis."
ENDINGS = ("_seg.nii.gz", "_seg.png", "_seg.dcm", "_overlay.png", "_overlay.mp4")
MARGIN = 0.15  # of the height of what was segmented, around it, where the sector was not found

R = TypeVar("R")


class Collection(Generic[R]):
    """Collect the results of scans, and at the end write `measurements.csv` and `measurements.json`.

    A handler that measures scans composes it. Finished scans of an earlier run are not repeated.

    Args:
        plan: what is read, and where results go.
        one: measures a scan, from its path, its item of the dataset and its logits; writes its record.
        read: returns the result that an earlier run wrote, from its record.
        table: of all results.
    """

    def __init__(
        self,
        plan: Plan,
        one: Callable[[Path, Mapping[str, Any], Any], R],
        read: Callable[[Mapping[str, Any]], R],
        table: Callable[[Sequence[R]], Table],
    ) -> None:
        self.plan = plan
        self.one = one
        self.read = read
        self.table = table
        self._done: dict[Path, R] = {}
        self._failed: dict[Path, str] = {}

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        report_once(engine)
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._scan)
        engine.add_event_handler(Events.COMPLETED, lambda: self._bar.close())

    def run(self, evaluator: Engine) -> None:
        """Run the evaluator over the unfinished scans, then write the table of all.

        Raises:
            ValueError: if a file could not be read; all others are finished then.
            OSError: if another process measures into the same folder, or it cannot be written.
        """
        with self.plan.held():
            for path, record in self.plan.records.items():
                self._done[path] = self.read(record)
            if self.plan.unfinished:
                evaluator.run()
            self._complete()

    def _start(self, engine: Engine) -> None:
        self._bar = tqdm(total=engine.state.epoch_length, unit=" scans", dynamic_ncols=True)

    def _scan(self, engine: Engine) -> None:
        item, logits = engine.state.batch, engine.state.output[CommonKeys.PRED]
        path, error = item["path"], item["error"]
        if not error:
            try:
                self._done[path] = self.one(path, item, logits)
            except (ValueError, MemoryError) as odd:  # the others can still be measured
                error = f"{path}: {str(odd) or type(odd).__name__}"
        if error:
            self._failed[path] = error
            tqdm.write(f"left out: {error}")
        self._bar.update()

    def _complete(self) -> None:
        scans = [self._done[path] for path in self.plan.files if path in self._done]
        if not scans:
            raise ValueError("; ".join(self._failed.values()))
        table = self.table(scans)
        failed = {str(self.plan.name(path)): reason for path, reason in self._failed.items()}
        content = {"note": NOTE, **table.as_json(), "left_out": failed, "made_by": self.plan.made_by}
        write_text(self.plan.folder / "measurements.json", json.dumps(content, indent=1) + "\n")
        path = self.plan.folder / "measurements.csv"
        write_text(path, table.as_csv())
        console = Console(markup=False)
        console.print(fit(table.for_terminal(f"Measurements ({NOTE})"), console))
        rows = "" if table.rows == "scans" else f", {len(table.values)} {table.rows}"
        console.print(f"{len(scans)} scans{rows}: {path}", soft_wrap=True)
        if failed:
            raise ValueError(
                f"{len(failed)} of {len(failed) + len(scans)} files were left out, all others are done; see the "
                f"reasons in {self.plan.folder / 'measurements.json'}: {', '.join(sorted(failed)[:5])}"
            )


class Results(Generic[M]):
    """Write label maps, overlays, records and a table of scans; finished scans of an earlier run are not repeated.

    A scan `a/b.nii.gz` of the input folder gives `a/b_seg.nii.gz` (or .png), `a/b_overlay.png`, `a/b_overlay.mp4` for a
    clip, `a/b_seg.dcm` for a single-frame DICOM file, and `a/b.json`; all scans together give `measurements.csv` and
    `measurements.json`. A file of such a name that is not as an earlier run left it is kept, and the scan is left out.
    File names are kept, so they should not name anyone; nothing else that identifies a patient is written.

    Args:
        plan: what is read, and where results go.
        classes: names, background first.
        activation: how logits are read, "softmax" or "sigmoid".
        subject: what is measured.
        algorithm: what makes the results.
        smallest_piece: minimum size of a piece as a fraction of the largest one of its class; 1 keeps only the largest,
            0 keeps all.
        pictures: write overlays.

    Raises:
        ValueError: if `smallest_piece` is not a fraction.
    """

    def __init__(
        self,
        plan: Plan,
        classes: Sequence[str],
        activation: str,
        subject: Subject[M],
        algorithm: Algorithm,
        smallest_piece: float = 0.2,
        pictures: bool = True,
    ) -> None:
        if not 0 <= smallest_piece <= 1:
            raise ValueError(f"expected smallest_piece as a fraction of the largest, 0 to 1, got {smallest_piece}.")
        self.plan = plan
        self.classes = list(classes)
        self.activation = activation
        self.subject = subject
        self.algorithm = algorithm
        self.smallest_piece = smallest_piece
        self.pictures = pictures
        self._collection = Collection(plan, self._one, self._read, subject.table)

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        self._collection.attach(engine)

    def run(self, evaluator: Engine) -> None:
        """Run the evaluator over the unfinished scans, then write the table of all.

        Raises:
            ValueError: if a file could not be read; all others are finished then.
        """
        self.subject.check([self.plan.name(path) for path in self.plan.files])
        self._collection.run(evaluator)

    def _read(self, record: Mapping[str, Any]) -> ScanResult[M]:
        return ScanResult.from_json(record, self.subject.read(record))

    def _one(self, path: Path, item: Mapping[str, Any], logits: Any) -> ScanResult[M]:
        scan, framing = item["scan"], item["framing"]
        found = label_maps(logits, framing)
        labels = clean(found, len(self.classes), self.smallest_piece)
        segmented = Segmented(labels, self.classes, scan, framing)
        findings = self.subject.measure(segmented, self.plan.name(path))
        flags = [*findings.flags, *cleaning_flags(found, labels, self.classes)]
        sure = certainty(logits, self.activation)
        if unsure := sure < UNSURE:
            doubt = f"{self.subject.doubt} No overlay: it may show text that names someone"
            flags.append(f"the network is unsure ({sure:.2f}): {doubt}")
        result = ScanResult(
            input=str(self.plan.name(path)),
            frames=len(labels),
            rows_columns=list(labels.shape[1:]),
            frame_rate_hz=scan.frame_rate,
            spacing_mm=None if scan.spacing is None else list(scan.spacing),
            spacing_source=scan.spacing_source,
            notes=list(scan.notes),
            flags=flags,
            certainty=None if math.isnan(sure) else round(sure, 3),
            measured=findings.measured,
        )
        out = self.plan.outs[path]
        self.plan.claim(path, ENDINGS)
        write_label_map(labels, path, out, scan.spacing, scan.frame_rate)
        if len(labels) == 1 and is_dicom(path):
            self._write_seg(labels[0], path, out)
        if self.pictures and not unsure:
            self._write_overlays(segmented, findings, out)
        self.plan.finish(path, result.as_json(), ENDINGS)
        return result

    def _write_seg(self, labels: NDArray[np.uint8], path: Path, out: Path) -> None:
        structures = {name: self.subject.codes.get(name, codes.SCT.AnatomicalStructure) for name in self.classes[1:]}
        name, version = self.algorithm.name, self.algorithm.version
        try:
            write_dicom_seg(labels, structures, path, out, name, version, self.subject.description)
        except ValueError as error:  # a secondary capture, for example; everything else is still wanted
            LOGGER.warning("no DICOM segmentation: %s", error)

    def _write_overlays(self, segmented: Segmented, findings: Findings[M], out: Path) -> None:
        labels, scan, framing = segmented.labels, segmented.scan, segmented.framing
        shown = framing.seen if framing.sector else framing.seen & _around(labels.max(axis=0) > 0)
        if not shown.any():
            return
        names = [self.subject.titles.get(name, name.replace("_", " ")) for name in self.classes]
        display = Display(names, shown, scan.spacing, [*findings.caption, NOTE])
        overlay_png(findings.moments or [Moment(scan.frames[0], labels[0])], display, out)
        if len(labels) > 1:
            overlay_mp4(map(Moment, scan.frames, labels), display, scan.frame_rate, out)


def _around(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the box around everything that was segmented; text may be written elsewhere in the image."""
    shown = np.zeros_like(found)
    if found.any():
        rows, _ = bounding_box(found)
        shown[bounding_box(found, margin=round(MARGIN * (rows.stop - rows.start)) + 1)] = True
    return shown
