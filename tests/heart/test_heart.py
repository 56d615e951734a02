"""Measurements of hearts from files to tables, with a network that sees a drawn heart perfectly."""

import json
from pathlib import Path

import itk
import numpy as np
import pydicom
import pytest
from drawn_heart import NAMES, SIDE, STEP, heart, volume
from measuring import rows, run, write_dicom, write_nifti
from PIL import Image

from common.datasets.files.scan import Scan
from common.datasets.sector.framing import frame
from common.heart import Heart
from common.heart import beat as beats
from common.heart.heart import CAPTION
from common.inference import results
from common.inference.subject import Segmented

EF = 100 * (1 - volume(50, 16) / volume())


def pair(folder: Path) -> Path:
    write_nifti(folder / "p1" / "p1_4CH_ED.nii.gz", heart())
    write_nifti(folder / "p1" / "p1_4CH_ES.nii.gz", heart(50, 16))
    return folder


def test_a_folder_gives_label_maps_overlays_and_measurements(tmp_path: Path, capsys: pytest.CaptureFixture):
    run(pair(tmp_path / "in"), tmp_path / "out", Heart())
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("[!.]*") if path.is_file()}
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
    run(tmp_path / "clip_4CH.nii.gz", tmp_path / "out", Heart())
    row = rows(tmp_path / "out")["clip"]
    assert row["beats"] == "2"
    assert float(row["lv_ef (%)"]) == pytest.approx(EF, abs=1.5)
    assert (tmp_path / "out" / "clip_4CH_overlay.mp4").stat().st_size > 0
    record = json.loads((tmp_path / "out" / "clip_4CH.json").read_text())
    assert record["frames"] == len(record["lv_areas"]) == 25


def test_a_picture_without_spacing_gives_a_png_and_no_millilitres(tmp_path: Path):
    for phase, labels in (("ED", heart()), ("ES", heart(50, 16))):
        Image.fromarray(labels * STEP).save(tmp_path / f"a_{phase}.png")
    run(tmp_path, tmp_path / "out", Heart())
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "a_ED_seg.png")), heart())
    row = rows(tmp_path / "out")["a"]
    assert float(row["lv_ef (%)"]) == pytest.approx(EF, abs=1.0)
    assert row["lv_edv (ml)"] == ""
    assert "spacing unknown" in row["flags"]
    run(tmp_path, tmp_path / "given", Heart(), spacing="[0.5, 0.5]")
    assert float(rows(tmp_path / "given")["a"]["lv_edv (ml)"]) == pytest.approx(volume(), rel=0.02)


def test_no_output_and_no_log_identifies_the_patient(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "in").mkdir()
    write_dicom(tmp_path / "in" / "scan_4CH_ED.dcm", heart())
    (tmp_path / "in" / "broken.dcm").write_bytes((tmp_path / "in" / "scan_4CH_ED.dcm").read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"1 of 2 files were left out"):
        run(tmp_path / "in", tmp_path / "out", Heart())
    out, log = capsys.readouterr()
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert "scan_4CH_ED_seg.dcm" in written
    segments = pydicom.dcmread(tmp_path / "out" / "scan_4CH_ED_seg.dcm").SegmentSequence
    assert segments[1].SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Left Ventricle Myocardium"
    secrets = ["DOE", "JANE", "MRN4711", "19500102", "ACC0815", "Elsewhere", "DOCTOR", "20240203", "101112"]
    for name, content in {**written, "terminal": (out + log).encode()}.items():
        assert [secret for secret in secrets if secret.encode() in content] == [], name
    assert float(rows(tmp_path / "out")["scan"]["lv_edv (ml)"]) == pytest.approx(volume(), rel=0.02)


def test_unsure_segmentations_are_flagged_and_not_shown(tmp_path: Path):
    between = np.full((SIDE, SIDE), STEP + STEP // 2, np.uint8)  # two classes
    Image.fromarray(between).save(tmp_path / "a_ED.png")
    run(tmp_path, tmp_path / "out", Heart())
    assert "the network is unsure (0.5" in rows(tmp_path / "out")["a"]["flags"]
    assert not list((tmp_path / "out").glob("*_overlay*"))


def test_the_patient_may_be_described_only_for_a_single_study(tmp_path: Path):
    source = pair(tmp_path / "in")
    run(source, tmp_path / "out", Heart({"height": 180, "weight": 80, "sex": "M"}))
    row = rows(tmp_path / "out")["p1/p1"]
    assert float(row["la_volume_index (ml/m²)"]) == pytest.approx(float(row["la_volume (ml)"]) / 2, abs=0.01)
    assert "ejection_fraction: mildly reduced" in row["grades"]
    write_nifti(source / "p2_4CH_ED.nii.gz", heart())
    with pytest.raises(ValueError, match=r"expected one study, since patient is given, got 2"):
        run(source, tmp_path / "two", Heart({"sex": "M"}))


@pytest.mark.parametrize(
    ("patient", "message"),
    [({"name": "DOE"}, r"unknown patient keys \['name'\]"), ({"height": 180}, r"both height and weight")],
)
def test_unknown_or_incomplete_patient_keys_are_refused(patient: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Heart(patient)


def test_a_resumed_run_gives_the_same_table(tmp_path: Path):
    source, out = pair(tmp_path / "in"), tmp_path / "out"
    run(source, out, Heart())
    expected = (out / "measurements.csv").read_text()
    record = out / "p1" / "p1_4CH_ES.json"
    record.write_text(json.dumps({"results": dict.fromkeys(json.loads(record.read_text())["results"])}))  # interrupted
    run(source, out, Heart())
    assert (out / "measurements.csv").read_text() == expected


def clip(folder: Path) -> Path:
    share = (1 - np.cos(2 * np.pi * np.arange(25) / 12)) / 2
    write_nifti(folder / "clip_4CH.nii.gz", np.stack([heart(60 - 10 * own, 20 - 4 * own) for own in share]))
    return folder


def test_each_beat_is_measured_once_for_caption_and_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    measured = []
    original = beats.beat_values
    monkeypatch.setattr(beats, "beat_values", lambda *views: measured.append(views) or original(*views))
    run(clip(tmp_path), tmp_path / "out", Heart())
    assert len(measured) == 2, "two beats in one view"


def test_the_caption_of_a_scan_shows_the_values_of_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    captions = []
    monkeypatch.setattr(results, "overlay_png", lambda _, display, __: captions.append(display.caption))
    monkeypatch.setattr(results, "overlay_mp4", lambda *_: None)
    run(clip(tmp_path), tmp_path / "out", Heart())
    row = rows(tmp_path / "out")["clip"]
    shown = {words: float(row[f"{name} ({unit})"]) for name, (words, unit) in CAPTION.items() if name != "lv_volume"}
    expected = "4CH, EF {EF:.0f} %, EDV {EDV:.0f} ml, ESV {ESV:.0f} ml, LA volume {LA volume:.0f} ml"
    assert captions == [[expected.format(**shown), "Research only, not for diagnosis."]]


def test_a_chamber_without_numbers_has_no_axis():
    labels = np.where(heart() == 3, 0, heart())[None].astype(np.uint8)
    framing = frame(Scan(labels), None)
    (moment,) = Heart().measure(Segmented(labels, NAMES, Scan(labels, (0.5, 0.5)), framing), Path("a_ED.png")).moments
    assert moment.title == "end-diastole"
    assert len(moment.axes) == 1, "that of the ventricle"


def test_classes_without_a_ventricle_are_segmented_and_not_measured(tmp_path: Path):
    write_nifti(tmp_path / "a_4CH_ED.nii.gz", np.minimum(heart(), 1))
    run(tmp_path, tmp_path / "out", Heart(), classes=["background", "left_atrium"])
    row = rows(tmp_path / "out")["a"]
    assert row["method"] == row["lv_ef (%)"] == row["la_volume (ml)"] == ""
    assert (tmp_path / "out" / "a_4CH_ED_seg.nii.gz").is_file()
