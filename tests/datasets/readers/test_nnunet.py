"""The layouts of nnU-Net and Decathlon, read and written."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from own_volumes import BOTH, SHAPE, ct, describe_ward, save, write_ward

from common.datasets import read_datalist
from common.datasets.prepared.layout import read_provenance
from common.datasets.readers.nnunet import nnunet
from common.datasets.readers.own_volumes.description import read_volumes_description
from common.datasets.readers.own_volumes.reader import volumes
from common.datasets.volumes.export_nnunet import export_nnunet
from common.datasets.volumes.form import prepare_volumes
from common.datasets.volumes.layout import read_volume_pair

STATED = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "bladder": 1, "left kidney": 2, "ignore": 3},
    "numTraining": 2,
    "file_ending": ".nii.gz",
    "licence": "CC BY 4.0",
}
DECATHLON = {
    "name": "Pelvis",
    "reference": "somebody",
    "licence": "CC BY-SA 4.0",
    "modality": {"0": "CT"},
    "labels": {"0": "background", "1": "bladder", "2": "rectum"},
    "training": [{"image": "./imagesTr/pelvis_1.nii.gz", "label": "./labelsTr/pelvis_1.nii.gz"}],
    "test": ["./imagesTs/pelvis_2.nii.gz"],
}


def write(root: Path, stated: dict, *cases: str, end: str = "Tr", channel: str = "_0000") -> Path:
    for case in cases:
        save(root / f"images{end}/{case}{channel}.nii.gz", ct())
        save(root / f"labels{end}/{case}.nii.gz", BOTH)
    (root / "dataset.json").write_text(json.dumps(stated))
    return root


def test_training_and_test_cases_of_nnunet_are_found(tmp_path: Path):
    root = write(tmp_path / "Dataset007_Pelvis", STATED, "a_1", "a_2")
    write(root, STATED, "b_1", end="Ts")
    (root / "splits_final.json").write_text(json.dumps([{"train": ["a_1"], "val": ["a_2"]}]))
    source = nnunet(root)
    assert (source.name, source.licence, source.facts) == ("Pelvis", "CC BY 4.0", {"modality": "CT"})
    assert source.label_sets == {"Pelvis": {0: "background", 1: "bladder", 2: "left_kidney", 3: "ignore"}}
    assert {job.id: job.item["fold"] for job in source.jobs} == {"a_1": "training", "a_2": "validation", "b_1": "test"}
    np.testing.assert_array_equal(source.jobs[0].read().label, BOTH)


def test_cases_may_be_listed(tmp_path: Path):
    root = write(tmp_path, STATED, "a_1")
    listed = {"first": {"images": ["imagesTr/a_1_0000.nii.gz"], "label": "labelsTr/a_1.nii.gz"}}
    listed["second"] = {"images": ["imagesTr/a_9_0000.nii.gz"], "label": "labelsTr/a_9.nii.gz"}
    listed["third"] = {"images": ["../secret.nii.gz"], "label": "labelsTr/a_1.nii.gz"}
    save(tmp_path.parent / "secret.nii.gz", ct())
    (root / "dataset.json").write_text(json.dumps(STATED | {"dataset": listed, "name": "x"}))
    source = nnunet(root)
    assert [job.id for job in source.jobs] == ["first"]
    assert source.skipped == {
        "second": "imagesTr/a_9_0000.nii.gz is missing",
        "third": "its files are outside SOURCE",
    }


def test_decathlon_is_read(tmp_path: Path):
    root = write(tmp_path, DECATHLON, "pelvis_1", channel="")
    source = nnunet(root)
    assert (source.name, source.citation, source.licence) == ("Pelvis", "somebody", "CC BY-SA 4.0")
    assert source.label_sets["Pelvis"] == {0: "background", 1: "bladder", 2: "rectum"}
    assert [(job.id, job.item["fold"]) for job in source.jobs] == [("pelvis_1", None)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channel_names": {"0": "T1", "1": "T2"}}, r"2 channels \(T1, T2\), one is read. Choose one"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, r"'whole' is the region \[1, 2\]; regions overlap"),
        ({"labels": {"background": 0, "liver": 300}}, "'liver' is 300, expected different integers"),
        ({"labels": {"background": 0, "liver": True}}, "expected different integers"),
        ({"labels": {"background": 0, "liver": 1, "spleen": 1}}, "expected different integers"),
        ({"labels": {"liver": 0}}, "background for 0"),
        ({"labels": {"background": 0, "a b": 1, "a_b": 2}}, "expected different names"),
        ({"labels": []}, "'labels' is missing"),
        ({"channel_names": None}, "'channel_names' is missing"),
        ({"file_ending": None}, "'file_ending' is missing"),
        ({"dataset": {"a": "imagesTr/a.nii.gz"}}, "expected the paths of image and label"),
        ({"name": "()"}, "is not a name"),
    ],
)
def test_a_wrong_dataset_json_is_named(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(ValueError, match=rf"dataset\.json: .*{message}"):
        nnunet(write(tmp_path, STATED | changes, "a_1"))


def test_files_that_are_no_dataset_are_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"dataset\.json is missing"):
        nnunet(tmp_path)
    with pytest.raises(FileNotFoundError, match="none of 0 cases has image and annotation"):
        nnunet(write(tmp_path, STATED))
    (tmp_path / "splits_final.json").write_text("{}")
    with pytest.raises(ValueError, match="not a list of splits"):
        nnunet(write(tmp_path, STATED, "a_1"))
    for content, message in (("{", "is not readable JSON"), ("[]", "cannot be read as a dataset")):
        (tmp_path / "dataset.json").write_text(content)
        with pytest.raises(ValueError, match=message):
            nnunet(tmp_path)


def prepared(tmp_path: Path) -> Path:
    """Four patients; p2 does not annotate the rectum; the last slice of each is unannotated."""
    root = write_ward(tmp_path / "ward", patients=4)
    rows = [f"ct/p{n}.nii.gz,masks/p{n}.nii.gz,p{n},{fold}," for n, fold in ((1, "training"), (3, "validation"))]
    rows += ["ct/p2.nii.gz,masks/p2.nii.gz,p2,training,rectum", "ct/p4.nii.gz,masks/p4.nii.gz,p4,test,"]
    (root / "cases.csv").write_text("image,label,patient,fold,unlabelled\n" + "\n".join(rows) + "\n")
    values = {0: "background", 1: "bladder", 2: "rectum", 254: "unannotated"}
    for number in range(1, 5):
        label = BOTH.copy()
        label[:, :, 3] = 254
        save(root / f"masks/p{number}.nii.gz", label * (label != 2) if number == 2 else label)
    about = describe_ward(root, files=None, table="cases.csv", values=values, modality="CT")
    prepare_volumes(volumes(root, read_volumes_description(about)), tmp_path / "out", workers=1)
    return tmp_path / "out"


def test_an_export_marks_what_is_not_decided_as_ignored(tmp_path: Path):
    folder, out = prepared(tmp_path), tmp_path / "Dataset001_Ward"
    assert export_nnunet(folder, out) == 4
    stated = json.loads((out / "dataset.json").read_text())
    assert stated == {
        "name": "ward",
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "bladder": 1, "rectum": 2, "ignore": 3},
        "numTraining": 3,
        "file_ending": ".nii.gz",
        "licence": "private",
        "reference": "",
    }
    split = json.loads((out / "splits_final.json").read_text())
    assert split == [{"train": ["ct_p1", "ct_p2"], "val": ["ct_p3"]}]
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.nii.gz"))
    assert names == sorted(
        [f"images{end}/ct_p{n}_0000.nii.gz" for n, end in ((1, "Tr"), (2, "Tr"), (3, "Tr"), (4, "Ts"))]
        + [f"labels{end}/ct_p{n}.nii.gz" for n, end in ((1, "Tr"), (2, "Tr"), (3, "Tr"), (4, "Ts"))]
    )
    for item in read_datalist(folder):
        case, end = Path(item["image"]).stem, "Ts" if item["fold"] == "test" else "Tr"
        image, label = (
            nib.load(out / name) for name in (f"images{end}/{case}_0000.nii.gz", f"labels{end}/{case}.nii.gz")
        )
        voxels, values = read_volume_pair(item)
        np.testing.assert_array_equal(np.asarray(image.dataobj), voxels)
        np.testing.assert_allclose(image.affine, label.affine)
        written = np.asarray(label.dataobj)
        expected = np.where(values == 254, 3, values)
        if item["patient"] == "p2":
            expected = np.where(values == 1, 1, 3)
        np.testing.assert_array_equal(written, expected)


def test_an_export_comes_back_through_the_reader(tmp_path: Path):
    folder, out = prepared(tmp_path), tmp_path / "Dataset001_Ward"
    export_nnunet(folder, out)
    prepare_volumes(nnunet(out), tmp_path / "again", workers=1)
    before, after = ({item["patient"]: item for item in read_datalist(one)} for one in (folder, tmp_path / "again"))
    assert {f"ct_{name}": item["fold"] for name, item in before.items()} == {
        name: item["fold"] for name, item in after.items()
    }
    for name, item in before.items():
        np.testing.assert_array_equal(read_volume_pair(item)[0], read_volume_pair(after[f"ct_{name}"])[0])
    assert read_provenance(tmp_path / "again")["label_sets"]["ward"]["3"] == ["ignore"]


def test_without_anything_undecided_there_is_no_ignored_label(tmp_path: Path):
    root = write_ward(tmp_path / "ward")
    prepare_volumes(volumes(root, read_volumes_description(describe_ward(root))), tmp_path / "out", workers=1)
    export_nnunet(tmp_path / "out", tmp_path / "nn")
    assert "ignore" not in json.loads((tmp_path / "nn/dataset.json").read_text())["labels"]
    with pytest.raises(FileExistsError, match="nn exists; remove it"):
        export_nnunet(tmp_path / "out", tmp_path / "nn")


def test_pictures_are_not_exported(tmp_path: Path):
    (tmp_path / "provenance.json").write_text('{"size": 64}')
    with pytest.raises(ValueError, match="holds pictures; the export writes volumes"):
        export_nnunet(tmp_path, tmp_path / "nn")


def test_this_file_draws_what_it_says():
    assert BOTH.shape == SHAPE
    assert set(np.unique(BOTH).tolist()) == {0, 1, 2}
