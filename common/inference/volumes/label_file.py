"""Write the label map of a volume so that it lies exactly where the volume lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...atomic import whole_file
from ...datasets.files.volume.voxels import Affine
from ..label_map import like_nifti, placed_nifti

__all__ = ["write_label_volume"]


def write_label_volume(labels: NDArray[np.uint8], source: Path, affine: Affine, out: Path) -> Path:
    """Write classes as NIfTI; return the path, `out` with `_seg.nii.gz`.

    For NIfTI, the label map has the source's shape, matrices, codes and units. For other formats it has the order of
    voxels of the source (of a DICOM series: columns, rows, slices as ITK sorts them) and its matrix.

    Args:
        labels: (i, j, k), in the order of the source.
        source: the file or folder that was segmented.
        affine: 4x4, from voxel indices to mm (right, anterior, superior), for sources other than NIfTI.
        out: path to write, without suffix.

    Raises:
        ValueError: if the labels are not uint8 (i, j, k), or do not match the source's number of voxels.

    Example:
        >>> import nibabel as nib
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     place = np.diag([-1.0, -1.0, 2.5, 1.0])
        ...     path = write_label_volume(np.ones((4, 3, 2), np.uint8), Path("a.nrrd"), place, Path(folder) / "a")
        ...     path.name, nib.load(path).affine.diagonal().tolist()
        ('a_seg.nii.gz', [-1.0, -1.0, 2.5, 1.0])
    """
    if labels.ndim != 3 or labels.dtype != np.uint8:
        raise ValueError(f"expected labels as uint8 (i, j, k), got {labels.dtype} {labels.shape}.")
    nifti = source.name.lower().endswith((".nii", ".nii.gz"))
    image = like_nifti(labels, source) if nifti and source.is_file() else placed_nifti(labels, affine, "mm")
    path = out.with_name(f"{out.name}_seg.nii.gz")
    with whole_file(path) as partial:
        image.to_filename(partial)
    return path
