"""Write DICOM SEG, which archives file with the images that were segmented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from pydicom.sr.coding import Code
from pydicom.uid import UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

from ..atomic import whole_file

__all__ = ["FOUND_BY", "REQUIRED", "save_segmentation", "without_person", "write_dicom_seg"]

# all that is copied from the source: what a SEG needs to refer to it. Patient, dates, institution and physician are not
# among them, and nothing unlisted can slip through.
FOUND_BY = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
REQUIRED = FOUND_BY[:3]
# DICOM requires these; their values stay empty
EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName"),
)


def write_dicom_seg(
    labels: NDArray[np.uint8],
    structures: Mapping[str, Code],
    source: Path,
    out: Path,
    algorithm: str,
    version: str,
    description: str,
) -> Path:
    """Write a binary DICOM SEG with one segment per class; a class that was not found has a segment without pixels.

    It contains nothing from the source about who was scanned, when or where; UIDs link the two. An archive that files
    by patient needs the patient entered by someone who may know.

    Args:
        labels: class of each pixel, (rows, columns), 0 for the background.
        structures: name -> code of each foreground class, in the order of their labels from 1.
        source: an ultrasound image of one frame; only its header is read, so any compression works.
        out: path to write, without suffix; `_seg.dcm` is added.
        algorithm: name of what made the labels.
        version: of the algorithm.
        description: of the series.

    Raises:
        ValueError: if the source is not an ultrasound image, has several frames, lacks UIDs or differs in size.
    """
    header, kind = _header(source)
    if labels.dtype != np.uint8 or labels.shape != (header.Rows, header.Columns):
        raise ValueError(
            f"expected labels as uint8 {(header.Rows, header.Columns)} for {source}, got {labels.dtype} {labels.shape}."
        )
    return save_segmentation(labels, structures, [header], kind, out, algorithm, version, description)


def save_segmentation(
    labels: NDArray[np.uint8],
    structures: Mapping[str, Code],
    headers: Sequence[Dataset],
    kind: str,
    out: Path,
    algorithm: str,
    version: str,
    description: str,
) -> Path:
    """Write a binary DICOM SEG of images whose headers name nobody; arguments as for `write_dicom_seg`.

    Args:
        labels: class of each pixel, (rows, columns), or (images, rows, columns) in the order of the headers.
        structures: name -> code.
        headers: of the images that were segmented (`without_person`).
        kind: their SOP class.
        out: path to write, without suffix.
        algorithm: name.
        version: of the algorithm.
        description: of the series.
    """
    if labels.max() > len(structures):
        raise ValueError(f"expected labels 0 to {len(structures)} for {list(structures)}, got {labels.max()}.")
    identification = AlgorithmIdentificationSequence(
        name=algorithm, version=version, family=codes.DCM.ArtificialIntelligence, source="MONAI bundle"
    )
    segments = [
        SegmentDescription(
            segment_number=number,
            segment_label=name.replace("_", " "),
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=CodedConcept(code.value, code.scheme_designator, code.meaning),
            algorithm_type="AUTOMATIC",
            algorithm_identification=identification,
        )
        for number, (name, code) in enumerate(structures.items(), start=1)
    ]
    segmentation = Segmentation(
        source_images=headers,
        pixel_array=labels,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=UID(),
        series_number=1,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=algorithm,
        manufacturer_model_name=algorithm,
        software_versions=version,
        device_serial_number="none",  # software has none, DICOM requires one
        series_description=description,
        omit_empty_frames=len(headers) > 1,
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


def without_person(stored: Dataset, more: Sequence[str]) -> Dataset:
    """Return the parts of a header that highdicom may see: UIDs, `more`, and empty facts about the person.

    Args:
        stored: header of an image.
        more: keywords of what else is copied.
    """
    header = Dataset()
    for key in (*FOUND_BY, "Rows", "Columns", *more):
        if key in stored:
            header.add(stored[key])
    for key in EMPTY:
        setattr(header, key, "")
    return header


def _header(source: Path) -> tuple[Dataset, str]:
    """Return the parts of the source's header that highdicom may see, and the source's SOP class."""
    stored = pydicom.dcmread(source, stop_before_pixels=True)
    if stored.get("SOPClassUID") not in (UltrasoundImageStorage, UltrasoundMultiFrameImageStorage):
        kind = getattr(stored.get("SOPClassUID"), "name", "none")
        raise ValueError(f"{source}: expected an ultrasound image, got SOP class {kind}; use its label map in NIfTI.")
    if (count := int(stored.get("NumberOfFrames") or 1)) > 1:
        raise ValueError(f"{source}: expected one frame, got {count}; its label map in NIfTI has all.")
    if missing := [key for key in REQUIRED if not stored.get(key)]:
        raise ValueError(f"{source} lacks {missing}, which a DICOM SEG needs to refer to it; export it again.")
    header = without_person(stored, ())
    header.Modality = "US"
    header.SOPClassUID = UltrasoundImageStorage  # highdicom rejects clips, even of a single frame
    return header, str(stored.SOPClassUID)
