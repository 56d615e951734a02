"""Segmentations that an archive files with the image they belong to: DICOM SEG of one ultrasound image."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from highdicom import UID, AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

from ..atomic import whole_file

__all__ = ["write_dicom_seg"]

BUNDLE = "echo_segmentation"
STRUCTURES = {  # SNOMED CT, as the code lists of DICOM word it
    "lv_cavity": codes.SCT.LeftVentricle,
    "lv_myocardium": codes.SCT.LeftVentricleMyocardium,
    "left_atrium": codes.SCT.LeftAtrium,
}
# all that is taken from the source: what a SEG needs to find it again. Nothing of the patient, the study's date, the
# institution or the physician is among them, and what is not listed cannot slip through.
FOUND_BY = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
REQUIRED = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# DICOM demands these; their values stay empty
EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName"),
)


def write_dicom_seg(labels: NDArray[np.uint8], names: Sequence[str], source: Path, out: Path, version: str) -> Path:
    """Write a binary DICOM SEG with a segment a class; a class that was not found has a segment without pixels.

    It holds no value of the source's that tells who was scanned, when or where; it is tied to the source by UIDs. An
    archive that files by patient must be told the patient by whoever may know.

    Args:
        labels: class of each pixel, (rows, columns).
        names: of the classes, background first; those unknown to `STRUCTURES` are coded as an anatomical structure.
        source: an ultrasound image of one frame; only its header is read, so any compression will do.
        out: path to write, without suffix.
        version: of the bundle.

    Returns:
        The path written: `out` with `_seg.dcm`.

    Raises:
        ValueError: if the source is no ultrasound image, has several frames, lacks UIDs or has another size.
        OSError: if the file cannot be written.
    """
    header, kind = _header(source)
    if labels.dtype != np.uint8 or labels.shape != (header.Rows, header.Columns):
        raise ValueError(
            f"labels are {labels.dtype} {labels.shape}; {source} needs uint8 {(header.Rows, header.Columns)}."
        )
    if labels.max() >= len(names):
        raise ValueError(f"labels reach {labels.max()}, but the classes are 0 to {len(names) - 1}: {list(names)}.")
    algorithm = AlgorithmIdentificationSequence(
        name=BUNDLE, version=version, family=codes.DCM.ArtificialIntelligence, source="MONAI bundle"
    )
    segments = [
        SegmentDescription(
            segment_number=number,
            segment_label=name.replace("_", " "),
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=_structure(name),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
        )
        for number, name in enumerate(names[1:], start=1)
    ]
    segmentation = Segmentation(
        source_images=[header],
        pixel_array=labels,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=UID(),
        series_number=1,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=BUNDLE,
        manufacturer_model_name=BUNDLE,
        software_versions=version,
        device_serial_number="none",  # software has none, DICOM demands one
        series_description="Segmentation of the left heart",
        omit_empty_frames=False,
    )
    for element in segmentation.iterall():
        if element.keyword == "ReferencedSOPClassUID":
            element.value = kind
    path = out.with_name(f"{out.name}_seg.dcm")
    content = BytesIO()
    segmentation.save_as(content, enforce_file_format=True)
    with whole_file(path) as partial:
        partial.write_bytes(content.getvalue())
    return path


def _structure(name: str) -> CodedConcept:
    code = STRUCTURES.get(name, codes.SCT.AnatomicalStructure)
    return CodedConcept(code.value, code.scheme_designator, code.meaning)


def _header(source: Path) -> tuple[Dataset, str]:
    """Return what highdicom may know of the source, and the source's class."""
    stored = pydicom.dcmread(source, stop_before_pixels=True)
    if stored.get("SOPClassUID") not in (UltrasoundImageStorage, UltrasoundMultiFrameImageStorage):
        kind = getattr(stored.get("SOPClassUID"), "name", "of no class")
        raise ValueError(f"{source} is {kind}, must be an ultrasound image; its label map in NIfTI serves instead.")
    count = int(stored.get("NumberOfFrames") or 1)
    if count > 1:
        raise ValueError(
            f"{source} has {count} frames; DICOM SEG is written of a single one. Its label map in NIfTI has all."
        )
    if missing := [key for key in REQUIRED if not stored.get(key)]:
        raise ValueError(f"{source} lacks {missing}, by which a DICOM SEG finds its image; export it again.")
    header = Dataset()
    for key in (*FOUND_BY, "Rows", "Columns"):
        if key in stored:
            header.add(stored[key])
    header.Modality = "US"
    header.SOPClassUID = UltrasoundImageStorage  # highdicom takes no clip, not even one of a single frame
    for key in EMPTY:
        setattr(header, key, "")
    return header, str(stored.SOPClassUID)
