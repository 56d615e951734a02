"""An image and its mask, two files, show the same place."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import itk
import nibabel as nib
import numpy as np
import pydicom
import pytest
from ct_series import write_series
from PIL import Image

from common.datasets.prepared.source import Frame
from common.datasets.readers.image_and_mask import read_image_and_mask

MASK = np.zeros((8, 6), np.uint8)  # columns, rows, as NIfTI stores them
MASK[1:4, 1:3] = 1


def save(path: Path, pixels: np.ndarray, axes: tuple[float, float], form: str = "sform") -> Path:
    image = nib.Nifti1Image(pixels[..., None], None)
    image.header.set_zooms([*np.abs(axes), 1.0])
    if form != "none":
        getattr(image, f"set_{form}")(np.diag([*axes, 1.0, 1.0]), 1)
    image.to_filename(path)
    return path


@pytest.mark.parametrize("form", ["sform", "qform"])
@pytest.mark.parametrize("axes", [(0.5, 0.3), (-0.5, 0.3), (0.5, -0.3)])
def test_a_mask_whose_axes_lead_elsewhere_is_refused(tmp_path: Path, form: str, axes: tuple[float, float]):
    image = save(tmp_path / "image.nii", 9 * MASK, (0.5, 0.3), form)
    mask = save(tmp_path / "mask.nii", MASK, axes, form)
    if axes == (0.5, 0.3):
        frame = read_image_and_mask(image, mask, values=(0, 1))
        np.testing.assert_array_equal(frame.image, 9 * frame.label)
        assert frame.spacing == pytest.approx((0.3, 0.5))
    else:
        with pytest.raises(ValueError, match=r"mask\.nii to . and .: the mask would be mirrored or turned\. Save it"):
            read_image_and_mask(image, mask, values=(0, 1))


def test_a_mask_that_does_not_say_how_it_lies_is_taken_as_its_image(tmp_path: Path):
    image = save(tmp_path / "image.nii", 9 * MASK, (-0.5, 0.3))
    mask = save(tmp_path / "mask.nii", MASK, (0.5, 0.3), "none")
    frame = read_image_and_mask(image, mask, values=(0, 1))
    np.testing.assert_array_equal(frame.image, 9 * frame.label)


FLAT = np.zeros((6, 8), np.uint8)  # rows, columns; no turn or flip maps it onto itself
FLAT[1:3, 1:4] = 1
IDENTITY = (1, 0, 0, 0, 1, 0)  # directions of columns and rows in LPS, as DICOM and ITK state them
CORONAL = (1, 0, 0, 0, 0, -1)
ORIGIN = (-20.0, 30.0, 5.0)
SPACING = (0.8, 0.7)  # mm, row and column


def write(path: Path, pixels: np.ndarray, directions: Sequence[float], origin: Sequence[float]) -> Path:
    """Write one slice in the format of the suffix; directions and origin in LPS."""
    column, row = np.reshape(directions, (2, 3)).astype(float)
    normal = np.cross(column, row)
    if path.suffix == ".dcm":
        values = pixels[None].astype(np.int16) - 1024  # stored from 0
        (written,) = write_series(path.with_suffix(""), values, directions, (*SPACING, 1)).iterdir()
        header = pydicom.dcmread(written)
        header.ImagePositionPatient = list(origin)
        header.save_as(path)
    elif path.suffix == ".mha":
        image = itk.image_from_array(pixels[None].copy())
        image.SetSpacing([SPACING[1], SPACING[0], 1.0])
        image.SetOrigin(list(origin))
        image.SetDirection(itk.matrix_from_array(np.stack([column, row, normal], axis=1)))
        itk.imwrite(image, path)
    else:
        affine = np.eye(4)
        affine[:3, :3] = np.stack([column * SPACING[1], row * SPACING[0], normal], axis=1)
        affine[:3, 3] = origin
        nib.Nifti1Image(pixels.T[..., None].copy(), np.diag([-1.0, -1, 1, 1]) @ affine).to_filename(path)
    return path


def mirrored(directions: Sequence[float]) -> tuple[np.ndarray, list[float], list[float]]:
    """The mask in the same place of the patient, stored from the last row to the first."""
    column, row = np.reshape(directions, (2, 3)).astype(float)
    return FLAT[::-1], [*column, *-row], [*(np.array(ORIGIN) + (len(FLAT) - 1) * SPACING[0] * row)]


FORMATS = [
    ("dcm", "nii"),
    ("dcm", "mha"),
    ("mha", "nii"),
    ("nii", "mha"),
    ("mha", "mha"),
    ("nii", "nii"),
    ("nii", "dcm"),
]


@pytest.mark.parametrize(("image", "mask"), FORMATS)
@pytest.mark.parametrize("directions", [IDENTITY, CORONAL])
def test_files_of_any_format_are_compared_in_one_place(tmp_path: Path, image: str, mask: str, directions: tuple):
    def read(*mask_place: Any) -> Frame:
        written = write(tmp_path / f"mask.{mask}", *mask_place)
        return read_image_and_mask(tmp_path / f"image.{image}", written, values=(0, 1))

    write(tmp_path / f"image.{image}", 9 * FLAT, directions, ORIGIN)
    np.testing.assert_array_equal(read(FLAT, directions, ORIGIN).label, FLAT)
    near = [place + 0.05 for place in ORIGIN]
    np.testing.assert_array_equal(read(FLAT, directions, near).label, FLAT)
    with pytest.raises(
        ValueError, match=rf"image\.{image} lead to . and ., those of .*mask\.{mask} to . and .: the mask"
    ):
        read(*mirrored(directions))
    swapped = [*directions[3:], *directions[:3]]
    with pytest.raises(ValueError, match=r"would be mirrored or turned\. Save it in the order of its image"):
        read(FLAT, swapped, ORIGIN)
    for axis in range(3):  # one of them is the neighbouring slice
        moved = [place + 10 * (at == axis) for at, place in enumerate(ORIGIN)]
        message = rf"mask\.{mask} lies from \[.*\] to \[.*\], its image .*image\.{image} from \[.*shifted\. Resample it"
        with pytest.raises(ValueError, match=message):
            read(FLAT, directions, moved)


def test_a_file_of_two_dimensions_or_several_frames_states_no_slice(tmp_path: Path):
    image = write(tmp_path / "image.dcm", 9 * FLAT, IDENTITY, ORIGIN)
    for shift in (0.0, 10.0):
        flat = itk.image_from_array(FLAT)
        flat.SetSpacing(SPACING[::-1])
        flat.SetOrigin([ORIGIN[0], ORIGIN[1] + shift])
        clip = itk.image_from_array(np.stack([0 * FLAT, FLAT]))
        clip.SetSpacing([*SPACING[::-1], 0.02])
        clip.SetOrigin([ORIGIN[0], ORIGIN[1] + shift, 0.0])
        for name, pixels, frame in (("flat", flat, None), ("clip", clip, 1)):
            for suffix in ("mha", "nii"):
                mask = tmp_path / f"{name}.{suffix}"
                itk.imwrite(pixels, mask)
                if shift:
                    with pytest.raises(ValueError, match=rf"{name}\.{suffix} lies from .* the mask would be shifted"):
                        read_image_and_mask(image, mask, values=(0, 1), mask_frame=frame)
                else:
                    read = read_image_and_mask(image, mask, values=(0, 1), mask_frame=frame)
                    np.testing.assert_array_equal(read.label, FLAT)


def test_what_does_not_state_its_place_is_taken_as_its_image(tmp_path: Path):
    image = write(tmp_path / "image.dcm", 9 * FLAT, IDENTITY, ORIGIN)
    moved = write(tmp_path / "moved.mha", FLAT, *mirrored(IDENTITY)[1:])
    Image.fromarray(FLAT).save(tmp_path / "mask.png")
    (tmp_path / "silent.mha").write_bytes(
        b"NDims = 2\nDimSize = 8 6\nElementSpacing = 0.7 0.8\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
        + FLAT.tobytes()
    )
    header = pydicom.dcmread(image)
    zeros, without = (tmp_path / f"{name}.dcm" for name in ("zeros", "without"))
    header.ImageOrientationPatient = [0, 0, 0, 0, 0, 0]
    header.save_as(zeros)
    del header.ImageOrientationPatient
    header.save_as(without)
    for one, mask in (
        (image, tmp_path / "mask.png"),
        (image, tmp_path / "silent.mha"),
        (without, moved),
        (zeros, moved),
    ):
        np.testing.assert_array_equal(read_image_and_mask(one, mask, values=(0, 1)).label, FLAT)


def test_slices_in_the_opposite_order_are_refused(tmp_path: Path):
    def stack(name: str, step: float) -> Path:
        path = tmp_path / f"{name}.nii"
        pixels = np.stack([FLAT.T, 0 * FLAT.T], axis=-1)[..., :: int(np.sign(step))]
        affine = np.diag([-SPACING[1], -SPACING[0], step, 1.0])
        affine[2, 3] = min(0.0, step) * -1
        nib.Nifti1Image(pixels.copy(), affine).to_filename(path)
        return path

    image, same, turned = stack("image", 3.0), stack("same", 3.0), stack("turned", -3.0)
    assert read_image_and_mask(image, same, (0, 1), 0, 0).label.any()
    with pytest.raises(ValueError, match=r"slices of .*image\.nii and those of .*turned\.nii follow .* opposite"):
        read_image_and_mask(image, turned, (0, 1), 0, 0)
