"""CAMUS reader on releases written here, and on the real ones if they are available."""

from collections import Counter
from pathlib import Path

import itk
import numpy as np
import pytest

from common.datasets.prepared.layout import read_datalist, read_provenance
from common.datasets.prepared.preparation import prepare
from common.datasets.prepared.source import Frame
from common.datasets.readers.camus import camus

SPACING = (0.308, 0.308)  # mm, (row, column)
SPLIT = {"training": ["patient0001", "patient0003"], "validation": ["patient0002"], "testing": ["patient0004"]}


def write(path: Path, pixels: np.ndarray, spacing: tuple[float, ...] = SPACING) -> None:
    """Write (row, column), or (1, row, column); `spacing` is (row, column[, slice])."""
    image = itk.image_view_from_array(np.ascontiguousarray(pixels))
    image.SetSpacing((spacing[1], spacing[0], *spacing[2:]))  # ITK: (x, y[, z])
    path.parent.mkdir(parents=True, exist_ok=True)
    itk.imwrite(image, str(path))


def scan(number: int) -> np.ndarray:
    """Grey values that no transposition or flip maps onto themselves, (row, column)."""
    rows, columns = 48, 64
    image = np.add.outer(np.arange(rows) * 3, np.arange(columns)) % 200 + number
    return image.astype(np.float32)


def annotation() -> np.ndarray:
    label = np.zeros((48, 64), np.float32)
    label[5:20, 10:30], label[5:20, 30:34], label[24:40, 12:28] = 1, 2, 3
    return label


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients with one view, as .nii.gz and .nii; read it, do not write to it."""
    return make_release(tmp_path_factory.mktemp("camus"))


def make_release(root: Path) -> Path:
    for fold, patients in SPLIT.items():
        path = root / "database_split" / f"subgroup_{fold}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(patients) + "\n")
        for patient in patients:
            for phase in ("ED", "ES"):
                suffix = ".nii" if patient == "patient0002" else ".nii.gz"
                stem = f"{patient}_4CH_{phase}"
                write(root / "database_nifti" / patient / (stem + suffix), scan(int(patient[-4:])))
                write(root / "database_nifti" / patient / (f"{stem}_gt" + suffix), annotation())
    return root


def path_of(root: Path, name: str) -> Path:
    return root / "database_nifti" / name[:11] / name


def read_all(root: Path) -> dict[str, Frame]:
    return {job.id: job.read() for job in camus(root).jobs}


def test_the_official_split_is_used(release: Path):
    jobs = camus(release).jobs
    folds = {job.item["patient"]: job.item["fold"] for job in jobs}
    assert folds == {
        "patient0001": "training",
        "patient0003": "training",
        "patient0002": "validation",
        "patient0004": "test",
    }
    assert len(jobs) == 8
    assert {(job.item["view"], job.item["phase"]) for job in jobs} == {("4CH", "ED"), ("4CH", "ES")}
    assert all(job.id == f"{job.item['patient']}_4CH_{job.item['phase']}" for job in jobs)


def test_every_frame_of_the_release_is_read(release: Path):
    frames = read_all(release)
    for name, frame in frames.items():
        np.testing.assert_array_equal(frame.image, scan(int(name[7:11])), err_msg=name)
        np.testing.assert_array_equal(frame.label, annotation(), err_msg=name)
        assert frame.spacing == pytest.approx(SPACING)
    assert len(frames) == 8


def test_a_release_is_prepared(release: Path, tmp_path: Path):
    prepare(camus(release), tmp_path / "camus", size=32, workers=1)
    items = read_datalist(tmp_path / "camus", "training")
    assert [Path(item["image"]).name for item in items] == [
        f"patient{patient}_4CH_{phase}.png" for patient in ("0001", "0003") for phase in ("ED", "ES")
    ]
    assert items[0]["spacing"] == pytest.approx([0.308 * 48 / 32, 0.308 * 64 / 32])
    assert items[0]["values"] == [0, 1, 2, 3]
    provenance = read_provenance(tmp_path / "camus")
    assert provenance["skipped"] == {"2CH view": "not in this copy of the data"}
    assert "CC BY-NC-SA 4.0" in provenance["licence"]
    assert "10.1109/TMI.2019.2900516" in provenance["citation"]


def test_both_views_are_read_if_present(tmp_path: Path):
    make_release(tmp_path)
    for fold in SPLIT.values():
        for patient in fold:
            for path in (tmp_path / "database_nifti" / patient).glob("*_4CH_*"):
                path.with_name(path.name.replace("4CH", "2CH")).write_bytes(path.read_bytes())
    both = camus(tmp_path)
    assert len(both.jobs) == 16
    assert both.skipped == {}
    assert Counter(job.item["view"] for job in both.jobs) == {"2CH": 8, "4CH": 8}


def test_a_missing_annotation_stops_the_reader_or_is_left_out_and_recorded(tmp_path: Path):
    make_release(tmp_path)
    path_of(tmp_path, "patient0003_4CH_ED_gt.nii.gz").unlink()
    message = r"patient0003 has no patient0003_4CH_ED_gt\.nii\.gz; run with --skip-incomplete to leave the image out"
    with pytest.raises(FileNotFoundError, match=message):
        camus(tmp_path)
    found = camus(tmp_path, skip_incomplete=True)
    assert len(found.jobs) == 7
    assert found.skipped["patient0003_4CH_ED"] == "patient0003_4CH_ED_gt.nii.gz is missing"


def test_a_missing_image_is_named_instead_of_its_annotation(tmp_path: Path):
    make_release(tmp_path)
    path_of(tmp_path, "patient0001_4CH_ES.nii.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"patient0001 has no patient0001_4CH_ES\.nii\.gz;"):
        camus(tmp_path)


def test_a_patient_outside_the_split_is_recorded(tmp_path: Path):
    make_release(tmp_path)
    (tmp_path / "database_split" / "subgroup_testing.txt").unlink()
    found = camus(tmp_path)
    assert found.skipped["patient0004"] == "not in the official split"
    assert {job.item["patient"] for job in found.jobs} == {"patient0001", "patient0002", "patient0003"}


def test_an_unknown_annotation_value_is_named(tmp_path: Path):
    make_release(tmp_path)
    label = annotation()
    label[0, 0] = 4
    write(path_of(tmp_path, "patient0001_4CH_ED_gt.nii.gz"), label)
    with pytest.raises(ValueError, match=r"ED_gt\.nii\.gz has the annotation values \[4\], expected .* \[0, 1, 2, 3\]"):
        read_all(tmp_path)


def test_an_annotation_of_another_spacing_is_named(tmp_path: Path):
    make_release(tmp_path)
    write(path_of(tmp_path, "patient0001_4CH_ED_gt.nii.gz"), annotation(), (0.308, 0.154))
    with pytest.raises(ValueError, match=r"ED\.nii\.gz has spacing \(0\.30.*ED_gt\.nii\.gz \(0\.30\d*, 0\.15\d*\) mm"):
        read_all(tmp_path)


def test_an_annotation_of_another_shape_is_named(tmp_path: Path):
    make_release(tmp_path)
    write(path_of(tmp_path, "patient0001_4CH_ED_gt.nii.gz"), annotation()[:40])
    with pytest.raises(ValueError, match=r"patient0001_4CH_ED_gt\.nii\.gz has shape \(40, 64\), its image \(48, 64\)"):
        read_all(tmp_path)


@pytest.mark.parametrize("name", ["../../patient0001", "patient1", "/etc/passwd", "patient0001.nii"])
def test_a_split_with_other_entries_is_refused(tmp_path: Path, name: str):
    make_release(tmp_path)
    (tmp_path / "database_split" / "subgroup_testing.txt").write_text(f"patient0004\n{name}\n")
    with pytest.raises(ValueError, match=r"subgroup_testing\.txt lists '.*', expected patientXXXX"):
        camus(tmp_path)


INFO = "ED: 1\nES: 18\nNbFrame: 18\nSex: F\nAge: 56\nImageQuality: Good\n"


def test_the_info_file_becomes_fields_of_the_items(tmp_path: Path):
    make_release(tmp_path)
    info = tmp_path / "database_nifti/patient0001/Info_4CH.cfg"
    info.write_text(INFO + "EF: 54\nFrameRate: 41.7\n")
    diastole, systole, other = camus(tmp_path).jobs[:3]
    expected = {"ef": 54.0, "quality": "Good", "sex": "F", "age": 56.0, "frame_rate": 41.7}
    assert {key: diastole.item[key] for key in expected} == expected
    assert (diastole.item["frame"], systole.item["frame"]) == (0, 17), "CAMUS counts from 1"
    assert "ef" not in other.item


def test_a_damaged_info_file_costs_only_its_fields(tmp_path: Path):
    make_release(tmp_path)
    (tmp_path / "database_nifti/patient0001/Info_4CH.cfg").write_text(INFO + "EF: fifty\n")
    found = camus(tmp_path)
    assert len(found.jobs) == 8
    assert "Info_4CH.cfg has a value that is not a number" in found.skipped["fields of patient0001_4CH"]


def test_the_release_of_2019_keeps_its_spacing(tmp_path: Path):
    for phase in ("ED", "ES"):
        stem = tmp_path / "training/patient0007" / f"patient0007_2CH_{phase}"
        write(stem.with_suffix(".mhd"), scan(7).astype(np.uint8)[None], (0.154, 0.308, 1.54))
        write(stem.with_name(stem.name + "_gt.mhd"), annotation().astype(np.uint8)[None], (0.154, 0.308, 1.54))
    (tmp_path / "training/patient0007/Info_2CH.cfg").write_text(INFO + "LVedv: 94.0\nLVesv: 34.6\nLVef: 63.2\n")
    (tmp_path / "testing/patient0007").mkdir(parents=True)
    found = camus(tmp_path)
    assert found.facts == {"release": "2019"}
    assert found.skipped == {
        "testing": "this release has no annotations of testing patients",
        "4CH view": "not in this copy of the data",
    }
    diastole = found.jobs[0]
    assert diastole.item["fold"] is None, "preparation assigns it"
    assert (diastole.item["ef"], diastole.item["edv"], diastole.item["esv"]) == (63.2, 94.0, 34.6)
    frame = diastole.read()
    np.testing.assert_array_equal(frame.image, scan(7))
    np.testing.assert_array_equal(frame.label, annotation())
    assert frame.spacing == pytest.approx((0.154, 0.308))


def test_a_patient_in_two_folds_is_refused(tmp_path: Path):
    make_release(tmp_path)
    (tmp_path / "database_split" / "subgroup_testing.txt").write_text("patient0004\npatient0001\n")
    message = r"subgroup_testing\.txt lists patient0001, which is already in the fold 'training'"
    with pytest.raises(ValueError, match=message):
        camus(tmp_path)


def test_a_wrong_folder_raises_an_error_that_describes_the_right_one(release: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"SOURCE is the folder with database_nifti and database_split"):
        camus(release / "database_nifti")
    (tmp_path / "database_split").mkdir()
    (tmp_path / "database_split" / "subgroup_training.txt").write_text("patient0001\n")
    with pytest.raises(FileNotFoundError, match=r"database_nifti has no patientXXXX/patientXXXX_\{2CH,4CH\}_ED"):
        camus(tmp_path)


def area(frame: Frame, value: int) -> float:
    """Area of an annotation value, cm2."""
    return float((frame.label == value).sum() * frame.spacing[0] * frame.spacing[1] / 100)


@pytest.mark.slow
def test_the_real_release_has_its_known_measurements(echo_data: Path):
    jobs = camus(echo_data / "camus").jobs
    folds = [job.item["fold"] for job in jobs]
    assert (folds.count("training"), folds.count("validation")) == (798, 100)
    assert {job.item["view"] for job in jobs} == {"4CH"}
    frames = {job.id: job.read() for job in jobs[::20] + jobs[1::20]}  # every tenth patient, ED and ES
    assert len(frames) == 90
    diastolic = []
    for name, native in frames.items():
        assert native.spacing == pytest.approx((0.308, 0.308), rel=1e-5)
        assert set(np.unique(native.label)) <= {0, 1, 2, 3}
        assert native.image.shape == native.label.shape
        squashed = native.resized(256)
        assert area(squashed, 1) == pytest.approx(area(native, 1), rel=0.01)
        for frame in (native, squashed):
            ventricle, atrium = (np.argwhere(frame.label == value)[:, 0].mean() for value in (1, 3))
            assert ventricle < atrium, f"{name}: the ventricle is nearer to the transducer"
            assert (frame.image[0] > 0).mean() < 0.1, f"{name}: the sector begins in a point at the top"
            if name.endswith("ED"):
                systolic = frames[name.replace("ED", "ES")]
                systolic = systolic if frame is native else systolic.resized(256)
                assert area(frame, 1) > area(systolic, 1), name
        if name.endswith("ED"):
            diastolic.append((area(native, 1), area(squashed, 1)))
    assert len(diastolic) == 45
    # median of all 499 patients: 28.9 cm2
    assert np.median(diastolic, axis=0) == pytest.approx([28.9, 28.9], abs=1.5)


@pytest.mark.slow
def test_the_real_folds_share_no_patient(echo_data: Path):
    folds: dict[str, set[str]] = {}
    for job in camus(echo_data / "camus").jobs:
        folds.setdefault(job.item["patient"], set()).add(job.item["fold"])
    assert len(folds) == 449
    assert all(len(of_patient) == 1 for of_patient in folds.values()), folds


@pytest.mark.slow
def test_the_real_release_of_2019_agrees_with_its_info_files(echo_data: Path):
    jobs = {job.id: job for job in camus(echo_data / "camus_2019").jobs}
    assert len(jobs) == 8, "2 patients, 2 views, 2 phases"
    for name, job in jobs.items():
        frame = job.read()
        assert frame.spacing == pytest.approx((0.154, 0.308)), "pixels are twice as wide as high"
        assert set(np.unique(frame.label)) == {0, 1, 2, 3}, name
        if name.endswith("ED"):
            systole = jobs[name.replace("ED", "ES")].read()
            assert area(frame, 1) > area(systole, 1)
            assert job.item["ef"] == pytest.approx(100 * (1 - job.item["esv"] / job.item["edv"]), abs=0.1)
    first = jobs["patient0001_2CH_ED"]
    assert (first.item["edv"], first.item["esv"], first.item["ef"]) == (94.0, 34.6, 63.2)
    assert first.read().image.shape == (778, 549)
    assert (first.item["frame"], jobs["patient0001_2CH_ES"].item["frame"]) == (0, 17)
