"""OpenKBP: every patient annotates the organs that the release says."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from layouts.open_kbp_layout import LENGTHS, draw_neck, missing_organs, write_open_kbp
from own_volumes import BOTH, ct, save

from common.datasets import coverage_table, labels_of, read_datalist, stated_label_sets
from common.datasets.prepared.layout import read_provenance
from common.datasets.readers.open_kbp import ORGANS as TABLES_OF
from common.datasets.readers.open_kbp import open_kbp
from common.datasets.volumes.form import prepare_volumes
from common.datasets.volumes.layout import read_volume_pair

REAL = Path(os.environ.get("ECHO_DATA", "")) / "open_kbp"
ORGANS = list(TABLES_OF)
HEADER = f"id,fold,{','.join(ORGANS)}\n"


def write_nifti_form(root: Path, *rows: str) -> Path:
    for row in rows:
        patient = row.split(",")[0]
        save(root / "ct" / f"{patient}.nii.gz", ct())
        save(root / "labels" / f"{patient}.nii.gz", BOTH)
    (root / "cases.csv").write_text(HEADER + "\n".join(rows) + "\n")
    return root


def test_organs_with_0_are_not_annotated(tmp_path: Path):
    source = open_kbp(write_nifti_form(tmp_path, "pt_1,train,1,1,1,1,0,0,1", "pt_2,validation,1,1,1,1,1,1,1"))
    assert [job.item for job in source.jobs] == [
        {"dataset": "open_kbp_partial", "patient": "pt_1", "fold": "training", "unlabelled": ["esophagus", "larynx"]},
        {"dataset": "open_kbp", "patient": "pt_2", "fold": "validation"},
    ]
    np.testing.assert_array_equal(source.jobs[0].read().label, BOTH)


@pytest.mark.parametrize("row", ["pt_1,training,1,1,1,1,0,0,1", "pt_1,train,1,1,1,1,0,0,yes", "pt_1,train,1,1"])
def test_a_wrong_row_names_its_line(tmp_path: Path, row: str):
    with pytest.raises(ValueError, match=r"cases\.csv, row 2: fold is"):
        open_kbp(write_nifti_form(tmp_path, row))


def test_a_missing_file_is_named(tmp_path: Path):
    root = write_nifti_form(tmp_path, "pt_1,train,1,1,1,1,1,1,1")
    (root / "labels/pt_1.nii.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"pt_1 has no .*labels/pt_1\.nii\.gz"):
        open_kbp(root)


def test_a_folder_of_neither_form_is_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"has neither provided-data/train-pats/pt_1 nor cases\.csv"):
        open_kbp(tmp_path)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kbp")
    write_open_kbp(folder, 2)
    return folder


def test_a_patient_of_the_release_comes_back_as_drawn(release: Path):
    source = open_kbp(release)
    assert [job.id for job in source.jobs] == ["pt_1", "pt_2"]
    for number, job in enumerate(source.jobs, start=1):
        missing = {TABLES_OF[name] for name in job.item.get("unlabelled", ())}
        assert missing == missing_organs(number)
        ct, organs, given = draw_neck(number)
        volume = job.read().reoriented()
        # in the patient: x to the right, y to the front, z upwards; the release has them back, left, down
        turned = {name: values.transpose(1, 0, 2)[::-1, ::-1, ::-1] for name, values in organs.items()}
        expected = np.where(given, ct, -1024).transpose(1, 0, 2)[::-1, ::-1, ::-1]
        start = np.linalg.solve(volume.affine, [0, 0, 0, 1])[:3].round().astype(int)  # where voxel 127, 127, 127 lies
        first = 127 - start
        box = tuple(slice(int(one), int(one) + size) for one, size in zip(first, volume.image.shape, strict=True))
        np.testing.assert_array_equal(volume.image, expected[box])
        for value, name in enumerate(TABLES_OF.values(), start=1):
            later = [other for other in list(TABLES_OF.values())[value:] if other not in missing]
            own = turned[name] & ~np.any([turned[other] for other in later], axis=0) if later else turned[name]
            shown = own[box] & (expected[box] != -1024)
            np.testing.assert_array_equal(volume.label == value, shown & (name not in missing), err_msg=name)
        assert volume.spacing == LENGTHS
        shown = given.transpose(1, 0, 2)[::-1, ::-1, ::-1][box].sum(axis=(0, 1))
        assert shown.min() > 300, "slices with the cord alone are left out"


def test_right_lies_right_in_the_release(release: Path):
    volume = open_kbp(release).jobs[0].read().reoriented()
    places = {value: np.argwhere(volume.label == value).mean(axis=0) for value in (1, 3, 4, 6, 7)}
    assert places[3][0] > places[4][0], "right parotid"
    assert places[7][1] > places[1][1], "the mandible lies in front of the brainstem"
    assert places[1][2] > places[6][2], "the brainstem lies above the larynx"


@pytest.mark.parametrize(
    ("table", "content", "message"),
    [
        ("ct", ",data\n5,x\n", "cannot be read as a table of numbers"),
        ("ct", ",data\n5,inf\n", "not finite"),
        ("ct", ",data\n2097152,1000\n", "indices that are not whole numbers from 0 to 2097151"),
        ("Larynx", ",data\n-1,\n", "indices that are not whole numbers"),
        ("Larynx", ",data\n1.5,\n", "indices that are not whole numbers"),
        ("possible_dose_mask", ",data\n", "has no voxel"),
        ("voxel_dimensions", "4\n4\n", "expected three lengths"),
        ("voxel_dimensions", "4\n4\n-2\n", "expected three lengths"),
    ],
)
def test_a_broken_table_is_named(release: Path, tmp_path: Path, table: str, content: str, message: str):
    folder = tmp_path / "provided-data/train-pats/pt_2"
    shutil.copytree(release / "provided-data/train-pats/pt_2", folder)
    (folder / f"{table}.csv").write_text(content)
    with pytest.raises(ValueError, match=rf"{table}\.csv .*{message}"):
        open_kbp(tmp_path).jobs[0].read()


def test_a_missing_table_of_the_ct_is_named(release: Path, tmp_path: Path):
    folder = tmp_path / "train-pats/pt_1"
    shutil.copytree(release / "provided-data/train-pats/pt_1", folder)
    (folder / "ct.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"pt_1 has no .*ct\.csv"):
        open_kbp(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs OpenKBP")
def test_the_real_data_are_prepared_with_their_label_sets(tmp_path: Path):
    source = open_kbp(REAL)
    assert Counter(job.item["fold"] for job in source.jobs) == {"training": 146, "validation": 26}
    assert len({tuple(job.item.get("unlabelled", ())) for job in source.jobs}) == 21
    few = [job for job in source.jobs if job.id in ("pt_1", "pt_100", "pt_103", "pt_201")]
    source = type(source)(**{**vars(source), "jobs": few})
    prepare_volumes(source, tmp_path / "out", (4.0, 4.0, 3.0), (-250, 750), workers=1)
    items = read_datalist(tmp_path / "out")
    assert all(item["spacing"] == [4.0, 4.0, 3.0] for item in items)
    for item in items:
        image, label = read_volume_pair(item)
        assert image.min() >= -250
        right, left = (np.argwhere(label == value).mean(axis=0) for value in (3, 4))
        assert right[0] > left[0], "x runs to the right"
        assert not set(np.unique(label).tolist()) & {1 + ORGANS.index(name) for name in item.get("unlabelled", ())}
    assert read_provenance(tmp_path / "out")["intensity"]["sd"] > 50
    classes = ["background", *ORGANS]
    label_sets = labels_of(classes, stated_label_sets(tmp_path / "out", classes), items)
    assert "esophagus" in label_sets.partially_labelled()
    assert "open_kbp" in coverage_table(label_sets, items)
