"""Left Atrium 2018: the HDF5 of UA-MT and the NIfTI form give the same folds, geometry and units."""

import os
import shutil
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from layouts.left_atrium_layout import SPACING, case_name, write_left_atrium
from own_volumes import AFFINE, SHAPE, ct, save

from common.datasets import read_datalist, select
from common.datasets.catalogue import VOLUME_READERS, dataset_names
from common.datasets.phantom.atrium import draw_atrium
from common.datasets.prepared.layout import read_provenance
from common.datasets.readers.left_atrium import left_atrium
from common.datasets.volumes.form import prepare_volumes
from common.datasets.volumes.layout import read_volume_pair

REAL = Path(os.environ.get("ECHO_DATA", "")) / "left_atrium_2018"
HOME = "2018LA_Seg_Training Set"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("left_atrium")
    write_left_atrium(folder, 10)
    return folder


def nifti_form(root: Path, *rows: str) -> Path:
    for row in rows:
        name = row.split(",")[0]
        save(root / "mri" / f"{name}.nii.gz", (ct() % 200).astype(np.uint8))
        save(root / "labels" / f"{name}.nii.gz", (ct() > 0).astype(np.uint8))
    (root / "cases.csv").write_text("id,fold,x\n" + "".join(f"{row},1\n" for row in rows))
    return root


def test_the_release_of_uamt_is_read_as_it_was_drawn(release: Path):
    source = left_atrium(release)
    assert source.facts == {"modality": "MR", "release": "HDF5", "standardised": True}
    assert [job.id for job in source.jobs] == [case_name(patient) for patient in range(10)]
    for patient in (0, 9):
        drawn, volume = draw_atrium("atrium_a", patient, 0, SPACING), source.jobs[patient].read().reoriented()
        np.testing.assert_array_equal(volume.label, drawn.label)
        np.testing.assert_allclose(volume.image, drawn.image, atol=1)  # float32, rounded again
        assert volume.image.dtype == np.int16
        assert volume.spacing == (0.625, 0.625, 0.625)


def test_the_official_test_patients_test_and_the_last_tenth_of_the_others_validates(release: Path):
    folds = [job.item["fold"] for job in left_atrium(release).jobs]
    assert folds == ["training"] * 7 + ["validation"] + ["test"] * 2


def test_eight_of_eighty_validate_whatever_the_order_of_the_table(tmp_path: Path):
    names = [f"la{number:03d}" for number in np.random.default_rng(0).permutation(np.arange(1, 101))]
    rows = [f"{name},{'test' if name > 'la080' else 'train'}" for name in names]
    jobs = left_atrium(nifti_form(tmp_path, *rows)).jobs
    folds = {job.id: job.item["fold"] for job in jobs}
    assert Counter(folds.values()) == {"training": 72, "validation": 8, "test": 20}
    assert {name for name, fold in folds.items() if fold == "validation"} == {f"la{n:03d}" for n in range(73, 81)}


def test_values_are_hundredths_of_the_standard_deviation_of_the_volume(tmp_path: Path):
    volume = left_atrium(nifti_form(tmp_path, "a,train", "b,train")).jobs[0].read()
    stored = (ct() % 200).astype(float)
    np.testing.assert_allclose(volume.image, 100 * (stored - stored.mean()) / np.std(stored), atol=0.5)
    np.testing.assert_array_equal(volume.affine, AFFINE)


def test_a_folder_of_neither_form_and_wrong_tables_are_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"has neither train\.list nor cases\.csv"):
        left_atrium(tmp_path)
    for rows in (("a,training",), ("a,train", "a,test")):
        with pytest.raises(ValueError, match=r"cases\.csv, row [23]: 'a' is in the fold"):
            left_atrium(nifti_form(tmp_path, *rows))
    nifti_form(tmp_path, "a,train")
    (tmp_path / "labels/a.nii.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"a has no .*labels/a\.nii\.gz"):
        left_atrium(tmp_path)


def test_a_volume_of_one_value_is_named(tmp_path: Path):
    nifti_form(tmp_path, "a,train")
    save(tmp_path / "mri/a.nii.gz", np.full(SHAPE, 7, np.uint8))
    with pytest.raises(ValueError, match=r"mri/a\.nii\.gz: its values have the mean 7 and the standard deviation 0"):
        left_atrium(tmp_path).jobs[0].read()


def test_lists_that_contradict_the_files_are_refused(release: Path, tmp_path: Path):
    (tmp_path / "train.list").write_text("../elsewhere\n")
    with pytest.raises(FileNotFoundError, match=r"\.\./elsewhere of the lists .* has no .*mri_norm2\.h5"):
        left_atrium(tmp_path)
    shutil.copytree(release / HOME / case_name(0), tmp_path / case_name(0))
    for name in ("train.list", "test.list"):
        (tmp_path / name).write_text(case_name(0))
    with pytest.raises(ValueError, match=r"'00ATRIUM000' in train\.list and in test\.list"):
        left_atrium(tmp_path)


def write_damaged(path: Path, how: str) -> None:
    numbers = np.arange(24.0).reshape(2, 3, 4)
    with h5py.File(path, "w") as file:
        if how != "no label":
            file["label"] = np.full(numbers.shape, 2 if how == "value" else 1, np.uint8)
        match how:
            case "link":
                file["image"] = h5py.ExternalLink("other.h5", "image")
            case "group":
                file.create_group("image")
            case "flat":
                file["image"] = numbers[0]
            case "huge":
                file.create_dataset("image", (4096, 4096, 64), np.float32, chunks=(64, 64, 64))
            case "outside":
                file.create_dataset("image", numbers.shape, numbers.dtype, external=[("raw.bin", 0, 192)])
            case "shape":
                file["image"] = numbers[:1]
            case "nan":
                file["image"] = np.where(numbers == 5, np.nan, numbers)
            case _:
                file["image"] = numbers


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("link", "no dataset 'image' of its own"),
        ("group", "no dataset 'image' of its own"),
        ("no label", "no dataset 'label' of its own"),
        ("flat", r"'image' has the shape \(3, 4\)"),
        ("huge", r"'image' has the shape \(4096, 4096, 64\)"),
        ("outside", "refers to other files"),
        ("shape", "expected one shape"),
        ("value", r"values \[2\], expected one shape, and values 0 and 1"),
        ("nan", "the mean nan"),
        ("text", "cannot be read"),
    ],
)
def test_a_damaged_or_hostile_file_is_named(tmp_path: Path, how: str, message: str):
    path = tmp_path / "a/mri_norm2.h5"
    path.parent.mkdir()
    write_damaged(path, how)
    if how == "text":
        path.write_text("no HDF5")
    (tmp_path / "train.list").write_text("a\n")
    with pytest.raises(ValueError, match=rf"mri_norm2\.h5.*{message}"):
        left_atrium(tmp_path).jobs[0].read()


def test_the_dataset_is_in_the_catalogue():
    assert VOLUME_READERS["left-atrium"][0] == "readers.left_atrium"
    assert {"left_atrium", "atrium_a", "atrium_b"} <= set(dataset_names())


@pytest.mark.skipif(not REAL.is_dir(), reason="needs Left Atrium 2018")
def test_the_real_data_are_prepared_and_eight_patients_keep_their_annotation(tmp_path: Path):
    source = left_atrium(REAL)
    assert Counter(job.item["fold"] for job in source.jobs) == {"training": 72, "validation": 8}
    sets = {"left_atrium": [["background"], ["left_atrium"]]}
    every = [{**job.item, "image": job.id} for job in source.jobs if job.item["fold"] == "training"]
    for labelled in (8, 16):
        chosen = select(every, sets, withheld={"left_atrium": ["left_atrium"]}, share=1 - labelled / 72)
        assert Counter(bool(item.get("unlabelled")) for item in chosen) == {True: 72 - labelled, False: labelled}
    labelled = {item["patient"] for item in chosen if not item.get("unlabelled")}
    alone = select(every, sets, withheld={"left_atrium": ["left_atrium"]}, share=1 - 16 / 72, complete_only=True)
    assert {item["patient"] for item in alone} == labelled, "supervised alone sees the same patients"
    few = [job for job in source.jobs if job.id in ("la001", "la002", "la080")]
    prepare_volumes(type(source)(**{**vars(source), "jobs": few}), tmp_path / "out", workers=1)
    items = read_datalist(tmp_path / "out")
    assert len(items) == 3
    for item in items:
        image, label = read_volume_pair(item)
        assert item["spacing"] == [1.25] * 3
        assert (abs(image.mean()) < 1, image.std() == pytest.approx(100, abs=0.5)) == (True, True)
        assert image[label == 1].mean() > 50, "blood is bright"
        assert 15 < (label == 1).sum() * 1.25**3 / 1000 < 150  # ml
    assert read_provenance(tmp_path / "out")["intensity"]["sd"] == pytest.approx(100, abs=1)
