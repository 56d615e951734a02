"""List the volumes of a folder: files, and folders that hold the slices of a DICOM series."""

from __future__ import annotations

import os
from pathlib import Path

from ..images import ANNOTATIONS
from .dicom_series import has_slices
from .volume_file import SUFFIXES

__all__ = ["volume_files"]


def volume_files(path: Path, leave_out: Path | None = None) -> list[Path]:
    """List a file, or the volumes of a folder and all folders in it.

    Args:
        path: a file, which is always listed, or a folder.
        leave_out: folder that is not searched, such as one for results.

    Returns:
        Sorted files of a known suffix, without hidden files and annotations (`*_gt`, `*_seg`), and folders with slices
        of CT, MR or PET. A folder that holds several series is listed once.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if the folder itself is left out.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is missing.")
    omitted = leave_out.resolve() if leave_out is not None else None
    if path.resolve() == omitted:
        raise ValueError(f"{path} is read, so results cannot go there; choose another --output.")
    found = []
    for name, folders, files in os.walk(path):
        folder = Path(name)
        if folder.resolve() == omitted:
            folders.clear()
            continue
        folders[:] = [below for below in folders if not below.startswith(".")]
        found += [folder / file for file in files if _may_be_volume(file)]
        if has_slices(folder):
            found.append(folder)
    if not found:
        raise FileNotFoundError(
            f"{path}: expected NIfTI, MetaImage or NRRD volumes, or folders of CT, MR or PET slices in DICOM, got none."
        )
    return sorted(found)


def _may_be_volume(name: str) -> bool:
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)
    return (
        not name.startswith(".") and bool(suffix) and not name.lower().removesuffix(suffix or "").endswith(ANNOTATIONS)
    )
