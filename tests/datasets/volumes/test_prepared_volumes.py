"""A prepared folder of volumes: content, resumed work, verified files."""

from functools import partial
from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pytest
from own_volumes import AFFINE, BOTH, ct, describe_ward, save, write_ward

from common.datasets import checksum, read_datalist, stated_label_sets, stated_spacing
from common.datasets.prepared.layout import read_provenance, stated_pixels
from common.datasets.readers.own_volumes.description import read_volumes_description
from common.datasets.readers.own_volumes.reader import volumes
from common.datasets.volumes.form import prepare_volumes
from common.datasets.volumes.layout import pooled_intensity, read_affine, read_volume_pair


def prepare(root: Path, **changes) -> list[dict]:
    about = read_volumes_description(describe_ward(root, **changes))
    return prepare_volumes(volumes(root, about), root.parent / "out", about.spacing, about.window, workers=1)


def test_a_prepared_folder_holds_reoriented_windowed_volumes(tmp_path: Path):
    items = prepare(write_ward(tmp_path / "ward"), window=[-200, 200])
    out = tmp_path / "out"
    assert items[0] == {
        "image": "images/ct_p1.nii",
        "label": "labels/ct_p1.nii",
        "dataset": "ward",
        "patient": "p1",
        "fold": items[0]["fold"],
        "spacing": [2.0, 2.0, 3.0],
        "size": [6, 5, 4],
        "values": [0, 1, 2],
        "intensity": items[0]["intensity"],
    }
    image, label = read_volume_pair(read_datalist(out)[0])
    assert (image.dtype, label.dtype) == (np.int16, np.uint8)
    np.testing.assert_array_equal(image, ct(1).clip(-200, 200)[::-1, ::-1])
    np.testing.assert_array_equal(label, BOTH[::-1, ::-1])
    sides = {"pixdim": [2.0, 2.0, 3.0], "min_pixdim": [1.8, 1.8, 2.7], "max_pixdim": [2.2, 2.2, 3.3]}
    assert stated_spacing(out) == sides
    provenance = read_provenance(out)
    stated = {key: provenance[key] for key in ("kind", "orientation", "spacing", "window", "size", "images")}
    assert stated == {
        "kind": "volumes",
        "orientation": "RAS",
        "spacing": None,
        "window": [-200, 200],
        "size": "own",
        "images": 3,
    }
    inside = ct(1)[(ct(1) > -200) & (ct(1) < 200)]
    expected = {"mean": inside.mean(), "sd": inside.std(), "voxels": inside.size}
    assert items[0]["intensity"] == pytest.approx(expected, abs=1e-4)
    training = [item for item in items if item["fold"] == "training"]
    assert provenance["intensity"] == pooled_intensity(training)
    assert sorted(item["fold"] for item in items) == ["test", "training", "validation"]


def test_pooled_intensity_is_that_of_all_voxels_together():
    parts = [np.arange(5.0), np.array([7.0, -3.0])]
    items = [{"intensity": {"mean": one.mean(), "sd": one.std(), "voxels": one.size}} for one in parts]
    both = np.concatenate(parts)
    assert pooled_intensity(items) == pytest.approx({"mean": both.mean(), "sd": both.std()}, abs=1e-4)
    assert pooled_intensity([]) is None


def test_what_is_prepared_lies_where_the_source_lies_for_nibabel_and_itk(tmp_path: Path):
    prepare(write_ward(tmp_path / "ward"), spacing=2.0)
    item = read_datalist(tmp_path / "out")[0]
    assert item["spacing"] == [2.0, 2.0, 2.0]
    affine = read_affine(item["image"])
    np.testing.assert_allclose(affine, nib.load(item["label"]).affine)
    corner = affine @ [-0.5, -0.5, -0.5, 1]  # the outer corner, not the centre of a voxel
    np.testing.assert_allclose(corner, AFFINE @ [5.5, 4.5, -0.5, 1])
    image = itk.imread(item["image"])
    np.testing.assert_allclose(itk.origin(image), np.array([-1, -1, 1]) * affine[:3, 3])
    np.testing.assert_array_equal(itk.array_from_image(image).T, read_volume_pair(item)[0])


def test_pairs_are_mapped_into_memory_and_verified(tmp_path: Path):
    prepare(write_ward(tmp_path / "ward"))
    items = read_datalist(tmp_path / "out")
    stated = stated_pixels(items)
    image, label = read_volume_pair(items[0], stated[0])
    assert isinstance(image, np.memmap)
    assert isinstance(label, np.memmap)
    with pytest.raises(ValueError, match=r"ct_p1\.nii or its annotation .* is not what was prepared"):
        read_volume_pair(items[0], stated[1])
    save(Path(items[1]["label"]), BOTH)
    with pytest.raises(ValueError, match="not what was prepared"):
        read_volume_pair(items[1], stated[1])
    save(Path(items[1]["label"]), BOTH[1:])
    with pytest.raises(ValueError, match=r"\(5, 5, 4\) voxels, its image \(6, 5, 4\)"):
        read_volume_pair(items[1])
    save(Path(items[1]["label"]), BOTH.astype(np.int16))
    with pytest.raises(ValueError, match="is int16 of shape"):
        read_volume_pair(items[1])
    Path(items[1]["label"]).write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read"):
        read_volume_pair(items[1])
    Path(items[1]["label"]).unlink()
    with pytest.raises(FileNotFoundError, match="prepare the dataset again"):
        read_volume_pair(items[1])


def test_the_same_preparation_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = write_ward(tmp_path / "ward")
    first = prepare(root)
    before = checksum(tmp_path / "out")
    assert prepare(root) == first
    assert "nothing changed" in capsys.readouterr().out
    assert checksum(tmp_path / "out") == before


def test_only_a_changed_volume_is_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    root = write_ward(tmp_path / "ward")
    before = {item["patient"]: item["fold"] for item in prepare(root)}
    save(root / "ct" / "p2.nii.gz", ct(70))
    read = []
    from common.datasets.readers import volume_and_masks

    for name in ("read_voxels", "read_mask"):
        original = getattr(volume_and_masks, name)
        monkeypatch.setattr(
            volume_and_masks, name, lambda path, original=original: (read.append(path.parent.name), original(path))[1]
        )
    after = {item["patient"]: item["fold"] for item in prepare(root)}
    assert read == ["ct", "masks"]
    assert "changed file: ct_p2" in capsys.readouterr().out
    assert after == before


def test_another_window_or_spacing_prepares_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = write_ward(tmp_path / "ward")
    prepare(root)
    prepare(root, window=[-100, 100], spacing=3)
    assert "prepared again (spacing None -> [3.0, 3.0, 3.0], window None -> [-100, 100]: " in capsys.readouterr().out
    assert read_volume_pair(read_datalist(tmp_path / "out")[0])[0].max() == 100


def test_an_interrupted_preparation_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = write_ward(tmp_path / "ward")
    from common.datasets.volumes import form

    original, saved = form.save_voxels, []

    def full(path, *rest):
        if len(saved) == 4:
            raise OSError(28, "No space left on device")
        saved.append(path)
        original(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(form, "save_voxels", full)
        with pytest.raises(OSError, match="finished images are kept"):
            prepare(root)
    assert (tmp_path / "out.partial").is_dir()
    saved.clear()
    monkeypatch.setattr(form, "save_voxels", lambda *given: (saved.append(given), original(*given)))
    assert len(prepare(root)) == 3
    assert len(saved) == 2
    assert not (tmp_path / "out.partial").exists()


def test_a_changed_prepared_file_stops_the_next_preparation(tmp_path: Path):
    root = write_ward(tmp_path / "ward")
    prepare(root)
    save(tmp_path / "out/labels/ct_p1.nii", BOTH)
    with pytest.raises(FileExistsError, match="was changed after it was prepared"):
        prepare(root)


def test_a_volume_that_cannot_be_read_is_left_out_with_its_reason(tmp_path: Path):
    root = write_ward(tmp_path / "ward", patients=4)
    save(root / "ct" / "p2.nii.gz", ct().astype(np.float32) + 0.5)
    (root / "ct" / "p3.nii.gz").write_bytes(b"broken")
    items = prepare(root)
    assert [item["patient"] for item in items] == ["p1", "p4"]
    skipped = read_provenance(tmp_path / "out")["skipped"]
    assert set(skipped) == {"ct_p2", "ct_p3"}
    assert "not integers" in skipped["ct_p2"]


def test_label_sets_are_those_of_the_description(tmp_path: Path):
    values = {0: "background", 1: "bladder", 2: "rectum", 254: "unannotated"}
    prepare(write_ward(tmp_path / "ward"), values=values, empty_slices=254)
    sets = stated_label_sets(tmp_path / "out", ["background", "bladder", "rectum", "uterus"])
    assert set(sets["ward"][254]) == {"background", "bladder", "rectum", "uterus"}
    label = read_volume_pair(read_datalist(tmp_path / "out")[0])[1]
    assert [np.unique(label[:, :, k]).tolist() for k in range(4)] == [[254], [0, 1, 2], [254], [254]]


def test_volumes_of_two_workers_equal_those_of_one(tmp_path: Path):
    root = write_ward(tmp_path / "ward")
    prepare(root)
    about = read_volumes_description(describe_ward(root))
    prepare_volumes(volumes(root, about), tmp_path / "two", workers=2)
    assert checksum(tmp_path / "two") == checksum(tmp_path / "out")


def test_readers_of_volumes_are_picklable(tmp_path: Path):
    about = read_volumes_description(describe_ward(write_ward(tmp_path / "ward")))
    assert isinstance(volumes(tmp_path / "ward", about).jobs[0].read, partial)
