"""Write scans, and measure them with a network that segments drawn images perfectly."""

import csv
from pathlib import Path
from typing import Any

import itk
import numpy as np
from drawn_heart import MM, NAMES, SIDE, STEP, Seer
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage, generate_uid
from torch import nn
from torch.utils.data import DataLoader

from common.engines import FramesInferer
from common.inference import Plan, Results, Scans, one_scan
from common.inference.algorithm import Algorithm


def write_nifti(path: Path, labels: np.ndarray) -> None:
    image = itk.image_view_from_array((labels * STEP).astype(np.uint8))
    image.SetSpacing((MM,) * 2 + (1.0,) * (labels.ndim - 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    itk.imwrite(image, str(path))


def write_dicom(path: Path, labels: np.ndarray) -> None:
    """Write a single-frame ultrasound image that identifies the patient."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = UltrasoundImageStorage
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (generate_uid() for _ in range(3))
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "DOE^JANE", "MRN4711", "19500102"
    dataset.PatientSex, dataset.AccessionNumber, dataset.InstitutionName = "F", "ACC0815", "Saint Elsewhere"
    dataset.ReferringPhysicianName, dataset.StudyDate, dataset.StudyTime = "WHO^DOCTOR", "20240203", "101112"
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "S1", 1, 1
    dataset.Modality, dataset.Manufacturer, dataset.PatientOrientation = "US", "maker", ""
    dataset.Rows, dataset.Columns = labels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType = 1, 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = MM / 10
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1 = region.RegionLocationMaxY1 = SIDE - 1
    dataset.SequenceOfUltrasoundRegions = [region]
    dataset.PixelData = (labels * STEP).astype(np.uint8).tobytes()
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)


def run(source: Path, out: Path, subject: Any, network: nn.Module | None = None, **options: Any) -> Results:
    """Measure files with a network that reads the class from the grey value, unless another is given."""
    spacing = options.pop("spacing", None)
    finder = options.pop("sector_finder", None)
    classes = options.pop("classes", NAMES)
    plan = Plan(source, out, options.pop("made_by", {"weights": "a"}))
    results = Results(plan, classes, options.pop("activation", "softmax"), subject, Algorithm("drawn", "7"), **options)
    scans = Scans(plan.unfinished, SIDE, spacing=spacing, sector_finder=finder)
    evaluator = SupervisedEvaluator(
        device="cpu",
        val_data_loader=DataLoader(scans, batch_size=1, collate_fn=one_scan),
        network=Seer(len(classes)) if network is None else network,
        inferer=FramesInferer(SimpleInferer(), 4),
        decollate=False,
        val_handlers=[results],
    )
    results.run(evaluator)
    return results


def rows(out: Path) -> dict[str, dict[str, str]]:
    """Return the rows of the table by their first column."""
    with (out / "measurements.csv").open(newline="") as file:
        return {next(iter(row.values())): row for row in csv.DictReader(file)}
