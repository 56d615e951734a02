"""Volumes in NRRD files (3D Slicer): the header is checked here, ITK reads the voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..unreadable import Unreadable
from .voxels import TO_RAS, Voxels, check_lengths, check_size

__all__ = ["read_nrrd"]

MAX_HEADER = 2**20  # bytes; segmentations of Slicer describe every segment
SPACES = {"left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las"}
TYPES = ("char", "short", "int", "long", "float", "double", "int8", "int16", "int32", "int64")  # with or without "u"


def read_nrrd(path: Path) -> Voxels:
    """Read a NRRD volume with its voxels in the same file; without a space its orientation is unknown.

    Raises:
        Unreadable: if it is not one.
    """
    fields = _fields(path)
    if {"data file", "datafile"} & fields.keys():
        raise Unreadable("its voxels are in another file. Save it as one .nrrd file.")
    if fields.get("encoding") not in ("raw", "gzip", "gz"):
        raise Unreadable(f"encoding {fields.get('encoding')!r} is not read. Save it with gzip.")
    if not any(kind in fields.get("type", "") for kind in TYPES):
        raise Unreadable(f"type {fields.get('type')!r} is not single numbers.")
    if not {"spacings", "space directions"} & fields.keys():
        raise Unreadable("it states no spacing. Save it with spacing and directions.")
    check_size([int(size) for size in fields.get("sizes", "").split()])
    import itk  # slow to import, and needed for this format alone

    image = itk.imread(str(path))
    values = itk.array_from_image(image).T
    lengths = check_lengths(list(image.GetSpacing()))
    if values.ndim != 3:
        raise Unreadable("it has several channels. Save one volume.")
    if fields.get("space", "").lower() not in SPACES:
        return Voxels(values, None, lengths)
    axes = np.eye(4)
    axes[:3, :3] = itk.array_from_matrix(image.GetDirection()) * lengths
    axes[:3, 3] = list(image.GetOrigin())
    return Voxels(values, TO_RAS @ axes, lengths)


def _fields(path: Path) -> dict[str, str]:
    """Read the header: lines of 'key: value' up to an empty one."""
    with path.open("rb") as file:
        head = file.read(MAX_HEADER)
    lines = head.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("latin-1").splitlines()
    if not lines or not lines[0].startswith("NRRD000"):
        raise Unreadable("its first line is not that of a NRRD file.")
    pairs = (line.partition(": ") for line in lines[1:] if not line.startswith("#"))
    return {key.strip().lower(): value.strip() for key, colon, value in pairs if colon}
