"""Your own folder of volumes and masks, with a description."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import yaml

VALUES = {0: "background", 1: "bladder", 2: "rectum"}
PATTERN = {"image": "ct/{patient}.nii.gz", "label": "masks/{patient}.nii.gz"}
SHAPE = (6, 5, 4)
AFFINE = np.diag([-2.0, -2.0, 3.0, 1.0])  # axes run left, posterior, superior


def ct(number: int = 0) -> np.ndarray:
    return (np.arange(np.prod(SHAPE)).reshape(SHAPE) * 10 - 400 + number).astype(np.int16)


def mask(**boxes: tuple[int, tuple[int, int, int]]) -> np.ndarray:
    """Voxels of some values; the bladder lies in front, the rectum behind."""
    values = np.zeros(SHAPE, np.uint8)
    for value, place in boxes.values():
        values[place] = value
    return values


BOTH = mask(bladder=(1, (2, 1, 1)), rectum=(2, (2, 3, 1)))


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE, code: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    image.to_filename(path)
    return path


def write_ward(root: Path, patients: int = 3) -> Path:
    """Patients p1, p2, ... with one mask file."""
    for number in range(1, patients + 1):
        save(root / "ct" / f"p{number}.nii.gz", ct(number))
        save(root / "masks" / f"p{number}.nii.gz", BOTH)
    return root


def describe_ward(root: Path, **changes: Any) -> Path:
    """A description beside the folder; a key that is None is left out."""
    content = {"dataset": "ward", "licence": "private", "values": VALUES, "files": PATTERN} | changes
    path = root.parent / "ward.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    return path
