"""OpenKBP: every patient annotates the organs that the release says."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from own_volumes import BOTH, ct, save

from common.datasets import coverage_table, labels_of, read_datalist, stated_label_sets
from common.datasets.prepared.layout import read_provenance
from common.datasets.readers.open_kbp import ORGANS, open_kbp
from common.datasets.volumes.form import prepare_volumes
from common.datasets.volumes.layout import read_volume_pair

REAL = Path(os.environ.get("ECHO_DATA", "")) / "open_kbp"
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
        {"dataset": "open_kbp", "patient": "pt_1", "fold": "training", "unlabelled": ["esophagus", "larynx"]},
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
