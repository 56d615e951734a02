"""Small volumes in NIfTI files, as a prepared folder holds them, for tests."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np


def write_volume(
    folder: Path,
    name: str,
    image: np.ndarray,
    label: np.ndarray,
    dataset: str = "full",
    spacing: tuple[float, float, float] = (2.0, 2.0, 2.0),
    **more: Any,
) -> dict[str, Any]:
    """Write image and annotation, (x, y, z), uncompressed; return the item of the datalist."""
    paths = {key: folder / f"{key}s" / f"{name}.nii" for key in ("image", "label")}
    for (path, values), dtype in zip(
        ((paths["image"], image), (paths["label"], label)), (np.int16, np.uint8), strict=True
    ):
        path.parent.mkdir(exist_ok=True, parents=True)
        nib.Nifti1Image(values.astype(dtype), np.diag([*spacing, 1])).to_filename(path)
    return {
        "dataset": dataset,
        "patient": name,
        "spacing": list(spacing),
        "size": list(image.shape),
        **{key: str(path) for key, path in paths.items()},
        **more,
    }


def numbered(shape: tuple[int, ...], first: int = 0) -> np.ndarray:
    """Return a volume whose every voxel has another value, by its place."""
    return first + np.arange(np.prod(shape)).reshape(shape)
