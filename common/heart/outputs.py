"""The files that one scan leaves: label map, overlays, DICOM segmentation, and the record of its measurements."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.files.scan import Scan
from ..datasets.sector.framing import Framing
from ..inference.dicom_seg import write_dicom_seg
from ..inference.label_map import write_label_map
from .overlay import Display, Moment, overlay_mp4, overlay_png
from .scan_record import NOMINAL_HEIGHT, Instant, measure_clip, measure_still

__all__ = ["measure", "write_outputs"]

LOGGER = logging.getLogger(__name__)
VERSION = "1"  # of the algorithm's name in DICOM segmentations
UNFOUND = "the ultrasound sector was not found: the network saw the whole image, the overlay shows its heart alone"
MARGIN = 0.15  # of the height of the heart, around it, where the sector was not found

Labels = NDArray[np.uint8]
Measured = tuple[dict[str, Any], list[tuple[str, Instant]]]


def measure(labels: Labels, names: Sequence[str], scan: Scan, framing: Framing, phase: str) -> Measured:
    """Measure a scan, if a left ventricle is among the classes.

    Args:
        labels: classes, (frames, rows, columns).
        names: of the classes, background first.
        scan: as it was read.
        framing: the part of it that the network saw.
        phase: "ED", "ES" or "": of a still.

    Returns:
        What goes into the record, and the moments worth showing with their titles.
    """
    scale = _scale(scan, framing)
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
        instant, facts["flags"] = measure_still(labels[0], names, scale, framing.seen)
        facts["still"] = instant.as_json()
        return facts, [({"ED": "end-diastole", "ES": "end-systole"}.get(phase, "still"), instant)]
    areas, beats, facts["flags"] = measure_clip(labels, names, scale, framing.seen, scan.frame_rate)
    facts["lv_areas"] = [None if math.isnan(area) else round(float(area), 2) for area in areas]
    facts["beats"] = [
        {"end_diastole": first.as_json(), "end_systole": second.as_json(), "whole": whole}
        for first, second, whole in beats
    ]
    titles = "end-diastole", "end-systole"
    return facts, [(title, instant) for title, instant in zip(titles, beats[0][:2], strict=True)] if beats else []


def write_outputs(
    labels: Labels,
    names: Sequence[str],
    scan: Scan,
    framing: Framing,
    moments: Sequence[tuple[str, Instant]],
    source: Path,
    out: Path,
    caption: Sequence[str],
    pictures: bool,
) -> list[Path]:
    """Write label map, DICOM segmentation of a single-frame DICOM file, and overlays; each whole or not at all.

    Args:
        labels: as for `measure`.
        names: as for `measure`.
        scan: as for `measure`.
        framing: as for `measure`.
        moments: that `measure` returned.
        source: the file that was read.
        out: path to write to, without suffix.
        caption: lines below the overlay.
        pictures: False writes no overlays.

    Returns:
        The files written.
    """
    written = [write_label_map(labels, source, out, scan.spacing, scan.frame_rate)]
    if len(labels) == 1 and _is_dicom(source):
        try:
            written.append(write_dicom_seg(labels[0], names, source, out, VERSION))
        except ValueError as error:  # a secondary capture, say; everything else is still wanted
            LOGGER.warning("no DICOM segmentation: %s", error)
    shown = framing.seen if framing.sector else _around(labels, framing.seen)
    if not pictures or not shown.any():
        return written
    display = Display(names, shown, scan.spacing, _scale(scan, framing), caption)
    stills = [
        Moment(
            scan.frames[instant.frame],
            labels[instant.frame],
            title if len(labels) == 1 else f"{title}, frame {instant.frame}",
            _chambers(instant),
        )
        for title, instant in moments
    ]
    written.append(overlay_png(stills or [Moment(scan.frames[0], labels[0])], display, out))
    if len(labels) > 1:
        clip = (Moment(frame, own) for frame, own in zip(scan.frames, labels, strict=True))
        written.append(overlay_mp4(clip, display, scan.frame_rate, out))
    return written


def _chambers(instant: Instant) -> Mapping[str, Any]:
    found = {"lv_cavity": instant.ventricle, "left_atrium": instant.atrium}
    return {name: chamber for name, chamber in found.items() if not chamber.reason}


def _scale(scan: Scan, framing: Framing) -> tuple[float, float]:
    if scan.spacing is not None:
        return scan.spacing
    top, _, bottom, _ = framing.box
    return (NOMINAL_HEIGHT / (bottom - top),) * 2


def _around(labels: Labels, seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the box around everything that was segmented, without what may be written elsewhere on the screen."""
    heart = np.asarray(labels.any(axis=0))
    shown = np.zeros_like(seen)
    if heart.any():
        rows, columns = (np.flatnonzero(np.any(heart, axis=axis)) for axis in (1, 0))
        margin = round(MARGIN * len(rows)) + 1
        shown[
            max(rows[0] - margin, 0) : rows[-1] + margin + 1, max(columns[0] - margin, 0) : columns[-1] + margin + 1
        ] = True
    return shown & seen


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
