"""Measure one scan and write its files: label map, overlays and DICOM segmentation."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.misc import is_dicom
from pydicom.sr.codedict import codes

from ..contours import bounding_box
from ..datasets.files.scan import Scan
from ..datasets.sector.framing import Framing
from ..inference.dicom_seg import write_dicom_seg
from ..inference.label_map import write_label_map
from .overlay import Display, Moment, overlay_mp4, overlay_png
from .scan_record import NOMINAL_HEIGHT, Instant, measure_clip, measure_still

__all__ = ["Segmented", "measure", "write_outputs"]

LOGGER = logging.getLogger(__name__)
BUNDLE, VERSION = "echo_segmentation", "1"  # the algorithm in DICOM segmentations
DESCRIPTION = "Segmentation of the left heart"
STRUCTURES = {  # SNOMED CT, as worded in the code lists of DICOM
    "lv_cavity": codes.SCT.LeftVentricle,
    "lv_myocardium": codes.SCT.LeftVentricleMyocardium,
    "left_atrium": codes.SCT.LeftAtrium,
}
UNFOUND = "the ultrasound sector was not found: the network saw the whole image, the overlay shows its heart alone"
MARGIN = 0.15  # of the height of the heart, around it, where the sector was not found
WORDS = {"ED": "end-diastole", "ES": "end-systole", "": "still"}


@dataclass(frozen=True)
class Segmented:
    """A scan with its label maps.

    Args:
        labels: classes, (frames, rows, columns).
        names: classes, background first.
        scan: as it was read.
        framing: the part of it that the network saw.
    """

    labels: NDArray[np.uint8]
    names: Sequence[str]
    scan: Scan
    framing: Framing

    @property
    def scale(self) -> tuple[float, float]:
        """Mm per pixel, (row, column), for measurements; nominal where the spacing is unknown."""
        top, _, bottom, _ = self.framing.box
        return self.scan.spacing or (NOMINAL_HEIGHT / (bottom - top),) * 2

    def moment(self, instant: Instant, title: str) -> Moment:
        """Return the frame of an instant with its chambers, for an overlay."""
        chambers = (instant.ventricle, instant.atrium)
        return Moment(self.scan.frames[instant.frame], self.labels[instant.frame], title, chambers)


def measure(segmented: Segmented, phase: str) -> tuple[dict[str, Any], list[Moment]]:
    """Return facts for the record, measurements if a left ventricle is among the classes, and moments worth showing.

    Args:
        segmented: a still or a clip.
        phase: "ED", "ES" or "": of a still.
    """
    labels, names, scan, framing = segmented.labels, segmented.names, segmented.scan, segmented.framing
    facts: dict[str, Any] = {
        "frames": len(labels),
        "rows_columns": list(labels.shape[1:]),
        "frame_rate_hz": scan.frame_rate,
        "spacing_mm": None if scan.spacing is None else list(scan.spacing),
        "spacing_source": scan.spacing_source,
        "length_unit": "mm" if scan.spacing else f"1/{NOMINAL_HEIGHT:.0f} of the sector's height",
        "notes": [*scan.notes, *([] if framing.sector else [UNFOUND])],
        "flags": [],
    }
    if "lv_cavity" not in names:
        return facts, []
    if len(labels) == 1:
        instant, facts["flags"] = measure_still(labels[0], names, segmented.scale, framing.seen)
        facts["still"] = instant.as_json()
        return facts, [segmented.moment(instant, WORDS[phase])]
    areas, beats, facts["flags"] = measure_clip(labels, names, segmented.scale, framing.seen, scan.frame_rate)
    facts["lv_areas"] = [None if math.isnan(area) else round(float(area), 2) for area in areas]
    facts["beats"] = [
        {"end_diastole": first.as_json(), "end_systole": second.as_json(), "whole": whole}
        for first, second, whole in beats
    ]
    shown = zip(("ED", "ES"), beats[0][:2], strict=True) if beats else ()
    return facts, [segmented.moment(own, f"{WORDS[name]}, frame {own.frame}") for name, own in shown]


def write_outputs(
    segmented: Segmented, moments: Sequence[Moment], source: Path, out: Path, caption: Sequence[str], pictures: bool
) -> None:
    """Write label map, overlays if `pictures`, and DICOM segmentation of a single-frame file; `out` has no suffix."""
    labels, names, scan, framing = segmented.labels, segmented.names, segmented.scan, segmented.framing
    write_label_map(labels, source, out, scan.spacing, scan.frame_rate)
    if len(labels) == 1 and is_dicom(source):
        structures = {name: STRUCTURES.get(name, codes.SCT.AnatomicalStructure) for name in names[1:]}
        try:
            write_dicom_seg(labels[0], structures, source, out, BUNDLE, VERSION, DESCRIPTION)
        except ValueError as error:  # a secondary capture, for example; everything else is still wanted
            LOGGER.warning("no DICOM segmentation: %s", error)
    shown = framing.seen if framing.sector else framing.seen & _around(labels.max(axis=0) > 0)
    if not pictures or not shown.any():
        return
    display = Display(names, shown, scan.spacing, segmented.scale, caption)
    overlay_png(moments or [Moment(scan.frames[0], labels[0])], display, out)
    if len(labels) > 1:
        overlay_mp4(map(Moment, scan.frames, labels), display, scan.frame_rate, out)


def _around(heart: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the box around everything that was segmented; text may be written elsewhere on the screen."""
    shown = np.zeros_like(heart)
    if heart.any():
        rows, _ = bounding_box(heart)
        shown[bounding_box(heart, margin=round(MARGIN * (rows.stop - rows.start)) + 1)] = True
    return shown
