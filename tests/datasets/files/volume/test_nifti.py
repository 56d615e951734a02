"""NIfTI volumes: the same voxels and places as nibabel and ITK read; broken and hostile headers are refused."""

import gzip
from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pytest
from own_volumes import AFFINE, ct, save

from common.datasets.files.volume.volume_file import as_labels, read_voxels
from common.datasets.files.volume.voxels import Voxels, affine_of_letters


def oblique() -> np.ndarray:
    angle = np.deg2rad(20)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.5, -1.5, 4.0])
    affine[:3, 3] = [30, 20, -10]
    return affine


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_values_and_places_are_those_of_nibabel(tmp_path: Path, suffix: str, dtype: type):
    path = save(tmp_path / f"scan{suffix}", abs(ct()).clip(0, 200).astype(dtype), oblique())
    voxels = read_voxels(path)
    np.testing.assert_array_equal(voxels.values, np.asarray(nib.load(path).dataobj))
    np.testing.assert_allclose(voxels.affine, oblique(), atol=1e-5)
    assert voxels.lengths == pytest.approx((1.5, 1.5, 4.0))


def test_places_are_those_of_itk(tmp_path: Path):
    path = save(tmp_path / "scan.nii.gz", ct(), oblique())
    affine, image = read_voxels(path).affine, itk.imread(str(path))
    for index in ((0, 0, 0), (5, 4, 3), (1, 2, 3)):
        right, anterior, superior = (affine @ [*index, 1])[:3]
        place = image.TransformIndexToPhysicalPoint(list(index))
        np.testing.assert_allclose(list(place), [-right, -anterior, superior], atol=1e-3)


def test_scaled_values_are_applied(tmp_path: Path):
    image = nib.Nifti1Image(ct().astype(np.int16), AFFINE)
    image.header.set_slope_inter(2.0, -1024)
    image.to_filename(tmp_path / "scan.nii.gz")
    voxels = read_voxels(tmp_path / "scan.nii.gz").values
    np.testing.assert_allclose(voxels, nib.load(tmp_path / "scan.nii.gz").get_fdata(), atol=1.0)
    assert voxels.dtype == np.float32


def test_a_trailing_dimension_of_one_is_dropped_and_several_are_refused(tmp_path: Path):
    save(tmp_path / "one.nii", ct()[..., None])
    assert read_voxels(tmp_path / "one.nii").values.shape == ct().shape
    save(tmp_path / "two.nii", np.stack([ct(), ct()], -1))
    with pytest.raises(ValueError, match=r"its size is \[6, 5, 4, 2\]; expected one volume"):
        read_voxels(tmp_path / "two.nii")


def test_without_codes_the_orientation_is_unknown(tmp_path: Path):
    assert read_voxels(save(tmp_path / "scan.nii", ct(), code=0)).affine is None


def test_metres_and_micrometres_become_mm(tmp_path: Path):
    image = nib.Nifti1Image(ct(), np.diag([0.002, 0.002, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    image.to_filename(tmp_path / "scan.nii")
    voxels = read_voxels(tmp_path / "scan.nii")
    assert voxels.lengths == pytest.approx((2, 2, 3))
    np.testing.assert_allclose(np.diag(voxels.affine), [2, 2, 3, 1])


def test_two_ways_how_the_axes_lie_are_refused(tmp_path: Path):
    image = nib.Nifti1Image(ct(), np.diag([2.0, 2.0, 3.0, 1.0]))
    image.set_qform(np.diag([-2.0, 2.0, 3.0, 1.0]), code=1)
    image.set_sform(image.affine, code=1)
    image.to_filename(tmp_path / "scan.nii")
    with pytest.raises(ValueError, match=r"in two ways how its axes lie: LAS and RAS \(sform and qform\)"):
        read_voxels(tmp_path / "scan.nii")
    image.set_qform(np.diag([-2.0, 2.0, 3.0, 1.0]), code=0)
    image.to_filename(tmp_path / "scan.nii")
    assert read_voxels(tmp_path / "scan.nii").affine[0, 0] == 2


def test_axes_that_are_not_at_right_angles_are_refused(tmp_path: Path):
    sheared = np.diag([2.0, 2.0, 3.0, 1.0])
    sheared[1, 2] = 0.3
    nib.Nifti1Image(ct(), sheared).to_filename(tmp_path / "scan.nii")
    with pytest.raises(ValueError, match="not at right angles"):
        read_voxels(tmp_path / "scan.nii")


def patched(path: Path, start: int, content: bytes) -> None:
    raw = bytearray(path.read_bytes())
    raw[start : start + len(content)] = content
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("start", "content", "message"),
    [
        (344, b"xxxx", "Expected a single file of NIfTI-1"),
        (40, np.array([3, 30000, 30000, 30000], "<i2").tobytes(), "size 30000 x 30000 x 30000"),
        (40, np.array([3, 0, 5, 4], "<i2").tobytes(), "size 0 x 5 x 4"),
        (40, np.array([2], "<i2").tobytes(), "expected one volume of 3 dimensions"),
        (70, np.array([128], "<i2").tobytes(), "data type 128"),
        (108, np.array([1e9], "<f4").tobytes(), "its voxels begin at byte"),
        (80, np.array([0], "<f4").tobytes(), "its voxels are"),
        (280, np.array([-7.0], "<f4").tobytes(), "in one place"),
        (280, np.array([np.nan], "<f4").tobytes(), "directions of its axes"),
    ],
)
def test_a_broken_header_is_refused_with_the_reason(tmp_path: Path, start: int, content: bytes, message: str):
    path = save(tmp_path / "scan.nii", ct())
    patched(path, start, content)
    with pytest.raises(ValueError, match=rf"scan\.nii cannot be read as NIfTI: .*{message}"):
        read_voxels(path)


def test_truncated_and_damaged_files_are_refused(tmp_path: Path):
    path = save(tmp_path / "scan.nii", ct())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="truncated, damaged or not NIfTI"):
        read_voxels(path)
    raw = bytearray(gzip.compress(save(tmp_path / "whole.nii", ct()).read_bytes()))
    raw[-6] ^= 255  # the checksum
    (tmp_path / "scan.nii.gz").write_bytes(raw)
    with pytest.raises(ValueError, match="truncated, damaged or not NIfTI"):
        read_voxels(tmp_path / "scan.nii.gz")
    with pytest.raises(FileNotFoundError, match="missing"):
        read_voxels(tmp_path / "nothing.nii")
    with pytest.raises(ValueError, match=r"is not a volume; expected \.nii"):
        read_voxels(tmp_path / "scan.txt")


def test_values_that_are_not_finite_are_refused(tmp_path: Path):
    values = ct().astype(np.float32)
    values[0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="not finite numbers"):
        read_voxels(save(tmp_path / "scan.nii", values))


def test_annotation_values_are_integers_from_0_to_255():
    def labels(values: np.ndarray) -> np.ndarray:
        return as_labels(Voxels(values, None, (1, 1, 1)), Path("mask.nii"))

    assert labels(np.array([0.0, 255.0])).tolist() == [0, 255]
    for wrong in (np.array([0.5, 1.0]), np.array([-1, 1]), np.array([0, 256], np.int16)):
        with pytest.raises(ValueError, match=r"mask\.nii holds values from .* annotation values are integers"):
            labels(wrong)


def test_letters_state_where_the_axes_run_to():
    affine = affine_of_letters("PIR", (1.0, 2.0, 3.0))
    assert nib.aff2axcodes(affine) == ("P", "I", "R")
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), [1, 2, 3])
