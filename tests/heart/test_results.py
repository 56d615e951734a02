"""From files to results, with a network that sees a drawn heart perfectly."""

import csv
import json
import os
from pathlib import Path

import itk
import numpy as np
import pytest
from drawn_heart import MM, NAMES, SIDE, STEP, Seer, heart, volume
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage, generate_uid
from torch.utils.data import DataLoader

from common.engines import FramesInferer
from common.heart import Results
from common.inference import Scans, one_scan

EF = 100 * (1 - volume(50, 16) / volume())


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


def run(source: Path, out: Path, **options) -> Results:
    spacing = options.pop("spacing", None)
    results = Results(out, source, NAMES, options.pop("made_by", {"weights": "a"}), **options)
    scans = Scans(source, SIDE, spacing=spacing, find_sector=False, results=results)
    evaluator = SupervisedEvaluator(
        device="cpu",
        val_data_loader=DataLoader(scans, batch_size=1, collate_fn=one_scan),
        network=Seer(),
        inferer=FramesInferer(SimpleInferer(), 4),
        decollate=False,
        val_handlers=[results],
    )
    evaluator.run()
    return results


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "measurements.csv").open(newline="") as file:
        return {row["study"]: row for row in csv.DictReader(file)}


def pair(folder: Path) -> Path:
    write_nifti(folder / "p1" / "p1_4CH_ED.nii.gz", heart())
    write_nifti(folder / "p1" / "p1_4CH_ES.nii.gz", heart(50, 16))
    return folder


def test_a_folder_gives_label_maps_overlays_and_measurements(tmp_path: Path, capsys: pytest.CaptureFixture):
    run(pair(tmp_path / "in"), tmp_path / "out")
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    stems = [f"p1/p1_4CH_{phase}" for phase in ("ED", "ES")]
    expected = {f"{stem}{end}" for stem in stems for end in ("_seg.nii.gz", "_overlay.png", ".json")}
    assert found == {"measurements.csv", "measurements.json", *expected}
    labels = itk.array_from_image(itk.imread(str(tmp_path / "out" / "p1" / "p1_4CH_ED_seg.nii.gz")))
    np.testing.assert_array_equal(labels.squeeze(), heart())
    row = rows(tmp_path / "out")["p1/p1"]
    assert float(row["lv_ef (%)"]) == pytest.approx(EF, abs=1.0)
    assert float(row["lv_edv (ml)"]) == pytest.approx(volume(), rel=0.02)
    assert row["spacing_source"] == "file header"
    assert "2 scans, 1 studies" in capsys.readouterr().out


def test_a_clip_is_measured_over_its_beats_and_shown_as_a_film(tmp_path: Path):
    share = (1 - np.cos(2 * np.pi * np.arange(25) / 12)) / 2
    write_nifti(tmp_path / "clip_4CH.nii.gz", np.stack([heart(60 - 10 * own, 20 - 4 * own) for own in share]))
    run(tmp_path / "clip_4CH.nii.gz", tmp_path / "out")
    row = rows(tmp_path / "out")["clip"]
    assert row["beats"] == "2"
    assert float(row["lv_ef (%)"]) == pytest.approx(EF, abs=1.5)
    assert (tmp_path / "out" / "clip_4CH_overlay.mp4").stat().st_size > 0
    record = json.loads((tmp_path / "out" / "clip_4CH.json").read_text())
    assert record["frames"] == len(record["lv_areas"]) == 25


def test_a_picture_without_spacing_gives_a_png_and_no_millilitres(tmp_path: Path):
    for phase, labels in (("ED", heart()), ("ES", heart(50, 16))):
        Image.fromarray(labels * STEP).save(tmp_path / f"a_{phase}.png")
    run(tmp_path, tmp_path / "out")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "a_ED_seg.png")), heart())
    row = rows(tmp_path / "out")["a"]
    assert float(row["lv_ef (%)"]) == pytest.approx(EF, abs=1.0)
    assert row["lv_edv (ml)"] == ""
    assert "spacing unknown" in row["flags"]
    run(tmp_path, tmp_path / "given", spacing="[0.5, 0.5]")
    assert float(rows(tmp_path / "given")["a"]["lv_edv (ml)"]) == pytest.approx(volume(), rel=0.02)


def test_no_output_and_no_log_identifies_the_patient(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "in").mkdir()
    write_dicom(tmp_path / "in" / "scan_4CH_ED.dcm", heart())
    (tmp_path / "in" / "broken.dcm").write_bytes((tmp_path / "in" / "scan_4CH_ED.dcm").read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"1 of 2 files were left out"):
        run(tmp_path / "in", tmp_path / "out")
    out, log = capsys.readouterr()
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert "scan_4CH_ED_seg.dcm" in written
    secrets = ["DOE", "JANE", "MRN4711", "19500102", "ACC0815", "Elsewhere", "DOCTOR", "20240203", "101112"]
    for name, content in {**written, "terminal": (out + log).encode()}.items():
        assert [secret for secret in secrets if secret.encode() in content] == [], name
    assert float(rows(tmp_path / "out")["scan"]["lv_edv (ml)"]) == pytest.approx(volume(), rel=0.02)


def test_unsure_segmentations_are_flagged_and_not_shown(tmp_path: Path):
    between = np.full((SIDE, SIDE), STEP + STEP // 2, np.uint8)  # two classes
    Image.fromarray(between).save(tmp_path / "a_ED.png")
    run(tmp_path, tmp_path / "out")
    assert "the network is unsure (0.5" in rows(tmp_path / "out")["a"]["flags"]
    assert not list((tmp_path / "out").glob("*_overlay*"))


def test_an_unreadable_file_does_not_stop_the_others(tmp_path: Path):
    source = pair(tmp_path / "in")
    (source / "a_broken.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(ValueError, match=r"1 of 3 files were left out.*a_broken.png"):
        run(source, tmp_path / "out")
    assert "p1/p1" in rows(tmp_path / "out")
    left_out = json.loads((tmp_path / "out" / "measurements.json").read_text())["left_out"]
    assert list(left_out) == ["a_broken.png"]
    with pytest.raises(ValueError, match=r"a_broken.png cannot be read as PNG"):
        run(source / "a_broken.png", tmp_path / "single")


def test_finished_scans_are_repeated_only_if_they_would_differ(tmp_path: Path):
    source, out = pair(tmp_path / "in"), tmp_path / "out"
    run(source, out)
    label_map = out / "p1" / "p1_4CH_ED_seg.nii.gz"
    first, expected = label_map.stat().st_mtime_ns, (out / "measurements.csv").read_text()
    (out / "p1" / "p1_4CH_ES.json").unlink()  # as an interrupted run leaves it
    run(source, out)
    assert label_map.stat().st_mtime_ns == first
    assert (out / "measurements.csv").read_text() == expected
    run(source, out, made_by={"weights": "b"})
    assert label_map.stat().st_mtime_ns > first
    second = label_map.stat().st_mtime_ns
    os.utime(source / "p1" / "p1_4CH_ED.nii.gz", ns=(1, 1))  # another file under the same name
    run(source, out, made_by={"weights": "b"})
    assert label_map.stat().st_mtime_ns > second


def test_results_inside_the_input_are_not_read(tmp_path: Path):
    source = pair(tmp_path / "in")
    run(source, source / "results")
    assert len(Scans(source, 16, results=Results(source / "results", source, NAMES, {})).paths) == 2


def test_a_source_without_scans_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no scan")
    with pytest.raises(FileNotFoundError, match=r"expected DICOM, .* files, got none"):
        Scans(tmp_path, 16)
    with pytest.raises(FileNotFoundError, match=r"nowhere is missing"):
        Scans(tmp_path / "nowhere", 16)


def test_files_of_one_name_and_two_kinds_do_not_overwrite_each_other(tmp_path: Path):
    (tmp_path / "in").mkdir()
    Image.fromarray(heart() * STEP).save(tmp_path / "in" / "a.png")
    write_nifti(tmp_path / "in" / "a.nii.gz", heart())
    run(tmp_path / "in", tmp_path / "out")
    assert {"a.png.json", "a.nii.gz.json"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert len(rows(tmp_path / "out")) == 2


def test_the_patient_may_be_described_only_for_a_single_study(tmp_path: Path):
    source = pair(tmp_path / "in")
    run(source, tmp_path / "out", patient={"height": 180, "weight": 80, "sex": "M"})
    row = rows(tmp_path / "out")["p1/p1"]
    assert float(row["la_volume_index (ml/m²)"]) == pytest.approx(float(row["la_volume (ml)"]) / 2, abs=0.01)
    assert "ejection_fraction: mildly reduced" in row["grades"]
    write_nifti(source / "p2_4CH_ED.nii.gz", heart())
    with pytest.raises(ValueError, match=r"expected one study, since patient is given, got 2"):
        run(source, tmp_path / "two", patient={"sex": "M"})


@pytest.mark.parametrize(
    ("patient", "message"),
    [({"name": "DOE"}, r"unknown patient keys \['name'\]"), ({"height": 180}, r"both height and weight")],
)
def test_unknown_or_incomplete_patient_keys_are_refused(tmp_path: Path, patient: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Results(tmp_path, tmp_path, NAMES, {}, patient=patient)


@pytest.mark.parametrize("spacing", ["x", [0.3], -0.3, [0.3, 0.3, 0.3], [0.3, None], float("nan")])
def test_an_invalid_spacing_is_refused(tmp_path: Path, spacing: object):
    Image.fromarray(heart()).save(tmp_path / "a.png")
    if spacing == [0.3]:
        assert Scans(tmp_path, 16, spacing=spacing).spacing == (0.3, 0.3)
        return
    with pytest.raises(ValueError, match=r"expected spacing in mm per pixel, .* got "):
        Scans(tmp_path, 16, spacing=spacing)


def test_only_one_scan_makes_a_batch():
    with pytest.raises(ValueError, match=r"set batch_size to 1"):
        one_scan([{}, {}])
