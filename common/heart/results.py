"""Write what every scan shows, and at the end what the studies measure, as a handler of an evaluator."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.utils import CommonKeys
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from ..atomic import write_text
from ..inference.segmentation import certainty, clean, cleaning_flags, label_maps
from .biomarkers.volumes import body_surface_area
from .file_names import SUFFIX, recognise
from .outputs import Segmented, measure, write_outputs
from .study import COLUMNS, group, measure_study

__all__ = ["Results"]

UNSURE = 0.85  # mean probability of what was segmented
NOTE = "Research only, not for diagnosis."
CAPTION = {  # column -> its words and unit below an overlay
    "lv_ef": ("EF", "%"),
    "lv_edv": ("EDV", "ml"),
    "lv_esv": ("ESV", "ml"),
    "lv_volume": ("LV volume", "ml"),
    "la_volume": ("LA volume", "ml"),
}


class Results:
    """Write label maps, overlays and measurements of scans; finished scans of an earlier run are not repeated.

    A scan `a/b.nii.gz` of the input folder gives `a/b_seg.nii.gz` (or .png), `a/b_overlay.png`, `a/b_overlay.mp4` for a
    clip, `a/b_seg.dcm` for a single-frame DICOM file, and `a/b.json`; all scans together give `measurements.csv` and
    `measurements.json`, one row per study. File names are kept, so they should not name anyone; nothing else that
    identifies a patient is written.

    Args:
        folder: where everything goes.
        source: file or folder that is read.
        classes: names, background first.
        made_by: what determines the results (weights, sizes, options): a scan is repeated if it changed.
        smallest_piece: minimum size of a piece as a fraction of the largest one of its class; 1 keeps only the largest,
            0 keeps all.
        pictures: write overlays.
        patient: height (cm), weight (kg), sex ("F" or "M") of the only patient in the input; all optional.

    Raises:
        ValueError: if `patient` has other keys, or `smallest_piece` is not a fraction.
    """

    def __init__(
        self,
        folder: str | Path,
        source: str | Path,
        classes: Sequence[str],
        made_by: Mapping[str, Any],
        smallest_piece: float = 0.2,
        pictures: bool = True,
        patient: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.source = Path(source)
        self.classes = list(classes)
        self.made_by = {**made_by, "smallest_piece": smallest_piece, "pictures": pictures}
        if not 0 <= smallest_piece <= 1:
            raise ValueError(f"expected smallest_piece as a fraction of the largest, 0 to 1, got {smallest_piece}.")
        self.smallest_piece = smallest_piece
        self.pictures = pictures
        self.patient = dict(patient or {})
        if unknown := self.patient.keys() - {"height", "weight", "sex"}:
            raise ValueError(f"unknown patient keys {sorted(unknown)}; allowed: height (cm), weight (kg), sex (F, M).")
        if ("height" in self.patient) != ("weight" in self.patient):
            raise ValueError("expected both height and weight of the patient, got one; body surface area needs both.")
        self._outs: dict[Path, Path] = {}
        self._records: dict[Path, dict[str, Any]] = {}
        self._failed: dict[Path, str] = {}

    def plan(self, paths: Sequence[Path]) -> None:
        """Set what will be read, and find what an earlier run finished; the dataset calls it once.

        Raises:
            ValueError: if the paths belong to several studies although one patient is described.
        """
        named = [self._named(path) for path in paths]
        stems = [path.with_name(SUFFIX.sub("", path.name) or path.name) for path in named]
        self._outs = {
            path: self.folder / (stem if stems.count(stem) == 1 else stem.with_name(path.name))
            for path, stem in zip(paths, stems, strict=True)
        }
        studies = {recognise(path)[0] for path in paths}
        if self.patient and len(studies) > 1:
            raise ValueError(f"expected one study, since patient is given, got {len(studies)} in {self.source}.")
        self._records = {path: record for path in paths if (record := self._finished(path)) is not None}

    def __contains__(self, path: Path) -> bool:
        return path in self._records

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._scan)
        engine.add_event_handler(Events.COMPLETED, self._complete)

    def _start(self, engine: Engine) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._bar = tqdm(total=engine.state.epoch_length, unit=" scans", dynamic_ncols=True)

    def _scan(self, engine: Engine) -> None:
        item, logits = engine.state.batch, engine.state.output[CommonKeys.PRED]
        path = item["path"]
        if item["error"]:
            self._failed[path] = item["error"]
            tqdm.write(f"left out: {item['error']}")
        elif path not in self:
            self._records[path] = self._one(path, item, logits)
        self._bar.update()

    def _one(self, path: Path, item: Mapping[str, Any], logits: Any) -> dict[str, Any]:
        scan, framing = item["scan"], item["framing"]
        found = label_maps(logits, framing)
        labels = clean(found, len(self.classes), self.smallest_piece)
        study, view, phase = recognise(self._named(path))
        segmented = Segmented(labels, self.classes, scan, framing)
        facts, moments = measure(segmented, phase)
        facts["flags"] += cleaning_flags(found, labels, self.classes)
        sure = certainty(logits)
        facts["certainty"] = None if math.isnan(sure) else round(sure, 3)
        if sure < UNSURE:
            doubt = "is this an apical view of a heart? No overlay: what looks like a sector may be text"
            facts["flags"].append(f"the network is unsure ({sure:.2f}): {doubt}")
        record = {"input": str(self._named(path)), "study": study, "view": view or scan.view, "phase": phase, **facts}
        out = self._outs[path]
        out.parent.mkdir(parents=True, exist_ok=True)
        pictures = self.pictures and not sure < UNSURE
        write_outputs(segmented, moments, path, out, _caption(record), pictures)
        record["made"] = self._made(path)
        # last: it marks the scan as complete
        write_text(out.with_name(f"{out.name}.json"), json.dumps(record, indent=1) + "\n")
        return record

    def _complete(self, _: Engine) -> None:
        self._bar.close()
        records = [self._records[path] for path in self._outs if path in self._records]
        if not records:
            raise ValueError("; ".join(self._failed.values()) or f"{self.source} has nothing to read.")
        both = {"height", "weight"} <= self.patient.keys()
        surface = body_surface_area(self.patient["height"], self.patient["weight"]) if both else None
        studies = {name: measure_study(own, surface, self.patient.get("sex")) for name, own in group(records).items()}
        failed = {str(self._named(path)): reason for path, reason in self._failed.items()}
        content = {"note": NOTE, "units": COLUMNS, "studies": studies, "left_out": failed, "made_by": self.made_by}
        write_text(self.folder / "measurements.json", json.dumps(content, indent=1) + "\n")
        table = self.folder / "measurements.csv"
        write_text(table, _csv(studies))
        console = Console()
        console.print(_table(studies))
        console.print(f"{len(records)} scans, {len(studies)} studies: {table}", soft_wrap=True)
        if failed:
            raise ValueError(
                f"{len(failed)} of {len(failed) + len(records)} files were left out, all others are done; see the "
                f"reasons in {self.folder / 'measurements.json'}: {', '.join(sorted(failed)[:5])}"
            )

    def _named(self, path: Path) -> Path:
        return path.relative_to(self.source) if self.source.is_dir() else Path(path.name)

    def _made(self, path: Path) -> dict[str, Any]:
        about = path.stat()
        return {**self.made_by, "bytes": about.st_size, "changed": about.st_mtime_ns}

    def _finished(self, path: Path) -> dict[str, Any] | None:
        """Return the record that an earlier run left of a scan, if a new one would be the same."""
        out = self._outs[path]
        try:
            record: dict[str, Any] = json.loads(out.with_name(f"{out.name}.json").read_text(encoding="utf-8"))
            return record if record["made"] == json.loads(json.dumps(self._made(path))) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _caption(record: Mapping[str, Any]) -> list[str]:
    if not (record.get("beats") or record.get("still")):
        return [NOTE]
    found = measure_study([record])
    shown = ((found[column], name, unit) for column, (name, unit) in CAPTION.items())
    values = [f"{name} {value:.0f} {unit}" for value, name, unit in shown if value is not None]
    return [", ".join([record["view"] or "view unknown", *values]), NOTE]


def _csv(studies: Mapping[str, Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    units = [f"{name} ({unit})" for name, unit in COLUMNS.items()]
    writer.writerow(["study", "method", "beats", *units, "spacing_source", "grades", "flags"])
    for name, study in studies.items():
        facts = (study[column] for column in ("method", "beats", *COLUMNS, "spacing_source"))  # None is an empty cell
        grades = (f"{quantity}: {words}" for quantity, words in study["grades"].items())
        writer.writerow([name, *facts, "; ".join(grades), "; ".join(study["flags"])])
    return text.getvalue()


def _table(studies: Mapping[str, Mapping[str, Any]], most: int = 20) -> Table:
    table = Table(title=f"Measurements ({NOTE})" + (f", the first {most}" if len(studies) > most else ""))
    for title in ("study", "method", "EF %", "EDV ml", "ESV ml", "LA ml", "flags"):
        table.add_column(title, justify="left" if title in ("study", "method") else "right")
    for name, study in list(studies.items())[:most]:
        values = [study[column] for column in ("lv_ef", "lv_edv", "lv_esv", "la_volume")]
        cells = ["-" if value is None else f"{value:.0f}" for value in values]
        table.add_row(name, study["method"], *cells, str(len(study["flags"])))
    return table
