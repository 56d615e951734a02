"""Ultrasound stills and clips in DICOM files: frames, pixel size, frame rate and view; nothing of the patient."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.datadict import keyword_dict
from pydicom.uid import MPEGTransferSyntaxes

from .dicom_frames import encapsulated, frame_count, read_header
from .dicom_grey import grey_frames
from .gathering import check_size, gathered
from .scan import Scan
from .screen_scale import screen_scale
from .ultrasound_regions import Region, tissue_region
from .unreadable import Unreadable, reading
from .video_scan import decode_video, plausible_rate

__all__ = ["read_dicom_scan"]

Box = tuple[int, int, int, int]
RATES = ("FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate")
TAGS = [keyword_dict[key] for key in (*RATES, "Modality", "PixelSpacing", "ViewCodeSequence")]
ULTRASOUND, CAPTURED = ("US",), ("OT", "SC", "")  # a screen sent on may have lost its modality
OTHERS = ("SEG", "SR", "PR", "KO", "ECG", "CT", "MR", "XA", "CR", "DX", "NM", "PT", "RTDOSE", "DOC", "IVUS", "OCT")
VIEWS = {  # PS3.16, context group 12226, in SNOMED CT and in the older codes of SNOMED RT
    **dict.fromkeys([("SCT", "399214001"), ("SRT", "G-A19C"), ("SNM3", "G-A19C")], "4CH"),
    **dict.fromkeys([("SCT", "399232001"), ("SRT", "G-A19B"), ("SNM3", "G-A19B")], "2CH"),
}


def read_dicom_scan(path: Path) -> Scan:
    """Read every frame of a DICOM ultrasound file.

    Args:
        path: a DICOM file with preamble, under any name.

    Returns:
        The clip, with the pixel size of the largest two-dimensional ultrasound region, else that of PixelSpacing.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no ultrasound image, shows Doppler or M-mode alone, or is damaged, too large or
            compressed in a way that is not decoded here. Nothing of the file is quoted.
    """
    with reading(path, "DICOM"):
        header = read_header(path, TAGS)
        notes = list(_modality_notes(header))
        regions = header.get("SequenceOfUltrasoundRegions") or []
        region = tissue_region(regions) if regions else None
        check_size(frame_count(header), header.Rows, header.Columns)
        frames, rate, remarks = _decoded(path, header)
        told = _rate(header) or rate
        box, spacing, source = None, *_pixel_spacing(header)
        if region is not None:
            notes += region.notes
            box, spacing, comments = _on_screen(region, frames)
            notes += comments
            source = "ultrasound region" if spacing else ""
        elif spacing:
            notes.append("The pixel size is that of PixelSpacing, which is often wrong in ultrasound.")
        frame_rate = told if len(frames) > 1 else None
        return Scan(frames, spacing, source, frame_rate, box, _view(header), (*notes, *remarks))


def _modality_notes(header: pydicom.Dataset) -> Sequence[str]:
    modality = header.get("Modality") or ""
    if modality in ULTRASOUND:
        return ()
    if modality in CAPTURED:
        return ("The file does not say that it is ultrasound.",)
    other = modality if modality in OTHERS else "another one"
    raise Unreadable(f"its Modality is {other}; ultrasound (US) is expected.")


def _decoded(path: Path, header: pydicom.Dataset) -> tuple[NDArray[np.uint8], float | None, tuple[str, ...]]:
    if header.file_meta.TransferSyntaxUID not in MPEGTransferSyntaxes:
        return gathered(grey_frames(path, header)), None, ()
    promised, shape = frame_count(header), (header.Rows, header.Columns)
    header.NumberOfFrames = 1  # all of them are one stream
    frames, rate, notes = decode_video(io.BytesIO(b"".join(encapsulated(path, header))))
    if frames.shape[1:] != shape:
        raise Unreadable(f"its video has frames of {frames.shape[1:]} pixels; its header says {shape}.")
    if len(frames) != promised:
        notes = (*notes, f"Its video has {len(frames)} frames; its header says {promised}.")
    return frames, rate, notes


def _on_screen(
    region: Region, frames: NDArray[np.uint8]
) -> tuple[Box | None, tuple[float, float] | None, Sequence[str]]:
    """Bring a region from the screen to the picture."""
    if region.box is None:
        return None, region.spacing, ()
    scale = screen_scale(frames, region.box)
    if scale is None:
        note = "Its ultrasound region lies beyond the image, so the pixel size is unknown: give the spacing for ml."
        return None, None, (note,)
    rows, columns = frames.shape[1:]
    top, left, bottom, right = (round(edge / scale) for edge in region.box)
    box = max(top, 0), max(left, 0), min(bottom, rows), min(right, columns)
    if box[0] >= box[2] or box[1] >= box[3]:
        return None, region.spacing, ("Its ultrasound region is empty; the whole image is looked at.",)
    if scale == 1:
        beyond = bottom > rows + 2 or right > columns + 2
        return box, region.spacing, ("The image cuts its ultrasound region off.",) if beyond else ()
    spacing = (region.spacing[0] * scale, region.spacing[1] * scale) if region.spacing else None
    note = f"The image is its screen shrunk {scale:.3g}-fold; box and pixel size are corrected for it."
    return box, spacing, (note,)


def _pixel_spacing(header: pydicom.Dataset) -> tuple[tuple[float, float] | None, str]:
    try:
        row, column = (float(length) for length in header.get("PixelSpacing") or ())
    except (TypeError, ValueError):
        return None, ""
    return (row, column), "PixelSpacing"


def _rate(header: pydicom.Dataset) -> float | None:
    """Return frames per second by the first element that tells a plausible one."""
    for keyword in RATES:
        try:
            value = header.get(keyword)
            if keyword == "FrameTimeVector":
                value = 1000 / np.mean([float(step) for step in value[1:]])  # the first is no step
            elif keyword == "FrameTime":
                value = 1000 / float(value)
        except (TypeError, ValueError, ArithmeticError, IndexError):
            continue
        if rate := plausible_rate(value):
            return rate
    return None


def _view(header: pydicom.Dataset) -> str:
    codes = [
        (item.get("CodingSchemeDesignator"), item.get("CodeValue")) for item in header.get("ViewCodeSequence") or []
    ]
    found = {VIEWS[code] for code in codes if code in VIEWS}
    return found.pop() if len(found) == 1 else ""
