"""From files to label maps, overlays, records and a table, for an organ that the code does not know."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from dicom_files import bundled
from drawn_heart import SIDE, STEP
from measuring import rows, run, write_dicom, write_nifti
from PIL import Image

from common.datasets.files.images import read_grey
from common.datasets.sector.finder import SectorFinder
from common.inference import Areas, Plan, Scans
from common.inference.segmentation import network_images

CLASSES = ["background", "kidney", "liver"]


def drawn() -> np.ndarray:
    """Labels of a liver of 60 x 80 pixels above a kidney of 30 x 40."""
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[40:100, 60:140], labels[120:150, 80:120] = 2, 1
    return labels


def measure(source: Path, out: Path, **options):
    return run(source, out, Areas(CLASSES), classes=CLASSES, **options)


def pair(folder: Path) -> Path:
    write_nifti(folder / "p1" / "one.nii.gz", drawn())
    write_nifti(folder / "p1" / "two.nii.gz", drawn())
    return folder


def test_a_picture_gives_a_label_map_an_overlay_a_record_and_areas_in_pixels(tmp_path: Path):
    Image.fromarray(drawn() * STEP).save(tmp_path / "a.png")
    measure(tmp_path, tmp_path / "out")
    out = tmp_path / "out"
    assert {path.name for path in out.glob("[!.]*")} == {
        "a.json", "a_overlay.png", "a_seg.png", "measurements.csv", "measurements.json"
    }  # fmt: skip
    np.testing.assert_array_equal(np.asarray(Image.open(out / "a_seg.png")), drawn())
    row = rows(out)["a.png"]
    assert (float(row["kidney_pixels (pixels)"]), float(row["liver_pixels (pixels)"])) == (30 * 40, 60 * 80)
    assert row["spacing_source"] == "unknown"
    assert float(row["certainty"]) == 1.0
    assert "kidney_area (mm²)" not in row


def test_areas_are_in_square_millimetres_where_the_spacing_is_known(tmp_path: Path):
    write_nifti(tmp_path / "a.nii.gz", drawn())  # 0.5 mm
    Image.fromarray(drawn() * STEP).save(tmp_path / "b.png")
    measure(tmp_path, tmp_path / "out")
    table = rows(tmp_path / "out")
    assert float(table["a.nii.gz"]["kidney_area (mm²)"]) == 30 * 40 / 4
    assert table["a.nii.gz"]["kidney_pixels (pixels)"] == table["b.png"]["kidney_area (mm²)"] == ""
    assert float(table["b.png"]["kidney_pixels (pixels)"]) == 30 * 40
    units = json.loads((tmp_path / "out" / "measurements.json").read_text())["units"]
    assert units["liver_area_largest"] == "mm²"


def test_a_clip_has_the_mean_and_the_range_over_its_frames(tmp_path: Path):
    larger, without = drawn(), drawn()
    larger[120:150, 80:130] = 1
    without[without == 1] = 0
    write_nifti(tmp_path / "a.nii.gz", np.stack([drawn(), larger, without]))
    measure(tmp_path, tmp_path / "out", smallest_piece=0.0)
    row = rows(tmp_path / "out")["a.nii.gz"]
    found = [float(row[f"kidney_area{which} (mm²)"]) for which in ("", "_smallest", "_largest")]
    assert found == [(300 + 375 + 0) / 3, 0.0, 375.0]
    assert (tmp_path / "out" / "a_overlay.mp4").stat().st_size > 0
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert record["areas"]["kidney"] == [300.0, 375.0, 0.0]


def test_a_dicom_segmentation_names_the_bundle_and_the_classes(tmp_path: Path):
    write_dicom(tmp_path / "a.dcm", drawn())
    measure(tmp_path, tmp_path / "out")
    written = pydicom.dcmread(tmp_path / "out" / "a_seg.dcm")
    assert written.SoftwareVersions == "7"
    assert [segment.SegmentLabel for segment in written.SegmentSequence] == ["kidney", "liver"]
    for segment in written.SegmentSequence:
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("drawn", "7")
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Anatomical Structure"


def test_unsure_segmentations_are_flagged_and_not_shown(tmp_path: Path):
    Image.fromarray(drawn() * STEP).save(tmp_path / "a.png")
    measure(tmp_path, tmp_path / "out")
    assert (tmp_path / "out" / "a_overlay.png").is_file(), "of what the picture showed then"
    Image.fromarray(np.full((SIDE, SIDE), STEP + STEP // 2, np.uint8)).save(tmp_path / "a.png")  # two classes
    measure(tmp_path, tmp_path / "out")
    flags = rows(tmp_path / "out")["a.png"]["flags"]
    assert "the network is unsure (0.5" in flags
    assert "does the image show what the network was trained on?" in flags
    assert not list((tmp_path / "out").glob("*_overlay*"))


class Both(torch.nn.Module):
    """Logits for sigmoids that find both classes in every pixel."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.0, 5.0, 4.0]).view(1, 3, 1, 1).expand(len(image), 3, *image.shape[2:])


def test_certainty_is_that_of_the_sigmoids_if_the_network_was_trained_with_them(tmp_path: Path):
    Image.fromarray(drawn()).save(tmp_path / "a.png")
    for activation, expected in (
        ("sigmoid", 1 / (1 + np.exp(-5))),
        ("softmax", np.exp(5) / (1 + np.exp(5) + np.exp(4))),
    ):
        measure(tmp_path / "a.png", tmp_path / activation, network=Both(), activation=activation)
        assert float(rows(tmp_path / activation)["a.png"]["certainty"]) == pytest.approx(expected, abs=6e-4)


def test_a_sector_that_was_looked_for_in_vain_is_noted(tmp_path: Path):
    Image.fromarray(drawn() * STEP).save(tmp_path / "a.png")
    measure(tmp_path, tmp_path / "whole")
    assert rows(tmp_path / "whole")["a.png"]["flags"] == ""
    measure(tmp_path, tmp_path / "sector", sector_finder=SectorFinder())
    flags = rows(tmp_path / "sector")["a.png"]["flags"]
    assert "sector was not found by geometry, and no network was asked: the network saw the whole image" in flags


def test_an_unreadable_file_does_not_stop_the_others(tmp_path: Path):
    source = pair(tmp_path / "in")
    (source / "a_broken.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(ValueError, match=r"1 of 3 files were left out.*a_broken.png"):
        measure(source, tmp_path / "out")
    assert "p1/one.nii.gz" in rows(tmp_path / "out")
    left_out = json.loads((tmp_path / "out" / "measurements.json").read_text())["left_out"]
    assert list(left_out) == ["a_broken.png"]
    with pytest.raises(ValueError, match=r"a_broken.png cannot be read as PNG"):
        measure(source / "a_broken.png", tmp_path / "single")


def test_finished_scans_are_repeated_only_if_they_would_differ(tmp_path: Path):
    source, out = pair(tmp_path / "in"), tmp_path / "out"
    measure(source, out)
    label_map = out / "p1" / "one_seg.nii.gz"
    first, expected = label_map.stat().st_mtime_ns, (out / "measurements.csv").read_text()
    record = out / "p1" / "two.json"
    record.write_text(json.dumps({"results": dict.fromkeys(json.loads(record.read_text())["results"])}))  # interrupted
    measure(source, out)
    assert label_map.stat().st_mtime_ns == first
    assert (out / "measurements.csv").read_text() == expected
    measure(source, out, made_by={"weights": "b"})
    assert label_map.stat().st_mtime_ns > first
    second = label_map.stat().st_mtime_ns
    os.utime(source / "p1" / "one.nii.gz", ns=(1, 1))  # another file under the same name
    measure(source, out, made_by={"weights": "b"})
    assert label_map.stat().st_mtime_ns > second


@pytest.mark.parametrize("change", [{}, {"weights": "b"}], ids=["same run", "other weights"])
def test_a_corrected_label_map_is_kept_and_its_scan_left_out(tmp_path: Path, change: dict[str, str]):
    source, out = pair(tmp_path / "in"), tmp_path / "out"
    measure(source, out)
    corrected = out / "p1" / "one_seg.nii.gz"
    write_nifti(corrected, np.zeros_like(drawn()))
    by_hand = corrected.read_bytes()
    with pytest.raises(ValueError, match=r"1 of 2 files were left out, .*one\.nii\.gz"):
        measure(source, out, made_by=change)
    assert corrected.read_bytes() == by_hand
    assert list(rows(out)) == ["p1/two.nii.gz"]
    reason = json.loads((out / "measurements.json").read_text())["left_out"]["p1/one.nii.gz"]
    assert "one_seg.nii.gz is not as a measurement left it; it is not overwritten" in reason


def test_a_file_of_another_program_is_not_overwritten(tmp_path: Path):
    source, out = pair(tmp_path / "in"), tmp_path / "out"
    (out / "p1").mkdir(parents=True)
    (out / "p1" / "one_seg.nii.gz").write_text("mine")
    with pytest.raises(ValueError, match="1 of 2 files were left out"):
        measure(source, out)
    assert (out / "p1" / "one_seg.nii.gz").read_text() == "mine"


def test_results_inside_the_input_are_not_read(tmp_path: Path):
    source = pair(tmp_path / "in")
    measure(source, source / "results")
    assert len(Plan(source, source / "results", {}).files) == 2


def test_a_source_without_scans_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no scan")
    with pytest.raises(FileNotFoundError, match=r"expected DICOM, .* files, got none"):
        _ = Plan(tmp_path, tmp_path / "out", {}).files
    with pytest.raises(FileNotFoundError, match=r"nowhere is missing"):
        _ = Plan(tmp_path / "nowhere", tmp_path / "out", {}).files


def test_files_of_one_name_and_two_kinds_do_not_overwrite_each_other(tmp_path: Path):
    (tmp_path / "in").mkdir()
    Image.fromarray(drawn() * STEP).save(tmp_path / "in" / "a.png")
    write_nifti(tmp_path / "in" / "a.nii.gz", drawn())
    measure(tmp_path / "in", tmp_path / "out")
    assert {"a.png.json", "a.nii.gz.json"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert len(rows(tmp_path / "out")) == 2


@pytest.mark.parametrize("spacing", ["x", [0.3], -0.3, [0.3, 0.3, 0.3], [0.3, None], float("nan")])
def test_an_invalid_spacing_is_refused(spacing: object):
    if spacing == [0.3]:
        assert Scans([], 16, spacing=spacing).spacing == (0.3, 0.3)
        return
    with pytest.raises(ValueError, match=r"expected spacing in mm per pixel, .* got "):
        Scans([], 16, spacing=spacing)


def test_only_bundles_that_look_for_a_sector_insist_on_ultrasound():
    path = bundled("CT_small.dcm")
    item = Scans([path], 64)[0]
    assert item["error"] == ""
    torch.testing.assert_close(item["image"], network_images(read_grey(path)[0][None], 64), rtol=0, atol=0)
    refused = Scans([path], 64, sector_finder=SectorFinder())[0]
    assert "its Modality is CT; ultrasound (US) is expected" in refused["error"]


def test_a_run_that_finds_everything_finished_reads_nothing(tmp_path: Path):
    source, out = pair(tmp_path / "in"), tmp_path / "out"
    measure(source, out)
    expected = (out / "measurements.csv").read_text()
    (out / "measurements.csv").unlink()
    measure(source, out, network=torch.nn.Module())  # would fail if it were called
    assert (out / "measurements.csv").read_text() == expected


def test_no_output_mentions_another_organ(tmp_path: Path):
    Image.fromarray(drawn() * STEP).save(tmp_path / "a.png")
    measure(tmp_path, tmp_path / "out")
    text = "".join(path.read_text() for path in (tmp_path / "out").iterdir() if path.suffix in (".json", ".csv"))
    assert "kidney" in text
    assert not re.search(HEART, text, re.IGNORECASE)


ROOT = Path(__file__).parents[2]
HEART = r"heart|ventric|\batri|lv_|(?<!\.)\bviews?\b|\bphases?\b|ejection"


def test_the_way_from_files_to_results_knows_no_organ():
    files = [*ROOT.glob("common/inference/**/*.py"), *ROOT.glob("common/workflows/**/*.yaml")]
    assert len(files) > 30
    for path in files:
        assert re.findall(HEART, path.read_text(), re.IGNORECASE) == [], path
