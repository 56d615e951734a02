"""Write label maps in the format, geometry and orientation of the source file."""

from __future__ import annotations

import gzip
from pathlib import Path

import itk
import numpy as np
from nibabel.nifti1 import Nifti1Header, Nifti1Image
from numpy.typing import NDArray
from PIL import Image

from ..atomic import whole_file
from ..datasets.files.images import PICTURES
from ..datasets.files.volume.plane import read_plane
from ..datasets.files.volume.voxels import spacing_of_affine

__all__ = ["like_nifti", "placed_nifti", "write_label_map"]

# fields that place a NIfTI image in space and time; the free text of a header and its extensions may name a patient
GEOMETRY = (
    *("pixdim", "xyzt_units", "toffset", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK axes point left and back, those of NIfTI right and front


def write_label_map(
    labels: NDArray[np.uint8], source: Path, out: Path, spacing: tuple[float, float] | None, frame_rate: float | None
) -> Path:
    """Write classes so that viewers overlay them on the source.

    For NIfTI, the label map has the source's shape, affine, codes and units; for MetaImage, its affine. DICOM and clips
    become NIfTI as in the release of CAMUS: (columns, rows, frames), affine diag(-column, -row, 1), the time between
    frames in pixdim[4]; DICOM that states where it lies keeps its place. A single picture becomes an 8-bit PNG whose
    grey values are the classes.

    Args:
        labels: class of each pixel, upright, (frames, rows, columns).
        source: the file that was segmented.
        out: path to write, without suffix; `_seg.nii.gz` or `_seg.png` is added.
        spacing: mm per pixel, (row, column), for sources other than NIfTI and MetaImage; None if unknown: pixels of
            side 1 in an unknown unit.
        frame_rate: of a clip, frames per second; None if unknown.

    Raises:
        ValueError: if the labels are not uint8 (frames, rows, columns), or do not match the source's number of pixels.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = write_label_map(np.ones((1, 4, 6), np.uint8), Path("a.png"), Path(folder) / "a", None, None)
        ...     path.name, np.asarray(Image.open(path)).shape
        ('a_seg.png', (4, 6))
    """
    if labels.ndim != 3 or labels.dtype != np.uint8:
        raise ValueError(f"expected labels as uint8 (frames, rows, columns), got {labels.dtype} {labels.shape}.")
    name = source.name.lower()
    if source.suffix.lower() in PICTURES and len(labels) == 1:
        path = out.with_name(f"{out.name}_seg.png")
        with whole_file(path) as partial:
            Image.fromarray(labels[0]).save(partial)
        return path
    columns_first = labels.transpose(2, 1, 0)
    if name.endswith((".nii", ".nii.gz")):
        image = like_nifti(columns_first, source)
    elif name.endswith((".mhd", ".mha")):
        image = _like_metaimage(columns_first, source)
    else:
        image = _from_spacing(columns_first, source, spacing, frame_rate)
    path = out.with_name(f"{out.name}_seg.nii.gz")
    with whole_file(path) as partial:
        image.to_filename(partial)
    return path


def like_nifti(labels: NDArray[np.uint8], source: Path) -> Nifti1Image:
    """Return labels, (columns, rows, others), as an image with the shape and the place of a NIfTI file."""
    with gzip.open(source) if source.suffix.lower() == ".gz" else source.open("rb") as file:
        theirs = Nifti1Header.from_fileobj(file, check=False)  # only the 348 bytes, no extensions
    image = Nifti1Image(_shaped(labels, theirs.get_data_shape(), source), None)
    for field in GEOMETRY:
        image.header[field] = theirs[field]
    return image


def _like_metaimage(labels: NDArray[np.uint8], source: Path) -> Nifti1Image:
    theirs = itk.MetaImageIO.New(FileName=str(source))
    theirs.ReadImageInformation()  # the header only
    axes = range(theirs.GetNumberOfDimensions())
    spatial = axes[:3]
    affine = np.eye(4)
    for axis in spatial:
        affine[: len(spatial), axis] = np.array(theirs.GetDirection(axis))[: len(spatial)] * theirs.GetSpacing(axis)
        affine[axis, 3] = theirs.GetOrigin(axis)
    shape = tuple(theirs.GetDimensions(axis) for axis in axes)
    return placed_nifti(_shaped(labels, shape, source), LPS_TO_RAS @ affine, "mm")


def _from_spacing(
    labels: NDArray[np.uint8], source: Path, spacing: tuple[float, float] | None, frame_rate: float | None
) -> Nifti1Image:
    row, column = spacing or (1.0, 1.0)
    still = labels.shape[2] == 1
    affine = LPS_TO_RAS @ np.diag([column, row, 1.0, 1.0])
    plane = read_plane(source)
    if plane is not None and np.allclose(spacing_of_affine(plane.affine)[:2], (column, row), rtol=1e-3):
        affine = plane.affine  # not if another spacing was given
    image = placed_nifti(labels[..., 0] if still else labels, affine, "mm" if spacing else "unknown")
    if frame_rate and not still:
        image.header.set_xyzt_units(xyz="mm" if spacing else "unknown", t="sec")
        image.header["pixdim"][4] = 1 / frame_rate
    return image


def placed_nifti(labels: NDArray[np.uint8], affine: NDArray[np.float64], unit: str) -> Nifti1Image:
    """Return labels as an image at a place, 4x4, in RAS."""
    image = Nifti1Image(labels, affine)
    image.set_qform(affine, code="scanner")
    image.set_sform(affine, code="scanner")
    image.header.set_xyzt_units(xyz=unit)
    return image


def _shaped(labels: NDArray[np.uint8], shape: tuple[int, ...], source: Path) -> NDArray[np.uint8]:
    columns, rows, frames = labels.shape
    if shape[:2] != (columns, rows) or int(np.prod(shape)) != labels.size:
        raise ValueError(
            f"{source}: expected labels for {' x '.join(map(str, shape))} pixels, got {columns} x {rows} x {frames} "
            "(columns, rows, frames); segment all frames at their own resolution."
        )
    return labels.reshape(shape, order="F")  # frames may be on any axis after the rows
