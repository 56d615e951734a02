"""Label maps and segmentations lie where their volumes lie, as nibabel, ITK and highdicom see them."""

import struct
from collections.abc import Callable
from pathlib import Path

import highdicom
import itk
import nibabel as nib
import numpy as np
import pydicom
import pytest
from ct_series import write_series
from measuring_volumes import HU, OBLIQUE, affine, drawn, run, save

SPACING = (1.5, 2.0, 3.0)
AXES = {
    "right, front, up": np.eye(3),
    "left, back, up": np.diag([-1.0, -1.0, 1.0]),
    "rows upwards": np.diag([-1.0, 1.0, 1.0]),
    "downwards": np.diag([1.0, -1.0, -1.0]),
    "sagittal slices": np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    "oblique": OBLIQUE,
    "oblique, sagittal slices": OBLIQUE @ np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
}
every_orientation = pytest.mark.parametrize("axes", AXES.values(), ids=AXES.keys())


def itk_place(image: "itk.Image") -> list[np.ndarray]:
    """Size, origin, spacing and directions of an image, as ITK reads them."""
    return [
        np.array(image.GetLargestPossibleRegion().GetSize()),
        np.array(image.GetOrigin()),
        np.array(image.GetSpacing()),
        itk.array_from_matrix(image.GetDirection()),
    ]


def assert_same_place(one: "itk.Image", other: "itk.Image") -> None:
    for found, expected in zip(itk_place(one), itk_place(other), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


@every_orientation
@pytest.mark.parametrize("compressed", [True, False])
def test_the_label_map_of_a_nifti_file_has_its_place(tmp_path: Path, axes: np.ndarray, compressed: bool):
    source = save(tmp_path / f"a.nii{'.gz' * compressed}", drawn(), affine(axes, SPACING))
    run(source, tmp_path / "out")
    written = tmp_path / "out" / "a_seg.nii.gz"
    image, found = nib.load(source), nib.load(written)
    np.testing.assert_array_equal(found.affine, image.affine)
    assert found.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(found.dataobj), drawn())
    assert_same_place(itk.imread(str(written)), itk.imread(str(source)))


def test_codes_units_and_scaled_values_are_understood(tmp_path: Path):
    image = nib.Nifti1Image((2 * (HU[drawn()] + 1024)).astype(np.int16), affine(OBLIQUE, SPACING))
    image.header["qform_code"], image.header["sform_code"] = 0, 2
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[112:120] = struct.pack("<2f", 0.5, -1024.0)  # scl_slope and scl_inter; nibabel sets its own
    (tmp_path / "a.nii").write_bytes(content)
    assert nib.load(tmp_path / "a.nii").get_fdata().min() == -100
    run(tmp_path / "a.nii", tmp_path / "out")
    found = nib.load(tmp_path / "out" / "a_seg.nii.gz")
    np.testing.assert_array_equal(np.asarray(found.dataobj), drawn())
    assert (found.header["qform_code"], found.header["sform_code"]) == (0, 2)
    assert found.header.get_slope_inter() == (None, None)


def test_millimetres_written_in_metres_are_understood(tmp_path: Path):
    matrix = affine(np.eye(3), SPACING)
    source = save(tmp_path / "a.nii", drawn(), np.diag([1e-3, 1e-3, 1e-3, 1]) @ matrix, xyzt_units=1)
    run(source, tmp_path / "out")
    found = nib.load(tmp_path / "out" / "a_seg.nii.gz")
    np.testing.assert_array_equal(found.affine, nib.load(source).affine)
    assert found.header["xyzt_units"] == 1
    assert "spacing_x (mm)" in (tmp_path / "out" / "measurements.csv").read_text()
    assert ",1.5,2.0,3.0," in (tmp_path / "out" / "measurements.csv").read_text()


@every_orientation
@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd"])
def test_the_label_map_of_other_formats_has_their_place(tmp_path: Path, axes: np.ndarray, suffix: str):
    labels = drawn()
    image = itk.image_from_array(np.ascontiguousarray(HU[labels].T))
    image.SetSpacing(SPACING)
    image.SetOrigin([-31.0, 17.5, 42.25])
    image.SetDirection(itk.matrix_from_array(axes))
    itk.imwrite(image, str(tmp_path / f"a{suffix}"))
    run(tmp_path / f"a{suffix}", tmp_path / "out")
    found = itk.imread(str(tmp_path / "out" / "a_seg.nii.gz"))
    assert_same_place(found, image)
    np.testing.assert_array_equal(itk.array_from_image(found).T, labels)


def series_of_itk(folder: Path) -> "itk.Image":
    names = itk.GDCMSeriesFileNames.New(Directory=str(folder))
    return itk.imread(list(names.GetInputFileNames()), itk.SS)


def middle(mask: np.ndarray, place: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the centre of gravity of a structure, mm."""
    return np.mean([place(index) for index in np.argwhere(mask)], axis=0)


ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "rows upwards": (1, 0, 0, 0, -1, 0),
    "oblique": (0.8, 0.6, 0, -0.6, 0.8, 0),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_a_series_has_a_label_map_and_a_segmentation_in_its_place(tmp_path: Path, orientation: tuple[float, ...]):
    labels = drawn((10, 14, 12)).copy()  # slices, rows, columns, from the first slice that is written
    numbers = np.random.default_rng(0).permutation(10) + 1
    folder = write_series(tmp_path / "study" / "ct", HU[labels], orientation, instances=numbers.tolist())
    run(tmp_path / "study", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").glob("[!.]*")} == {
        *("ct.json", "ct_seg.nii.gz", "ct_seg.dcm", "ct_overlay.png", "measurements.csv", "measurements.json")
    }
    image, found = series_of_itk(folder), itk.imread(str(tmp_path / "out" / "ct_seg.nii.gz"))
    assert_same_place(found, image)
    shown = itk.array_from_image(found)
    np.testing.assert_array_equal(HU[shown], itk.array_from_image(image))
    written = tmp_path / "out" / "ct_seg.dcm"
    segmentation = highdicom.seg.segread(written)
    for path in folder.iterdir():
        source = pydicom.dcmread(path)
        number = int(source.SOPInstanceUID.rpartition(".")[2]) - 1
        frames = segmentation.get_pixels_by_source_instance(
            [source.SOPInstanceUID], combine_segments=True, assert_missing_frames_are_empty=True
        )
        np.testing.assert_array_equal(frames[0], labels[number])
    volume = segmentation.get_volume(combine_segments=True)
    for value in (1, 2):
        itk_middle = middle(
            value == shown.T, lambda index: np.array(found.TransformIndexToPhysicalPoint([int(one) for one in index]))
        )
        seg_middle = middle(volume.array == value, lambda index: (volume.affine @ [*index, 1])[:3])
        np.testing.assert_allclose(itk_middle, seg_middle, atol=1e-4)
    assert segmentation.StudyInstanceUID == source.StudyInstanceUID
    assert segmentation.FrameOfReferenceUID == source.FrameOfReferenceUID
    for person in (b"Doe", b"secret"):
        assert person not in written.read_bytes()


def test_a_series_that_names_no_study_has_no_segmentation_and_everything_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = write_series(tmp_path / "ct", HU[drawn((10, 14, 12))])
    for path in folder.iterdir():
        stored = pydicom.dcmread(path)
        del stored.StudyInstanceUID
        stored.save_as(path)
    run(folder, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "ct_seg.nii.gz" in names
    assert "ct_seg.dcm" not in names
    assert "lacks ['StudyInstanceUID']" in caplog.text


def test_a_localizer_beside_a_series_is_not_looked_at(tmp_path: Path):
    labels = drawn((10, 14, 12))
    folder = write_series(tmp_path / "ct", HU[labels])
    scout = write_series(tmp_path / "scout", HU[labels[:1]], (1, 0, 0, 0, 0, -1), series="1.2.3.4") / "000.dcm"
    stored = pydicom.dcmread(scout)
    stored.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    stored.save_as(folder / "scout.dcm")
    run(folder, tmp_path / "out")
    found = np.asarray(nib.load(tmp_path / "out" / "ct_seg.nii.gz").dataobj)
    assert [(found == value).sum() for value in (1, 2)] == [(labels == value).sum() for value in (1, 2)]
    assert (tmp_path / "out" / "ct_seg.dcm").is_file()


@pytest.mark.parametrize("thickness", [None, "", 5.0])
def test_a_series_whose_slices_state_no_or_another_thickness_has_a_segmentation(tmp_path: Path, thickness: object):
    folder = write_series(tmp_path / "ct", HU[drawn((10, 14, 12))])
    for path in folder.iterdir():
        stored = pydicom.dcmread(path)
        stored.SliceThickness = thickness
        if thickness is None:
            del stored.SliceThickness
        stored.save_as(path)
    run(folder, tmp_path / "out")
    volume = highdicom.seg.segread(tmp_path / "out" / "ct_seg.dcm").get_volume(combine_segments=True)
    assert volume.spacing == pytest.approx((2.5, 0.8, 0.7))


def test_a_series_without_any_structure_has_an_empty_segmentation(tmp_path: Path):
    values = np.where(np.indices((10, 14, 12))[0] < 3, -300, -100).astype(np.int16)
    run(write_series(tmp_path / "ct", values), tmp_path / "out")
    segmentation = highdicom.seg.segread(tmp_path / "out" / "ct_seg.dcm")
    assert [segment.SegmentLabel for segment in segmentation.SegmentSequence] == ["left kidney", "spleen"]
    assert not segmentation.pixel_array.any()
    assert not (tmp_path / "out" / "ct_overlay.png").exists()


def test_a_file_that_does_not_say_how_it_lies_needs_its_orientation(tmp_path: Path):
    source = save(tmp_path / "a.nii", drawn(), np.eye(4))
    image = nib.load(source)
    image.header["qform_code"] = image.header["sform_code"] = 0
    nib.Nifti1Image(np.array(image.dataobj), None, image.header).to_filename(source)
    with pytest.raises(ValueError, match=r"a\.nii does not say how its axes lie .* --orientation LPS"):
        run(source, tmp_path / "out")
    run(source, tmp_path / "out", orientation="LPS")
    assert "the file does not say how it lies; given: LPS" in (tmp_path / "out" / "measurements.csv").read_text()
    with pytest.raises(ValueError, match=r"orientation is 'LPX'; expected where the three axes run to"):
        run(source, tmp_path / "other", orientation="LPX")
