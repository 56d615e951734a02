"""Read scans from DICOM, video, NIfTI, MetaImage and picture files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from .dicom_scan import read_dicom_scan
from .images import ANNOTATIONS, PICTURES, read_clip
from .scan import Scan
from .unreadable import reading
from .video_scan import VIDEO_SUFFIXES, decode_video, plausible_rate

__all__ = ["read_scan", "scan_files"]

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".mhd", ".mha", *PICTURES)
SUFFIXES = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, ".dcm", ".dicom")
FINEST, COARSEST = 0.02, 5.0  # mm per pixel; echocardiograms have 0.1 to 1.5


def read_scan(
    path: Path,
    spacing: tuple[float, float] | None = None,
    frame_rate: float | None = None,
    ultrasound: bool = True,
) -> Scan:
    """Read every frame of a still or clip as upright grey values, with its spacing, frame rate and view.

    Args:
        path: .nii, .nii.gz, .mhd, .mha, a picture or a video; any other name must be DICOM.
        spacing: mm per pixel, (row, column), in place of that of the file.
        frame_rate: frames per second, in place of that of the file.
        ultrasound: refuse DICOM files of other modalities.

    Raises:
        ValueError: if the file cannot be read, or a given spacing or frame rate is impossible.

    Example:
        >>> from pydicom.data import get_testdata_file
        >>> scan = read_scan(Path(get_testdata_file("examples_ybr_color.dcm", download=False)))
        >>> scan.frames.shape, round(scan.frame_rate), round(scan.spacing[0], 2)
        ((30, 240, 320), 30, 1.02)
    """
    if spacing is not None and not _plausible(spacing):
        raise ValueError(f"spacing is {spacing} mm per pixel; allowed are two numbers from {FINEST} to {COARSEST}.")
    if frame_rate is not None and plausible_rate(frame_rate) is None:
        raise ValueError(f"frame_rate is {frame_rate} frames per second; allowed are numbers above 0 to 1000.")
    scan = _read(path, ultrasound)
    if spacing is not None:
        scan = replace(scan, spacing=spacing, spacing_source="given")
    elif scan.spacing is not None and not _plausible(scan.spacing):
        row, column = scan.spacing
        note = f"Its spacing of {row:.3g} x {column:.3g} mm is impossible and not used: give the spacing for ml."
        scan = replace(scan, spacing=None, spacing_source="", notes=(*scan.notes, note))
    return scan if frame_rate is None else replace(scan, frame_rate=frame_rate)


def scan_files(path: Path, leave_out: Path | None = None) -> list[Path]:
    """List a file, or the files of a folder and all folders in it that may be scans.

    Args:
        path: a file, which is always listed, or a folder.
        leave_out: folder that is not searched, such as one for results.

    Returns:
        Sorted files of a known suffix or with DICOM's preamble, without hidden files and annotations (`*_gt`, `*_seg`).
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is missing.")
    omitted = leave_out.resolve() if leave_out is not None else None
    found = []
    for name, folders, files in os.walk(path):
        if Path(name).resolve() == omitted:
            folders.clear()
            continue
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        found += [Path(name) / file for file in files if _may_be_scan(Path(name) / file)]
    return sorted(found)


def _read(path: Path, ultrasound: bool) -> Scan:
    name = path.name.lower()
    if name.endswith(VIDEO_SUFFIXES):
        with reading(path, "a video"):
            return decode_video(path)
    if name.endswith(IMAGE_SUFFIXES):
        frames, spacing = read_clip(path)
        return Scan(frames, spacing, "file header" if spacing else "")
    return read_dicom_scan(path, ultrasound)


def _plausible(spacing: tuple[float, float]) -> bool:
    return len(spacing) == 2 and all(FINEST <= length <= COARSEST for length in spacing)


def _may_be_scan(path: Path) -> bool:
    name = path.name.lower()
    if name.startswith(".") or path.name == "DICOMDIR" or not path.is_file():  # the list of files of a disc
        return False
    known = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)
    if known is not None:
        return not name.removesuffix(known).endswith(ANNOTATIONS)
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
