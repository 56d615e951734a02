"""Label maps, read back by nibabel, ITK and Pillow."""

import re
from pathlib import Path

import itk
import nibabel
import numpy as np
import pytest
from ct_series import write_series
from nibabel.nifti1 import Nifti1Extension, Nifti1Image
from PIL import Image

from common.datasets.readers.image_and_mask import read_image_and_mask
from common.inference.label_map import write_label_map

OBLIQUE = np.array([[-0.3, 0.02, 0, 12], [0.01, -0.4, 0.1, -7], [0, 0.05, 1.5, 3], [0, 0, 0, 1]])


def classes(frames: int = 1) -> np.ndarray:
    """Classes that no transposition or flip maps onto themselves, (frames, 20, 30)."""
    return (np.add.outer(np.arange(frames), np.add.outer(np.arange(20) * 3, np.arange(30))) % 7 % 4).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("shape", [(30, 20), (30, 20, 1), (30, 20, 5), (30, 20, 2, 3)])
def test_nifti_keeps_the_geometry_of_its_source(tmp_path: Path, suffix: str, shape: tuple[int, ...]):
    source = tmp_path / f"a{suffix}"
    image = Nifti1Image(np.zeros(shape, np.float32), OBLIQUE)
    image.set_qform(np.diag([-0.3, -0.4, 1, 1]), code=2)
    image.set_sform(OBLIQUE, code=4)
    image.header.set_xyzt_units("micron", "msec")
    image.header["descrip"] = b"DOE^JANE"
    image.header.extensions.append(Nifti1Extension("comment", b"DOE^JANE"))
    image.to_filename(source)
    labels = classes(int(np.prod(shape[2:])))
    path = write_label_map(labels, source, tmp_path / "a", (9.0, 9.0), 33.0)
    assert path == tmp_path / "a_seg.nii.gz"
    written, theirs = nibabel.load(path), nibabel.load(source)
    assert written.shape == shape
    assert written.get_data_dtype() == np.uint8
    frames = np.asarray(written.dataobj).reshape(30, 20, -1, order="F")  # as they follow one another in the file
    np.testing.assert_array_equal(frames.transpose(2, 1, 0), labels)
    np.testing.assert_array_equal(written.affine, theirs.affine)
    for key in ("qform_code", "sform_code", "xyzt_units", "pixdim"):
        np.testing.assert_array_equal(written.header[key], theirs.header[key], err_msg=key)
    np.testing.assert_array_equal(written.get_qform(), theirs.get_qform())
    assert not written.header.extensions
    assert b"DOE" not in written.header.binaryblock


@pytest.mark.parametrize("suffix", [".mhd", ".mha"])
@pytest.mark.parametrize("frames", [1, 4])
def test_metaimage_becomes_nifti_where_itk_finds_it_again(tmp_path: Path, suffix: str, frames: int):
    volume = itk.image_from_array(np.zeros((frames, 20, 30), np.uint8))
    volume.SetSpacing([0.308, 0.154, 1.54])
    volume.SetOrigin([5.0, -6.0, 7.0])
    turned = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    volume.SetDirection(itk.matrix_from_array(turned))
    itk.imwrite(volume, tmp_path / f"a{suffix}")
    path = write_label_map(classes(frames), tmp_path / f"a{suffix}", tmp_path / "b", None, None)
    written = itk.imread(path, itk.UC)
    np.testing.assert_array_equal(itk.array_from_image(written), classes(frames))
    np.testing.assert_allclose(written.GetSpacing(), volume.GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(written.GetOrigin(), volume.GetOrigin(), rtol=1e-6)
    np.testing.assert_allclose(itk.array_from_matrix(written.GetDirection()), turned, atol=1e-6)


def test_a_flat_metaimage_becomes_a_flat_nifti(tmp_path: Path):
    flat = itk.image_from_array(np.zeros((20, 30), np.uint8))
    flat.SetSpacing([0.3, 0.2])
    flat.SetOrigin([5.0, -6.0])
    itk.imwrite(flat, tmp_path / "a.mha")
    written = nibabel.load(write_label_map(classes(), tmp_path / "a.mha", tmp_path / "b", None, None))
    assert written.shape == (30, 20)
    np.testing.assert_allclose(
        written.affine, [[-0.3, 0, 0, -5], [0, -0.2, 0, 6], [0, 0, 1, 0], [0, 0, 0, 1]], rtol=1e-6
    )


@pytest.mark.parametrize(("name", "frames"), [("a.dcm", 1), ("IM_0001", 6), ("a.avi", 6), ("a.tif", 6)])
def test_other_sources_become_nifti_as_the_release_of_camus(tmp_path: Path, name: str, frames: int):
    (tmp_path / name).touch()
    path = write_label_map(classes(frames), tmp_path / name, tmp_path / "a", (0.2, 0.3), 40.0)
    written = nibabel.load(path)
    assert written.shape == ((30, 20) if frames == 1 else (30, 20, 6))
    np.testing.assert_allclose(written.affine, np.diag([-0.3, -0.2, 1, 1]), rtol=1e-6)
    assert written.header["qform_code"] == written.header["sform_code"] == 1
    assert written.header.get_xyzt_units() == ("mm", "unknown" if frames == 1 else "sec")
    if frames > 1:
        np.testing.assert_allclose(written.header["pixdim"][3:5], [1, 1 / 40])
    again = itk.imread(path, itk.UC)
    np.testing.assert_array_equal(itk.array_from_image(again).reshape(frames, 20, 30), classes(frames))
    np.testing.assert_allclose(itk.array_from_matrix(again.GetDirection()), np.eye(again.GetImageDimension()))


def test_dicom_keeps_the_place_that_it_states(tmp_path: Path):
    """Its label map, corrected by hand, is a mask of the image."""
    turned = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    (source,) = write_series(tmp_path / "ct", classes().astype(np.int16), turned, (0.8, 0.7, 2.5)).iterdir()
    path = write_label_map(classes(), source, tmp_path / "a", (0.8, 0.7), None)
    written = nibabel.load(path)
    np.testing.assert_allclose(written.affine @ [2, 3, 0, 1], [20, -30 - 1.4, 5 - 2.4, 1], rtol=1e-6)
    frame = read_image_and_mask(source, path, range(4))
    np.testing.assert_array_equal(frame.label, classes()[0])
    given = nibabel.load(write_label_map(classes(), source, tmp_path / "b", (0.2, 0.3), None))
    np.testing.assert_allclose(given.affine, np.diag([-0.3, -0.2, 1, 1]), rtol=1e-6)


def test_without_spacing_the_unit_is_unknown(tmp_path: Path):
    (tmp_path / "a.avi").touch()
    written = nibabel.load(write_label_map(classes(2), tmp_path / "a.avi", tmp_path / "a", None, None))
    np.testing.assert_array_equal(written.affine, np.diag([-1, -1, 1, 1]))
    assert written.header.get_xyzt_units() == ("unknown", "unknown")


@pytest.mark.parametrize("name", ["a.png", "a.JPG", "a.bmp", "a.tiff"])
def test_a_picture_becomes_a_png_of_classes(tmp_path: Path, name: str):
    path = write_label_map(classes(), tmp_path / name, tmp_path / "1.2.840", (0.2, 0.3), None)
    assert path == tmp_path / "1.2.840_seg.png"
    with Image.open(path) as picture:
        assert picture.mode == "L"
        np.testing.assert_array_equal(np.asarray(picture), classes()[0])


def test_labels_of_another_size_or_type_are_refused(tmp_path: Path):
    Nifti1Image(np.zeros((30, 20, 5)), np.eye(4)).to_filename(tmp_path / "a.nii")
    message = re.escape("a.nii: expected labels for 30 x 20 x 5 pixels, got 30 x 20 x 1 (columns, rows, frames)")
    with pytest.raises(ValueError, match=message):
        write_label_map(classes(), tmp_path / "a.nii", tmp_path / "a", None, None)
    for wrong in (classes()[0], classes().astype(np.int64)):
        with pytest.raises(ValueError, match=r"expected labels as uint8 \(frames, rows, columns\), got \w+ \(.*\)"):
            write_label_map(wrong, tmp_path / "a.png", tmp_path / "a", None, None)
    assert {path.name for path in tmp_path.iterdir()} == {"a.nii"}


def test_reference_masks_of_camus_come_back_in_the_place_of_their_image(tmp_path: Path, echo_data: Path):
    patients = sorted((echo_data / "camus" / "database_nifti").iterdir())[:3]
    assert patients
    for patient in patients:
        source = patient / f"{patient.name}_4CH_ED.nii.gz"
        mask = nibabel.load(patient / f"{patient.name}_4CH_ED_gt.nii.gz")
        labels = np.asarray(mask.dataobj).T[None].astype(np.uint8)
        written = nibabel.load(write_label_map(labels, source, tmp_path / patient.name, None, None))
        np.testing.assert_array_equal(written.get_fdata(), mask.get_fdata())
        np.testing.assert_array_equal(written.affine, nibabel.load(source).affine)
    for source in sorted((echo_data / "camus_2019").rglob("*_4CH_ED.mhd")):
        theirs = itk.imread(source)
        labels = np.ones(itk.array_from_image(theirs).shape, np.uint8)
        again = itk.imread(write_label_map(labels, source, tmp_path / source.stem, None, None))
        np.testing.assert_allclose(again.GetSpacing(), theirs.GetSpacing(), rtol=1e-6)
        np.testing.assert_allclose(again.GetOrigin(), theirs.GetOrigin())
