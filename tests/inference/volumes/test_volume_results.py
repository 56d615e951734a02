"""From volumes to a table of millilitres: what is measured, resumed, refused and never touched."""

import csv
import json
import math
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from ct_series import write_series
from measuring_volumes import HU, NORMALISATION, OBLIQUE, affine, drawn, run, save
from PIL import Image

from common.datasets.files.volume.volume_files import volume_files
from common.palette import colour

SPACING = (1.5, 2.0, 3.0)
MATRIX = affine(np.diag([-1.0, -1.0, 1.0]), SPACING)


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "measurements.csv").open(newline="") as file:
        return {row["scan"]: row for row in csv.DictReader(file)}


def test_every_class_has_its_millilitres(tmp_path: Path):
    save(tmp_path / "in" / "a.nii.gz", drawn(), MATRIX)
    run(tmp_path / "in", tmp_path / "out")
    row = rows(tmp_path / "out")["a.nii.gz"]
    for value, name in ((1, "left_kidney"), (2, "spleen")):
        assert float(row[f"{name}_volume (ml)"]) == pytest.approx((drawn() == value).sum() * 9.0 / 1000, abs=1e-3)
    assert [float(row[f"spacing_{axis} (mm)"]) for axis in "xyz"] == [1.5, 2.0, 3.0]
    assert (float(row["certainty"]), row["flags"]) == (1.0, "")
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert (record["axes"], record["voxels"]) == ("LPS", [14, 12, 10])
    assert record["made"]["weights"] == "a"


@pytest.mark.parametrize("axes", [np.eye(3), OBLIQUE[:, [2, 0, 1]]], ids=["upright", "oblique"])
def test_an_ellipsoid_has_its_volume_although_the_network_sees_coarser_voxels(tmp_path: Path, axes: np.ndarray):
    spacing, half, middle = (0.9, 1.1, 2.5), np.array([17.0, 20.0, 24.0]), np.array([25.3, 27.1, 30.2])
    places = np.stack(np.meshgrid(*(side * np.arange(n) for side, n in zip(spacing, (56, 50, 25), strict=True)),
                                  indexing="ij"), axis=-1)  # fmt: skip
    inside = (((places - middle) / half) ** 2).sum(axis=-1) <= 1
    save(tmp_path / "a.nii.gz", inside.astype(np.uint8), affine(axes, spacing))
    run(tmp_path / "a.nii.gz", tmp_path / "out", spacing=[2.0, 2.0, 3.0])
    found = float(rows(tmp_path / "out")["a.nii.gz"]["left_kidney_volume (ml)"])
    assert found == pytest.approx(4 / 3 * math.pi * half.prod() / 1000, rel=0.02)


def test_a_structure_at_the_edge_of_the_scan_is_a_lower_bound(tmp_path: Path):
    labels = drawn()
    labels[2:7, 3:5, 8:] = 1  # up to the last slice, the uppermost
    save(tmp_path / "a.nii", labels, MATRIX)
    run(tmp_path / "a.nii", tmp_path / "out")
    flags = rows(tmp_path / "out")["a.nii"]["flags"]
    assert flags == "left kidney: cut off by the edge of the scan (superior), its volume is a lower bound"


def test_small_pieces_are_removed_and_large_ones_are_mentioned(tmp_path: Path):
    labels = drawn()
    labels[12, 1, 1] = 1  # a sixtieth of the kidney
    save(tmp_path / "a.nii", labels, MATRIX)
    run(tmp_path / "a.nii", tmp_path / "out")
    assert rows(tmp_path / "out")["a.nii"]["flags"] == ""
    assert float(rows(tmp_path / "out")["a.nii"]["left_kidney_volume (ml)"]) == pytest.approx(60 * 9 / 1000)
    run(tmp_path / "a.nii", tmp_path / "all", smallest_piece=0.0)
    assert float(rows(tmp_path / "all")["a.nii"]["left_kidney_volume (ml)"]) == pytest.approx(61 * 9 / 1000)
    labels[10:13, 0:3, 1:3] = 1
    save(tmp_path / "a.nii", labels, MATRIX)
    run(tmp_path / "a.nii", tmp_path / "flagged", smallest_piece=0.5)
    assert "left kidney: pieces were removed that make up 23 % of it" in rows(tmp_path / "flagged")["a.nii"]["flags"]


def test_an_unsure_network_is_flagged(tmp_path: Path):
    class Unsure(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.tensor([0.0, 0.1, 0.0]).view(1, 3, 1, 1, 1) + 0 * image

    save(tmp_path / "a.nii", drawn(), MATRIX)
    run(tmp_path / "a.nii", tmp_path / "out", network=Unsure())
    flags = rows(tmp_path / "out")["a.nii"]["flags"]
    assert "the network is unsure (0.36): does the volume show what the network was trained on?" in flags


def test_the_overlay_shows_left_on_the_right_and_up_on_top(tmp_path: Path):
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[4:10, 26:32, 30:36] = 1  # the axes run right, front and up: to the patient's left, in front, above
    save(tmp_path / "a.nii", labels, affine(np.eye(3), (2.0, 2.0, 2.0)))
    run(tmp_path / "a.nii", tmp_path / "out")
    with Image.open(tmp_path / "out" / "a_overlay.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    own = np.array([int(colour(1)[place : place + 2], 16) for place in (1, 3, 5)])
    outline = np.abs(pixels - own).sum(axis=2) < 40
    thirds = np.split(np.arange(pixels.shape[1] // 3 * 3), 3)
    places = [np.argwhere(outline[:-90][:, columns]).mean(axis=0) for columns in thirds]  # without the legend
    across = [place[1] / len(thirds[0]) for place in places]
    assert len(places) == 3
    assert across[0] > 0.55, "axial: the patient's left is on the right"
    assert across[1] > 0.55, "coronal, too"
    assert across[2] < 0.5, "sagittal: the front is on the left"


def three(folder: Path) -> Path:
    save(folder / "p1" / "a.nii.gz", drawn(), MATRIX)
    save(folder / "p2" / "a.nii.gz", drawn(), MATRIX)
    (folder / "p2" / "broken.nrrd").write_bytes(b"NRRD0004\nnothing")
    return folder


def test_one_broken_file_does_not_stop_the_others(tmp_path: Path):
    with pytest.raises(ValueError, match=r"1 of 3 files were left out.*p2/broken\.nrrd"):
        run(three(tmp_path / "in"), tmp_path / "out")
    assert set(rows(tmp_path / "out")) == {"p1/a.nii.gz", "p2/a.nii.gz"}
    left_out = json.loads((tmp_path / "out" / "measurements.json").read_text())["left_out"]
    assert list(left_out) == ["p2/broken.nrrd"]


def test_a_volume_that_cannot_be_written_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    three(tmp_path / "in")
    (tmp_path / "in" / "p2" / "broken.nrrd").unlink()
    results = "common.inference.volumes.results.write_label_volume"

    def odd(*given: object) -> None:
        if "p1" in Path(str(given[1])).parts:
            raise ValueError("odd")

    monkeypatch.setattr(results, odd)
    with pytest.raises(ValueError, match=r"1 of 2 files were left out.*p1/a\.nii\.gz"):
        run(tmp_path / "in", tmp_path / "out")
    assert set(rows(tmp_path / "out")) == {"p2/a.nii.gz"}


def interrupted(record: Path) -> None:
    """Leave a record as a run does that is killed while it writes the results."""
    results = dict.fromkeys(json.loads(record.read_text())["results"])
    record.write_text(json.dumps({"results": results}))


def test_finished_volumes_are_repeated_only_if_they_would_differ(tmp_path: Path):
    source, out = tmp_path / "in", tmp_path / "out"
    save(source / "a.nii.gz", drawn(), MATRIX)
    series = write_series(source / "ct", HU[drawn((10, 14, 12))])
    run(source, out)
    times = {name: (out / name).stat().st_mtime_ns for name in ("a_seg.nii.gz", "ct_seg.nii.gz")}
    table = (out / "measurements.csv").read_text()
    interrupted(out / "a.json")
    (out / "measurements.csv").unlink()
    run(source, out)
    assert (out / "measurements.csv").read_text() == table
    assert (out / "a_seg.nii.gz").stat().st_mtime_ns > times["a_seg.nii.gz"]
    assert (out / "ct_seg.nii.gz").stat().st_mtime_ns == times["ct_seg.nii.gz"]
    os.utime(series / "007.dcm", ns=(1, 2**62))  # a slice changed
    run(source, out)
    assert (out / "ct_seg.nii.gz").stat().st_mtime_ns > times["ct_seg.nii.gz"]
    run(source, out, network=torch.nn.Module())  # would fail if it were called


def test_results_are_not_read_and_inputs_are_not_touched(tmp_path: Path):
    source = three(tmp_path / "in")
    (source / "p2" / "broken.nrrd").unlink()
    write_series(source / "ct", HU[drawn((10, 14, 12))])
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    run(source, source / "results")
    assert (
        volume_files(source, source / "results")
        == volume_files(source)
        == sorted([source / "ct", source / "p1" / "a.nii.gz", source / "p2" / "a.nii.gz"])
    )  # masks are left out wherever they are
    shutil.rmtree(source / "results")
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


def test_results_beside_what_is_read_are_refused(tmp_path: Path):
    save(tmp_path / "a.nii.gz", drawn(), MATRIX)
    with pytest.raises(ValueError, match=r"is read, so results cannot go there; choose another --output"):
        run(tmp_path, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"]


def test_annotations_hidden_files_and_other_objects_are_not_listed(tmp_path: Path):
    save(tmp_path / "a_gt.nii.gz", drawn(), MATRIX)
    save(tmp_path / ".b.nii.gz", drawn(), MATRIX)
    (tmp_path / "notes.txt").write_text("no volume")
    with pytest.raises(FileNotFoundError, match=r"expected NIfTI, MetaImage or NRRD volumes, or folders of CT"):
        volume_files(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere is missing"):
        volume_files(tmp_path / "nowhere")


def changed(values: np.ndarray, path: Path, matrix: np.ndarray = MATRIX) -> Path:
    nib.Nifti1Image(values, matrix).to_filename(path)
    return path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (HU[drawn()][:, :, 0], r"its size is \[14, 12\]; expected one volume of 3 dimensions"),
        (HU[drawn()][:, :, :1], r"it has 14 x 12 x 1 voxels; expected a volume of at least 2 slices"),
        (np.stack([HU[drawn()]] * 3, axis=-1), r"its size is \[14, 12, 10, 3\]; expected one volume"),
        ((drawn() / 2).astype(np.float32), r"its values are 0 to 1, .* on -200 to 300\. Are they normalised\?"),
        (HU[drawn()] + np.int16(1024), r"its values are 924 to 1274, .* Were they shifted or rescaled\?"),
        ((HU[drawn()] + 100).astype(np.uint8), r"its values are 0 to 200, .* Were they shifted or rescaled\?"),
        (np.where(drawn() == 1, np.nan, 5.0).astype(np.float32), r"some voxels are not finite numbers"),
        (np.full((5, 5, 5), -100, np.int16), r"its values are -100 to -100"),
    ],
    ids=["picture", "one slice", "four axes", "normalised", "no intercept", "8 bit", "NaN", "blank"],
)
def test_what_the_network_was_not_trained_on_is_refused(tmp_path: Path, values: np.ndarray, message: str):
    with pytest.raises(ValueError, match=rf"a\.nii.*{message}"):
        run(changed(values, tmp_path / "a.nii"), tmp_path / "out")


@pytest.mark.parametrize(
    ("spacing", "message"),
    [
        ((0.0, 2.0, 2.0), r"its voxels are \[0.*\] mm apart, allowed are 0\.01 to 100"),
        ((25.0, 2.0, 2.0), r"its voxels are 25 x 2 x 2 mm apart, expected up to 20; is the header's unit right\?"),
    ],
)
def test_voxels_of_impossible_sizes_are_refused(tmp_path: Path, spacing: tuple[float, ...], message: str):
    save(tmp_path / "a.nii", drawn(), affine(np.eye(3), (max(spacing[0], 1.0), *spacing[1:])))
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[80:84] = np.array(spacing[0], "<f4").tobytes()  # pixdim
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.nii.*{message}"):
        run(tmp_path / "a.nii", tmp_path / "out")


def test_a_series_with_a_missing_slice_or_a_tilted_gantry_is_refused(tmp_path: Path):
    values = HU[drawn((10, 14, 12))]
    write_series(tmp_path / "missing" / "ct", values, leave_out=(4,))
    with pytest.raises(ValueError, match=r"do not make one volume: some are missing, .* or a tilted gantry"):
        run(tmp_path / "missing", tmp_path / "out")
    tilted = write_series(tmp_path / "tilted" / "ct", values)
    for path in tilted.iterdir():
        stored = pydicom.dcmread(path)
        x, y, z = stored.ImagePositionPatient
        stored.ImagePositionPatient = [x, float(y) + 0.3 * float(z), z]
        stored.save_as(path)
    with pytest.raises(ValueError, match="or a tilted gantry"):
        run(tmp_path / "tilted", tmp_path / "out")


def test_without_a_window_values_far_from_those_of_the_training_are_refused(tmp_path: Path):
    trained = {"window": None, "mean": 600.0, "sd": 200.0}
    with pytest.raises(ValueError, match=r"its values are 0 to 1, .* on values of about 200 to 1000"):
        run(changed((drawn() / 2).astype(np.float32), tmp_path / "a.nii"), tmp_path / "out", normalisation=trained)
    assert NORMALISATION["window"] is not None


@pytest.mark.parametrize("name", ["a_seg.nii.gz", "a_overlay.png", "a.json"])
def test_files_of_another_are_kept_and_the_volume_is_left_out(tmp_path: Path, name: str):
    save(tmp_path / "in" / "a.nii", drawn(), MATRIX)
    save(tmp_path / "in" / "b.nii", drawn(), MATRIX)
    own = tmp_path / "out" / name
    own.parent.mkdir()
    own.write_bytes(b"by hand")
    with pytest.raises(ValueError, match=r"1 of 2 files were left out.*a\.nii"):
        run(tmp_path / "in", tmp_path / "out")
    assert own.read_bytes() == b"by hand"
    reason = json.loads((tmp_path / "out" / "measurements.json").read_text())["left_out"]["a.nii"]
    assert f"{name} is not " in reason
    assert "it is not overwritten. Move it, or choose another --output" in reason
    assert set(rows(tmp_path / "out")) == {"b.nii"}


def test_a_corrected_label_map_is_kept_and_an_interrupted_one_is_written_again(tmp_path: Path):
    source, out = save(tmp_path / "a.nii", drawn(), MATRIX), tmp_path / "out"
    run(source, out)
    label_map = out / "a_seg.nii.gz"
    written = label_map.read_bytes()
    label_map.write_bytes(b"corrected")
    for change in ({}, {"weights": "b"}):
        with pytest.raises(ValueError, match=r"a_seg\.nii\.gz is not as a measurement left it"):
            run(source, out, made_by=change)
    assert label_map.read_bytes() == b"corrected"
    interrupted(out / "a.json")
    run(source, out, made_by={"weights": "b"})
    assert label_map.read_bytes() == written
    run(source, out, made_by={"weights": "c"})  # its own results are replaced
    assert json.loads((out / "a.json").read_text())["made"]["weights"] == "c"
