"""DICOM SEG, read back by highdicom and as bytes."""

import io
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from common.inference.dicom_seg import write_dicom_seg

CODES = {
    "lv_cavity": codes.SCT.LeftVentricle,
    "lv_myocardium": codes.SCT.LeftVentricleMyocardium,
    "left_atrium": codes.SCT.LeftAtrium,
}
PERSONAL = {  # all distinct, so that each is searched for
    "PatientName": "DOE^JANE",
    "PatientID": "MRN-4711-0815",
    "PatientBirthDate": "19481224",
    "PatientSex": "F",
    "PatientAge": "077Y",
    "OtherPatientIDs": "OTHER-99123",
    "PatientAddress": "MAIN STREET 5",
    "StudyDate": "20190203",
    "StudyTime": "070809",
    "AcquisitionDateTime": "20190203070811",
    "AccessionNumber": "ACC-31337",
    "StudyID": "STUDY-5150",
    "StudyDescription": "ECHO OF JANE",
    "InstitutionName": "GENERAL HOSPITAL",
    "ReferringPhysicianName": "HOUSE^GREGORY",
    "OperatorsName": "SONO^GRACE",
    "StationName": "ROOM-7",
    "DeviceSerialNumber": "SERIAL-2718",
    "ImageComments": "JANE AGAIN",
    "SpecificCharacterSet": "ISO_IR 100",
}


def labels() -> np.ndarray:
    drawn = np.zeros((20, 30), np.uint8)
    drawn[2:12, 5:15], drawn[14:18, 6:13] = 1, 3  # no myocardium
    return drawn


def source(path: Path, compressed: bool = False, **fields: Any) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if compressed else ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = UltrasoundImageStorage, "1.2.826.0.1.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.826.0.1.1", "1.2.826.0.1.2"
    dataset.Modality, dataset.Rows, dataset.Columns = "US", 20, 30
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    pixels = np.arange(600, dtype=np.uint8).reshape(20, 30)
    if compressed:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG")
        dataset.PixelData = encapsulate([buffer.getvalue()])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    else:
        dataset.PixelData = pixels.tobytes()
    for key, value in (PERSONAL | fields).items():
        if value is None:
            del dataset[key]
        else:
            setattr(dataset, key, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write(structures: dict[str, Code], path: Path, out: Path) -> Path:
    return write_dicom_seg(labels(), structures, path, out, "echo_segmentation", "0.3.0", "the left heart")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"compressed": True},
        {"FrameOfReferenceUID": "1.2.826.0.1.9"},
        {"SOPClassUID": UltrasoundMultiFrameImageStorage, "NumberOfFrames": 1},
    ],
    ids=["plain", "JPEG", "frame of reference", "clip of one frame"],
)
def test_highdicom_reads_the_segments_of_the_source(tmp_path: Path, fields: dict[str, Any]):
    path = write(CODES, source(tmp_path / "a.dcm", **fields), tmp_path / "1.2.840")
    assert path == tmp_path / "1.2.840_seg.dcm"
    read = highdicom.seg.segread(path)
    assert read.SOPClassUID == SegmentationStorage
    assert read.SegmentationType == "BINARY"
    pixels = read.get_pixels_by_source_instance(["1.2.826.0.1.3"])[0]  # (rows, columns, segments)
    np.testing.assert_array_equal(pixels, np.stack([labels() == index for index in (1, 2, 3)], axis=2))
    assert not pixels[..., 1].any()
    assert read.StudyInstanceUID == "1.2.826.0.1.1"
    assert read.SeriesInstanceUID != "1.2.826.0.1.2"
    assert read.get("FrameOfReferenceUID") == fields.get("FrameOfReferenceUID")
    references = [element.value for element in read.iterall() if element.keyword == "ReferencedSOPClassUID"]
    assert set(references) == {fields.get("SOPClassUID", UltrasoundImageStorage)}


def test_segments_are_coded_and_name_their_algorithm(tmp_path: Path):
    structures = {**CODES, "pericardium": codes.SCT.AnatomicalStructure}
    read = pydicom.dcmread(write(structures, source(tmp_path / "a.dcm"), tmp_path / "a"))
    types = [segment.SegmentedPropertyTypeCodeSequence[0] for segment in read.SegmentSequence]
    assert [(code.CodingSchemeDesignator, code.CodeValue, code.CodeMeaning) for code in types] == [
        ("SCT", "87878005", "Left ventricle"),
        ("SCT", "49848007", "Left Ventricle Myocardium"),
        ("SCT", "82471001", "Left atrium"),
        ("SCT", "91723000", "Anatomical Structure"),
    ]
    assert [segment.SegmentLabel for segment in read.SegmentSequence][3] == "pericardium"
    for segment in read.SegmentSequence:
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("echo_segmentation", "0.3.0")
        assert segment.SegmentAlgorithmType == "AUTOMATIC"


def test_nothing_identifies_who_was_scanned_when_or_where(tmp_path: Path):
    path = source(tmp_path / "a.dcm")
    personal = [value.encode() for value in PERSONAL.values() if len(value) > 3 and not value.startswith("ISO")]
    assert len(personal) > 15
    assert all(value in path.read_bytes() for value in personal)
    written = write(CODES, path, tmp_path / "a")
    assert [value for value in personal if value in written.read_bytes()] == []
    read = pydicom.dcmread(written)
    kept = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "ReferringPhysicianName")
    assert not any(read[key].value for key in kept)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"NumberOfFrames": 12, "PixelData": bytes(7200)}, r"a\.dcm: expected one frame, got 12; .*NIfTI has all"),
        (
            {"SOPClassUID": SecondaryCaptureImageStorage},
            r"a\.dcm: expected an ultrasound image, got SOP class Secondary",
        ),
        ({"StudyInstanceUID": None}, r"a\.dcm lacks \['StudyInstanceUID'\].*export it again"),
        ({"Rows": 21}, r"expected labels as uint8 \(21, 30\) for .*a\.dcm, got uint8 \(20, 30\)"),
    ],
)
def test_unsuitable_sources_are_refused(tmp_path: Path, fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        write(CODES, source(tmp_path / "a.dcm", **fields), tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a.dcm"]


def test_classes_beyond_the_names_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"expected labels 0 to 1 for \['lv_cavity'\], got 3"):
        write({"lv_cavity": CODES["lv_cavity"]}, source(tmp_path / "a.dcm"), tmp_path / "a")
