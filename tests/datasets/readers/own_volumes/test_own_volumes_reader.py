"""Your own volumes: naming patterns, tables, three states of a structure, and errors that name the culprit."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ct_series import write_series
from own_volumes import AFFINE, BOTH, SHAPE, VALUES, ct, describe_ward, save, write_ward

from common.datasets import read_datalist
from common.datasets.prepared.source import Source
from common.datasets.readers.own_volumes.description import read_volumes_description
from common.datasets.readers.own_volumes.reader import volumes
from common.datasets.volumes.form import prepare_volumes
from common.datasets.volumes.layout import read_volume_pair

EACH = {"image": "ct/{patient}.nii.gz", "label": "masks/{patient}/{structure}.nii.gz"}


def found(root: Path, **changes) -> Source:
    return volumes(root, read_volumes_description(describe_ward(root, **changes)))


def write_each(root: Path) -> Path:
    """p1 with both masks, p2 with the bladder alone, p3 with none; voxels are 255 or 1."""
    for number in (1, 2, 3):
        save(root / "ct" / f"p{number}.nii.gz", ct(number))
    save(root / "masks/p1/bladder.nii.gz", (BOTH == 1).astype(np.uint8) * 255)
    save(root / "masks/p1/rectum.nii.gz", (BOTH == 2).astype(np.float32))
    save(root / "masks/p2/bladder.nii.gz", (BOTH == 1).astype(np.uint8))
    return root


def test_one_mask_file_holds_all_values(tmp_path: Path):
    jobs = found(write_ward(tmp_path / "ward")).jobs
    assert [job.item for job in jobs] == [
        {"dataset": "ward", "patient": f"p{number}", "fold": None} for number in (1, 2, 3)
    ]
    volume = jobs[1].read()
    np.testing.assert_array_equal(volume.image, ct(2))
    np.testing.assert_array_equal(volume.label, BOTH)
    np.testing.assert_allclose(volume.affine, AFFINE)


def test_a_structure_without_a_mask_file_is_not_annotated(tmp_path: Path):
    jobs = found(write_each(tmp_path / "ward"), files=EACH).jobs
    assert [job.item.get("unlabelled") for job in jobs] == [None, ["rectum"], ["bladder", "rectum"]]
    np.testing.assert_array_equal(jobs[0].read().label, BOTH)
    np.testing.assert_array_equal(jobs[1].read().label, BOTH * (BOTH == 1))
    assert not jobs[2].read().label.any()


def test_an_empty_mask_file_says_that_the_structure_is_absent(tmp_path: Path):
    root = write_each(tmp_path / "ward")
    save(root / "masks/p2/rectum.nii.gz", np.zeros(SHAPE, np.uint8))
    job = found(root, files=EACH).jobs[1]
    assert "unlabelled" not in job.item
    np.testing.assert_array_equal(job.read().label, BOTH * (BOTH == 1))


def test_each_structure_may_have_a_pattern_of_its_own_and_the_later_one_counts(tmp_path: Path):
    root = write_each(tmp_path / "ward")
    save(root / "masks/p1/rectum.nii.gz", np.ones(SHAPE, np.uint8))
    label = {name: f"masks/{{patient}}/{name}.nii.gz" for name in ("bladder", "rectum")}
    job = found(root, files=EACH | {"label": label}).jobs[0]
    assert (job.read().label == 2).all()


def test_a_structure_whose_pattern_matches_nothing_is_an_error(tmp_path: Path):
    label = {"bladder": "masks/{patient}/bladder.nii.gz", "rectum": "masks/{patient}/rektum.nii.gz"}
    with pytest.raises(FileNotFoundError, match=r"no image .* has a mask of 'rectum', whose pattern is .*rektum"):
        found(write_each(tmp_path / "ward"), files=EACH | {"label": label})


def test_a_table_names_files_folds_and_what_is_not_annotated(tmp_path: Path):
    root = write_ward(tmp_path / "ward")
    (root / "cases.csv").write_text(
        "image,label,patient,fold,unlabelled,age,scanner\n"
        "ct/p1.nii.gz,masks/p1.nii.gz,ann,test,rectum,61,A\n"
        "ct/p2.nii.gz,masks/p2.nii.gz,bea,training,,,B\n"
        "ct/p9.nii.gz,masks/p2.nii.gz,cyd,training,,,B\n"
    )
    source = found(root, files=None, table="cases.csv", keep=["scanner"])
    assert [job.item for job in source.jobs] == [
        {"age": 61.0, "unlabelled": ["rectum"], "scanner": "A", "dataset": "ward", "patient": "ann", "fold": "test"},
        {"scanner": "B", "dataset": "ward", "patient": "bea", "fold": "training"},
    ]
    assert source.skipped == {"cases.csv, line 4": "image ct/p9.nii.gz is missing"}


def test_a_table_may_have_a_column_for_each_structure(tmp_path: Path):
    root = write_each(tmp_path / "ward")
    (root / "cases.csv").write_text(
        "image,bladder,rectum,colour\nct/p1.nii.gz,masks/p1/bladder.nii.gz,masks/p1/rectum.nii.gz,\n"
        "ct/p2.nii.gz,masks/p2/bladder.nii.gz,,\n"
    )
    source = found(root, files=None, table="cases.csv")
    assert [job.item.get("unlabelled") for job in source.jobs] == [None, ["rectum"]]
    assert source.facts["columns_left_out"] == ["colour"]
    np.testing.assert_array_equal(source.jobs[0].read().label, BOTH)


def test_a_mask_stored_in_another_order_of_voxels_is_brought_to_the_image(tmp_path: Path):
    root = write_ward(tmp_path / "ward", patients=1)
    turned = nib.as_closest_canonical(nib.load(root / "masks/p1.nii.gz"))
    assert not np.allclose(turned.affine, AFFINE)
    save(root / "masks/p1.nii.gz", np.asarray(turned.dataobj), turned.affine)
    np.testing.assert_array_equal(found(root).jobs[0].read().label, BOTH)


@pytest.mark.parametrize("change", ["moved", "spacing", "shape"])
def test_a_mask_that_lies_elsewhere_is_refused(tmp_path: Path, change: str):
    root = write_ward(tmp_path / "ward", patients=1)
    affine, label = AFFINE.copy(), BOTH
    if change == "moved":
        affine[0, 3] = 0.5
    elif change == "spacing":
        affine[2, 2] = 3.2
    else:
        label = BOTH[:, :, :3]
    save(root / "masks/p1.nii.gz", label, affine)
    with pytest.raises(ValueError, match=r"masks/p1\.nii\.gz does not lie where its image .* resample the mask"):
        found(root).jobs[0].read()


def test_files_that_do_not_say_how_they_lie_need_a_statement(tmp_path: Path):
    root = write_ward(tmp_path / "ward", patients=1)
    save(root / "ct/p1.nii.gz", ct(1), code=0)
    with pytest.raises(ValueError, match="left and right are unknown"):
        found(root).jobs[0].read()
    affine = found(root, orientation="LPS").jobs[0].read().affine
    np.testing.assert_allclose(affine, AFFINE)


def test_values_that_the_description_lacks_are_refused(tmp_path: Path):
    root = write_ward(tmp_path / "ward", patients=1)
    save(root / "masks/p1.nii.gz", BOTH * 3)
    with pytest.raises(ValueError, match=r"has the annotation values \[3, 6\], expected values among \[0, 1, 2\]"):
        found(root).jobs[0].read()


def test_slices_with_an_empty_mask_may_be_unannotated(tmp_path: Path):
    values = VALUES | {254: "unannotated"}
    job = found(write_ward(tmp_path / "ward"), values=values, empty_slices=254).jobs[0]
    label = job.read().label
    assert [np.unique(label[:, :, k]).tolist() for k in range(4)] == [[254], [0, 1, 2], [254], [254]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"windows": [0, 100]}, "unknown key 'windows'.*'window'"),
        ({"table": "cases.csv"}, "either 'files', naming patterns, or 'table'"),
        ({"files": {"image": "ct/{patient}.nii"}}, "two entries, 'image' and 'label'"),
        ({"files": EACH | {"label": {"blader": "x"}}}, "names 'blader'.*'bladder'"),
        ({"files": EACH | {"label": "masks/{case}.nii"}}, r"\['case'\], which the pattern of 'image' lacks"),
        ({"files": EACH | {"label": dict.fromkeys(("bladder", "rectum"), "x")}}, "'x' of 'bladder' for 'rectum', too"),
        (
            {"files": dict.fromkeys(("image", "label"), "ct/{patient}.nii.gz")},
            "'image' and 'label' have the same",
        ),
        ({"files": {"image": "{bladder}.nii", "label": "x"}}, r"\['bladder'\], which are reserved"),
        ({"orientation": "LPX"}, "orientation is 'LPX'"),
        ({"orientation": "LRS"}, "orientation is 'LRS'"),
        ({"empty_slices": 0}, "expected a value of 'values' that is 'unannotated'"),
        ({"empty_slices": 254}, "expected a value of 'values' that is 'unannotated'"),
        ({"window": [5, 6]}, "window is"),
        ({"spacing": "fine"}, "spacing is fine"),
        ({"values": {0: "bladder"}}, "value 0"),
        ({"modality": "ct"}, "modality is 'ct'"),
        ({"dataset": "my ward"}, "dataset is 'my ward'"),
        ({"licence": None}, "'licence' is missing"),
        ({"keep": "scanner"}, "'keep' must be a list"),
        ({"values": None}, "'values' must map"),
    ],
)
def test_a_wrong_description_names_its_key(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        found(write_ward(tmp_path / "ward"), **changes)


def test_a_pattern_that_matches_nothing_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no file in .* matches the pattern"):
        found(write_ward(tmp_path / "ward"), files={"image": "mr/{patient}.nii", "label": "x"})
    with pytest.raises(FileNotFoundError, match="is not a directory"):
        found(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("ct/p1.nii.gz,masks/p1.nii.gz,ann,train,", "fold is 'train'"),
        ("ct/p1.nii.gz,masks/p1.nii.gz,ann,,uterus", r"unlabelled names \['uterus'\]"),
        ("ct/p2.nii.gz,masks/p1.nii.gz,ann,,", "exists already"),
        ("ct/p1.nii.gz,masks/p1.nii.gz,bea,test,", "patient 'bea' is in the fold 'training' already"),
    ],
)
def test_a_wrong_row_names_its_line(tmp_path: Path, row: str, message: str):
    root = write_ward(tmp_path / "ward")
    first = "ct/p2.nii.gz,masks/p2.nii.gz,bea,training,"
    (root / "cases.csv").write_text(f"image,label,patient,fold,unlabelled\n{first}\n{row}\n")
    with pytest.raises(ValueError, match=rf"line 3: .*{message}"):
        found(root, files=None, table="cases.csv")


def test_files_outside_the_source_are_not_read(tmp_path: Path):
    root = write_ward(tmp_path / "ward")
    save(tmp_path / "secret.nii.gz", ct())
    (root / "cases.csv").write_text("image,label\n../secret.nii.gz,masks/p1.nii.gz\nct/p1.nii.gz,masks/p1.nii.gz\n")
    source = found(root, files=None, table="cases.csv")
    assert source.skipped == {"cases.csv, line 2": "image ../secret.nii.gz is outside SOURCE"}


def test_a_dicom_series_with_masks_of_another_format_is_read(tmp_path: Path):
    root, hu = tmp_path / "ward", np.arange(60).reshape(5, 4, 3).astype(np.int16)
    for patient in ("p1", "p2", "p3"):
        write_series(root / patient / "ct", hu)
        affine = np.diag([-0.7, -0.8, 2.5, 1.0])
        affine[:3, 3] = [20, -30, 5]
        save(root / patient / "bladder.nii.gz", (hu.transpose(2, 1, 0) == 33).astype(np.uint8), affine)
    files = {"image": "{patient}/ct", "label": "{patient}/{structure}.nii.gz"}
    source = found(root, files=files, values={0: "background", 1: "bladder"})
    assert [job.item["patient"] for job in source.jobs] == ["p1", "p2", "p3"]
    assert [job.id for job in source.jobs] == ["p1_ct", "p2_ct", "p3_ct"]
    volume = source.jobs[0].read()
    assert volume.image[volume.label == 1].tolist() == [33]
    prepare_volumes(source, tmp_path / "out", workers=1)
    assert prepare_volumes(source, tmp_path / "out", workers=1)
    write_series(root / "p1" / "ct", hu + 1)
    prepare_volumes(source, tmp_path / "out", workers=1)
    image, _ = read_volume_pair(read_datalist(tmp_path / "out")[0])
    assert image.max() == 60
