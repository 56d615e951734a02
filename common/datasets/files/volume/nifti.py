"""Volumes in NIfTI-1 files, whose header is checked before memory is allocated."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.nifti1 import Nifti1Header, data_type_codes
from nibabel.orientations import aff2axcodes

from ..images import MAX_EXTENSIONS, NIFTI_UNITS
from ..unreadable import Unreadable
from .voxels import Affine, Voxels, check_lengths, check_size

__all__ = ["nifti_affine", "read_nifti"]


def read_nifti(path: Path) -> Voxels:
    """Read a single-file NIfTI-1 volume; further dimensions must have size 1.

    Raises:
        Unreadable: if it is not one.
    """
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        block = file.read(348).ljust(348, b"\0")
        order = "<" if block[:4] == (348).to_bytes(4, "little") else ">"  # nibabel would guess it from the dimensions
        header = Nifti1Header(block, order, check=False)
        if header["magic"] != b"n+1" or header["sizeof_hdr"] != 348:
            raise Unreadable("truncated or not a volume? Expected a single file of NIfTI-1; save it again.")
        rank, *sizes = header["dim"].tolist()
        if not 3 <= rank <= 7 or any(size != 1 for size in sizes[3:rank]):
            raise Unreadable(f"its size is {sizes[: max(0, rank)]}; expected one volume of 3 dimensions. Split it.")
        check_size(sizes[:3])
        code, unit, start = int(header["datatype"]), int(header["xyzt_units"]) & 7, float(header["vox_offset"])
        if code not in data_type_codes.dtype or header.get_data_dtype().kind not in "iuf":
            raise Unreadable(f"data type {code} is not single numbers; multi-channel volumes are not read.")
        if unit not in NIFTI_UNITS:
            raise Unreadable(f"unit {unit} is not a length; allowed are {list(NIFTI_UNITS)}.")
        if not 348 <= start <= MAX_EXTENSIONS:
            raise Unreadable(f"its voxels begin at byte {start}, allowed are 348 to {MAX_EXTENSIONS}.")
        scale = NIFTI_UNITS[unit]
        lengths = check_lengths([abs(float(length)) * scale for length in header["pixdim"][1:4]])
        if header["sform_code"] and header["qform_code"]:
            _check_axes(header)
        affine = nifti_affine(header)
        slope, intercept = header.get_slope_inter()
        scaling = (1.0, 0.0) if slope is None else (slope, intercept)
        stored = (tuple(sizes[:3]), header.get_data_dtype(), int(start), *scaling)
        proxy = ArrayProxy(file, stored, mmap=False)
        # float32 holds every scaled 16-bit value to a ten-thousandth
        values = np.asarray(proxy, None if scaling == (1.0, 0.0) else np.float32)
        file.read(1)  # where gzip's stream ends it compares its checksum
        return Voxels(values, affine, lengths)


def nifti_affine(header: Nifti1Header) -> Affine | None:
    """Return where voxels lie, 4x4, in mm (right, anterior, superior); None if the header does not say so."""
    if not (header["sform_code"] or header["qform_code"]):
        return None
    scale = NIFTI_UNITS[int(header["xyzt_units"]) & 7]
    affine: Affine = np.diag([scale, scale, scale, 1.0]) @ header.get_best_affine()
    return affine


def _check_axes(header: Nifti1Header) -> None:
    """Refuse a header with two places that are mirrored or turned: programs differ in which one they read."""
    letters: set[str] = set()
    with suppress(ValueError, np.linalg.LinAlgError):  # a damaged matrix is refused later, if it is used
        letters = {"".join(map(str, aff2axcodes(one))) for one in (header.get_sform(), header.get_qform())}
    if len(letters) > 1:
        raise Unreadable(
            f"its header says in two ways how its axes lie: {' and '.join(sorted(letters))} (sform and qform). "
            "Correct the wrong one."
        )
