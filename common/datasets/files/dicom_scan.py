"""Stills and ultrasound clips in DICOM files: frames, pixel size, frame rate and view, but nothing of the patient."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.datadict import keyword_dict
from pydicom.uid import MPEGTransferSyntaxes

from .dicom_frames import encapsulated, frame_count, read_header
from .dicom_grey import grey_frames
from .scan import Scan, check_size, collect
from .ultrasound_regions import find_tissue, refuse_movement
from .unreadable import Unreadable, reading
from .video_scan import decode_video, plausible_rate

__all__ = ["read_dicom_scan"]

RATES = ("FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate")
TAGS = [keyword_dict[key] for key in (*RATES, "Modality", "ViewCodeSequence")]
CAPTURED = ("OT", "SC", "")  # a captured screen may have lost its modality
NO_IMAGES = ("SEG", "RTDOSE")  # have pixels that are not grey values
OTHERS = ("SEG", "SR", "PR", "KO", "ECG", "CT", "MR", "XA", "CR", "DX", "NM", "PT", "RTDOSE", "DOC", "IVUS", "OCT")
VIEWS = {  # PS3.16, context group 12226, in SNOMED CT and in the older codes of SNOMED RT
    **dict.fromkeys([("SCT", "399214001"), ("SRT", "G-A19C"), ("SNM3", "G-A19C")], "4CH"),
    **dict.fromkeys([("SCT", "399232001"), ("SRT", "G-A19B"), ("SNM3", "G-A19B")], "2CH"),
}


def read_dicom_scan(path: Path, ultrasound: bool = True) -> Scan:
    """Read every frame of a DICOM ultrasound file, or one image of another modality.

    Grey values are those of `read_dicom`, which prepares training images.

    Args:
        path: a DICOM file with preamble, under any name.
        ultrasound: refuse other modalities.

    Returns:
        The clip, with the pixel size that `find_tissue` finds.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is of a refused modality, has several frames that are not ultrasound, shows Doppler or
            M-mode alone, or is damaged, too large or compressed in a way that is not decoded here. Nothing of the file
            is quoted.
    """
    with reading(path, "DICOM"):
        header = read_header(path, TAGS)
        notes = _modality_notes(header) if ultrasound else _check_other(header)
        refuse_movement(header)
        check_size(frame_count(header), header.Rows, header.Columns)
        clip = _decoded(path, header)
        tissue = find_tissue(header, lambda: clip.frames)
        rate = (_rate(header) or clip.frame_rate) if len(clip.frames) > 1 else None
        notes = (*notes, *(tissue.notes if _may_be_ultrasound(header) else ()), *clip.notes)
        return Scan(clip.frames, tissue.spacing, tissue.source, rate, tissue.box, _view(header), notes)


def _modality_notes(header: pydicom.Dataset) -> tuple[str, ...]:
    modality = header.get("Modality") or ""
    if not _may_be_ultrasound(header):
        other = modality if modality in OTHERS else "another one"
        raise Unreadable(f"its Modality is {other}; ultrasound (US) is expected.")
    return () if modality == "US" else ("The file does not say that it is ultrasound.",)


def _check_other(header: pydicom.Dataset) -> tuple[str, ...]:
    modality = header.get("Modality") or ""
    if modality in NO_IMAGES:
        raise Unreadable(f"its Modality is {modality}; an image is expected.")
    if not _may_be_ultrasound(header) and (count := frame_count(header)) > 1:
        raise Unreadable(f"it has {count} frames and is not ultrasound; export each as an image.")
    return ()


def _may_be_ultrasound(header: pydicom.Dataset) -> bool:
    return (header.get("Modality") or "") in ("US", *CAPTURED)


def _decoded(path: Path, header: pydicom.Dataset) -> Scan:
    if header.file_meta.TransferSyntaxUID not in MPEGTransferSyntaxes:
        return Scan(collect(grey_frames(path, header)))
    promised, shape = frame_count(header), (header.Rows, header.Columns)
    header.NumberOfFrames = 1  # all of them are one stream
    clip = decode_video(io.BytesIO(b"".join(encapsulated(path, header, range(1)))))
    if clip.frames.shape[1:] != shape:
        raise Unreadable(f"its video has frames of {clip.frames.shape[1:]} pixels; its header says {shape}.")
    if len(clip.frames) != promised:
        note = f"Its video has {len(clip.frames)} frames; its header says {promised}."
        return replace(clip, notes=(*clip.notes, note))
    return clip


def _rate(header: pydicom.Dataset) -> float | None:
    """Return frames per second by the first element that holds a plausible one."""
    for keyword in RATES:
        try:
            value = header.get(keyword)
            if keyword == "FrameTimeVector":
                value = 1000 / np.mean([float(step) for step in value[1:]])  # the first is not a step
            elif keyword == "FrameTime":
                value = 1000 / float(value)
        except (TypeError, ValueError, ArithmeticError, IndexError):
            continue
        if rate := plausible_rate(value):
            return rate
    return None


def _view(header: pydicom.Dataset) -> str:
    items = header.get("ViewCodeSequence") or []
    codes = [(item.get("CodingSchemeDesignator"), item.get("CodeValue")) for item in items]
    found = {VIEWS[code] for code in codes if code in VIEWS}
    return found.pop() if len(found) == 1 else ""
