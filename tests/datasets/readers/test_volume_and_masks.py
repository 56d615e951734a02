"""A DICOM series and its DICOM segmentation lie in the same place, even if the segmentation leaves out empty slices."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from ct_series import write_series
from highdicom import UID, AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.sr.codedict import codes

from common.datasets.files.volume.volume_file import read_mask
from common.datasets.readers.volume_and_masks import read_volume_and_masks

HU = np.random.default_rng(1).integers(-500, 500, (6, 7, 5)).astype(np.int16)  # slices, rows, columns
LABEL = np.zeros(HU.shape, np.uint8)
LABEL[2:4, 1:3, 2:4] = 1
LABEL[3, 4:6, 1] = 2


def write_segmentation(path: Path, series: Path, label: np.ndarray, omit: bool) -> Path:
    headers = sorted((pydicom.dcmread(one) for one in series.iterdir()), key=lambda one: one.InstanceNumber)
    for header in headers:
        header.PatientBirthDate = header.PatientSex = header.StudyID = header.StudyDate = header.StudyTime = ""
        header.AccessionNumber = header.ReferringPhysicianName = ""
    algorithm = AlgorithmIdentificationSequence("drawn", codes.DCM.ArtificialIntelligence, "1")
    segments = [
        SegmentDescription(
            number,
            f"organ {number}",
            codes.SCT.Organ,
            codes.SCT.Organ,
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
        )
        for number in (1, 2)
    ]
    segmentation = Segmentation(
        source_images=headers,
        pixel_array=label,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=UID(),
        series_number=1,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="x",
        omit_empty_frames=omit,
    )
    segmentation.save_as(path)
    return path


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1)])
@pytest.mark.parametrize("omit", [True, False])
def test_a_segmentation_lies_where_its_series_lies(tmp_path: Path, orientation: tuple[float, ...], omit: bool):
    series = write_series(tmp_path / "ct", HU, orientation)
    mask = write_segmentation(tmp_path / "seg.dcm", series, LABEL, omit)
    volume = read_volume_and_masks(series, mask, values=(0, 1, 2))
    for value in (0, 1, 2):
        assert sorted(volume.image[volume.label == value].tolist()) == sorted(HU[value == LABEL].tolist())
    structure = read_volume_and_masks(series, mask, values=(0, 9), structures=(9,))
    np.testing.assert_array_equal(structure.label == 9, volume.label > 0)
    if omit:
        assert 2 in read_mask(mask).values.shape, "two slices are stored"


def test_a_segmentation_of_another_series_is_refused(tmp_path: Path):
    series = write_series(tmp_path / "ct", HU)
    other = write_series(tmp_path / "other", HU, spacing=(0.8, 0.7, 3.0))
    mask = write_segmentation(tmp_path / "seg.dcm", other, LABEL, omit=True)
    with pytest.raises(ValueError, match=r"seg\.dcm does not lie where its image"):
        read_volume_and_masks(series, mask, values=(0, 1, 2))
    small = write_series(tmp_path / "small", HU[:3])
    mask = write_segmentation(tmp_path / "seg.dcm", series, LABEL, omit=True)
    with pytest.raises(ValueError, match=r"seg\.dcm does not lie where its image"):
        read_volume_and_masks(small, mask, values=(0, 1, 2))


def test_other_dicom_files_are_not_segmentations(tmp_path: Path):
    series = write_series(tmp_path / "ct", HU)
    with pytest.raises(ValueError, match=r"cannot be read as DICOM segmentation: it is not a segmentation"):
        read_mask(next(series.iterdir()))


@pytest.mark.parametrize("wrong", [0.4, -1.0])
def test_a_structure_without_a_clear_outline_is_refused(tmp_path: Path, wrong: float):
    """A mask that was resampled linearly has fractions far outside of the structure."""
    values = (LABEL == 1).astype(np.float32) * 3
    for name, voxels in (("ct", HU), ("clear", values), ("soft", np.where(LABEL == 2, wrong, values))):
        nib.Nifti1Image(voxels, np.diag([1.0, 2.0, 3.0, 1.0])).to_filename(tmp_path / f"{name}.nii")
    files = [tmp_path / f"{name}.nii" for name in ("ct", "clear", "soft")]
    assert np.array_equal(read_volume_and_masks(*files[:2], values=(0, 9), structures=(9,)).label == 9, LABEL == 1)
    with pytest.raises(ValueError, match=r"soft\.nii has fractions or negative values.*save 1 where the structure is"):
        read_volume_and_masks(files[0], files[2], values=(0, 9), structures=(9,))
