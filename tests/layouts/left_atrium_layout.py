"""Drawn atria in the layout of the HDF5 release of Yu et al. (UA-MT): CASE/mri_norm2.h5, train.list and test.list."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from common.datasets.phantom.atrium import draw_atrium

__all__ = ["case_name", "write_left_atrium"]

SPACING = 2.5  # mm, coarser than the release


def case_name(patient: int) -> str:
    """Return a name like those of the release."""
    return f"{patient:02d}ATRIUM{97 * patient % 1000:03d}"


def write_left_atrium(folder: Path, patients: int, seed: int = 0) -> None:
    """Write patients whose image is normalised over the scan; axes run left, back, upwards.

    Args:
        folder: an empty folder.
        patients: how many; the last fifth tests.
        seed: of the drawing.
    """
    names = [case_name(patient) for patient in range(patients)]
    for patient, name in enumerate(names):
        drawn = draw_atrium("atrium_a", patient, seed, SPACING)
        image, label = (values[::-1, ::-1] for values in (drawn.image, drawn.label))  # from RAS to LPS
        place = folder / "2018LA_Seg_Training Set" / name
        place.mkdir(parents=True)
        with h5py.File(place / "mri_norm2.h5", "w") as file:
            file.create_dataset("image", data=(image / 100).astype(np.float32), compression="gzip")
            file.create_dataset("label", data=label, compression="gzip")
    first = patients - patients // 5
    (folder / "train.list").write_text("\n".join(names[:first]) + "\n")
    (folder / "test.list").write_text("\n".join(names[first:]) + "\n")
