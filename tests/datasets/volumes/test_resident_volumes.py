"""Patches are what the files hold, drawn by class, patient and voxel, the same for every rank and worker."""

import copy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from drawn_volumes import numbered, write_volume
from torch.utils.data import DataLoader

from common.datasets.volumes.intensity import Intensity
from common.datasets.volumes.patch_centres import CAP, DRAWS, PatchCentres, thinned
from common.datasets.volumes.resident import ResidentVolumes
from common.engines import SeedEachEpoch
from common.label_set_map import admitted, annotated
from common.label_sets import LabelSets
from common.transforms import EncodeLabelSetsd, RandFlipd

CLASSES = ["background", "one", "two"]
LABELS = LabelSets(CLASSES, {"full": [["background"], ["one"], ["two"]], "one_only": [["background", "two"], ["one"]]})
PLAIN = Intensity(None, mean=0.0, sd=1.0)
SIZES = [(9, 7, 6), (6, 8, 10), (12, 6, 7), (7, 9, 8)]


@pytest.fixture
def data(tmp_path: Path) -> list[dict[str, Any]]:
    """Four patients: `two` lies in the second alone; each voxel of the images says which volume and place it is of."""
    items = []
    for number, shape in enumerate(SIZES):
        label = np.zeros(shape, np.uint8)
        label[1:3, 2, 4] = 1
        label[4:, 5, 5] = 2 if number == 1 else 0
        image = numbered(shape, 1000 * number)
        items.append(write_volume(tmp_path, f"p{number}", image, label, "one_only" if number == 3 else "full"))
    return items


def place(value: float) -> tuple[int, tuple[int, ...]]:
    """Return volume and place of a voxel, by its value."""
    number, rest = divmod(round(value), 1000)
    return number, tuple(map(int, np.unravel_index(rest, SIZES[number])))


def keyed(dataset: ResidentVolumes, key: int = 7) -> ResidentVolumes:
    dataset.set_key(key)
    return dataset


@pytest.mark.parametrize("memory", [None, 0.0])
def test_a_patch_is_cut_from_a_volume_with_its_annotation(data: list[dict[str, Any]], memory: float | None):
    dataset = keyed(ResidentVolumes(data, LABELS, (3, 4, 5), 40, PLAIN, memory=memory))
    assert dataset.resident == (memory is None)
    batch = dataset.__getitems__(range(40))
    assert batch["image"].shape == batch["label"].shape == (40, 1, 3, 4, 5)
    assert (batch["image"].dtype, batch["label"].dtype) == (torch.float32, torch.uint8)
    assert batch["index"].tolist() == list(range(40))
    seen = set()
    for image, label, of in zip(batch["image"], batch["label"], batch["dataset"].tolist(), strict=True):
        number, (x, y, z) = place(image[0, 0, 0, 0].item())
        there = slice(x, x + 3), slice(y, y + 4), slice(z, z + 5)
        np.testing.assert_array_equal(image[0], numbered(SIZES[number], 1000 * number)[there])
        truth = np.zeros(SIZES[number], np.uint8)
        truth[1:3, 2, 4] = 1
        truth[4:, 5, 5] = 2 if number == 1 else 0
        np.testing.assert_array_equal(label[0], truth[there])
        assert of == (number == 3)
        seen.add(number)
    assert seen == {0, 1, 2, 3}


def test_what_is_cut_around_a_patch_leaves_its_place_and_its_voxels(data: list[dict[str, Any]]):
    alone = keyed(ResidentVolumes(data, LABELS, (3, 4, 5), 200, PLAIN)).__getitems__(range(200))
    wider = ResidentVolumes(data, LABELS, (3, 4, 5), 200, PLAIN, surroundings=(7, 8, 7))
    around = keyed(wider).__getitems__(range(200))
    assert around["image"].shape == around["label"].shape == (200, 1, 7, 8, 7)
    for name in ("image", "label"):
        assert torch.equal(around[name][..., 2:-2, 2:-2, 1:-1], alone[name])
    outside = around["label"] == LABELS.padding
    assert outside.any(dim=(1, 2, 3, 4)).any()
    assert (around["image"][outside] == PLAIN.outside).all()


def test_patches_from_files_equal_those_held_in_memory(data: list[dict[str, Any]]):
    held, mapped = (
        keyed(ResidentVolumes(data, LABELS, (5, 9, 6), 30, Intensity([100, 2000], 300.0, 50.0), memory=memory))
        for memory in (1e-3, 1e-7)
    )
    assert (held.resident, mapped.resident) == (True, False)
    both = held.__getitems__(range(30)), mapped.__getitems__(range(30))
    assert both[0].keys() == both[1].keys()
    assert all(torch.equal(both[0][name], both[1][name]) for name in both[0])


@pytest.mark.parametrize("key", ["image", "label"])
def test_patches_of_a_file_that_was_replaced_are_refused_unless_they_are_held(data: list[dict[str, Any]], key: str):
    held, mapped = (keyed(ResidentVolumes(data[:1], LABELS, (3, 4, 5), 4, PLAIN, memory=one)) for one in (None, 0.0))
    before = held.__getitems__(range(4))
    Path(data[0][key]).replace(aside := Path(f"{data[0][key]}.old"))
    shutil.copy2(aside, data[0][key])  # as preparation takes over what did not change
    assert torch.equal(mapped.__getitems__(range(4))[key], before[key])
    shutil.copy(aside, data[0][key])
    with pytest.raises(ValueError, match=rf"{key}s/p0\.nii was changed after this run had started; keep "):
        mapped.__getitems__(range(4))
    Path(data[0][key]).unlink()
    with pytest.raises(ValueError, match=rf"{key}s/p0\.nii was changed after this run had started; keep "):
        mapped.__getitems__(range(4))
    assert torch.equal(held.__getitems__(range(4))[key], before[key])


def test_volumes_smaller_than_the_patch_are_padded_with_ignored_voxels_and_the_lowest_value(
    data: list[dict[str, Any]],
):
    intensity = Intensity([-100, 5000], mean=50.0, sd=10.0)
    dataset = keyed(ResidentVolumes(data[:1], LABELS, (5, 11, 6), 4, intensity))
    batch = EncodeLabelSetsd(LABELS)(dataset.__getitems__([0, 1]))
    outside = [0, 1, 9, 10]  # of 7 voxels in 11
    assert torch.equal(batch["image"][:, :, :, outside], torch.full((2, 1, 5, 4, 6), -15.0))
    assert not batch["label"][:, :, :, outside].any(), "ignored: neither admitted nor annotated"
    inside = batch["label"][:, :, :, 2:9]
    assert bool((inside[:, 0] > 0).all())
    assert bool((inside[:, 1] == 7).all())
    assert bool((batch["image"][:, :, :, 2:9] > -6).all())


def test_the_padding_is_ignored_whatever_values_the_datasets_use(data: list[dict[str, Any]]):
    gaps = LabelSets(CLASSES, {"full": {0: "background", 1: "one", 2: "two", 255: "ignore"}})
    batch = keyed(ResidentVolumes(data[:1], gaps, (20, 20, 20), 1, PLAIN)).__getitems__([0])
    encoded = gaps.encode_batch(batch["label"], batch["dataset"])
    assert int((encoded[:, 0] == 0).sum()) == 20**3 - np.prod(SIZES[0])


def test_each_class_is_drawn_by_its_share_whoever_annotates_it(data: list[dict[str, Any]]):
    dataset = keyed(ResidentVolumes(data, LABELS, (3, 3, 3), 3000, PLAIN, {"one": 1.0, "two": 2.0}))
    batch = dataset.__getitems__(range(3000))
    centre = batch["label"][:, 0, 1, 1, 1]
    volume = (batch["image"][:, 0, 1, 1, 1] / 1000).floor()
    middle = centre == 1  # voxels of `two` at the border of their volume are not the middle of a patch
    assert float(middle.float().mean()) == pytest.approx(1 / 3, abs=0.03)
    assert volume[~middle].unique().tolist() == [1], "the only patient with voxels of `two`"
    counts = torch.bincount(volume[middle].long(), minlength=4) / middle.sum()
    assert counts.tolist() == pytest.approx([0.25] * 4, abs=0.05)


def test_a_class_that_a_patient_does_not_annotate_is_not_drawn_there(data: list[dict[str, Any]]):
    data[0]["unlabelled"], data[2]["unlabelled"] = ["one"], ["one", "two"]
    dataset = keyed(ResidentVolumes(data, LABELS, (3, 3, 3), 400, PLAIN, {"one": 1.0}))
    batch = dataset.__getitems__(range(400))
    assert (batch["image"][:, 0, 1, 1, 1] / 1000).floor().unique().tolist() == [1, 3]
    anywhere = keyed(ResidentVolumes(data, LABELS, (3, 3, 3), 400, PLAIN, {"anywhere": 1.0})).__getitems__(range(400))
    volumes = (anywhere["image"][:, 0, 1, 1, 1] / 1000).floor().long()
    hidden = torch.tensor([[False, True, False], [False] * 3, [False, True, True], [False] * 3])
    assert torch.equal(anywhere["unlabelled"], hidden[volumes])


def test_anywhere_reaches_every_voxel_of_every_patient(data: list[dict[str, Any]]):
    dataset = keyed(ResidentVolumes(data, LABELS, (1, 1, 1), 40000, PLAIN, {"anywhere": 1.0}))
    values = dataset.__getitems__(range(40000))["image"].flatten()
    expected = {1000 * number + rest for number, size in enumerate(SIZES) for rest in range(int(np.prod(size)))}
    assert set(values.long().tolist()) == expected


def test_classes_share_equally_unless_shares_say_otherwise(data: list[dict[str, Any]]):
    dataset = keyed(ResidentVolumes(data, LABELS, (1, 1, 1), 3000, PLAIN))
    drawn = torch.bincount(dataset.__getitems__(range(3000))["label"].flatten().long(), minlength=3) / 3000
    assert drawn.tolist() == pytest.approx([1 / 3] * 3, abs=0.04)
    alone = keyed(ResidentVolumes(data[:1], LABELS, (1, 1, 1), 1000, PLAIN))  # nobody holds `two`
    drawn = torch.bincount(alone.__getitems__(range(1000))["label"].flatten().long(), minlength=3) / 1000
    assert drawn.tolist() == pytest.approx([1 / 2, 1 / 2, 0], abs=0.05)


def test_shares_draw_the_same_patches_in_whatever_order_they_are_written(data: list[dict[str, Any]]):
    shares = {"one": 1.0, "two": 2.0, "anywhere": 3.0}
    sorted_, reversed_ = (
        keyed(ResidentVolumes(data, LABELS, (3, 3, 3), 50, PLAIN, dict(own))).__getitems__(range(50))["image"]
        for own in (shares.items(), reversed(shares.items()))
    )
    assert torch.equal(sorted_, reversed_)


def test_patients_count_equally_however_many_volumes_they_have():
    voxels = [{"one": np.array([0], np.int32)} for _ in range(4)]
    centres = PatchCentres(voxels, [(2, 2, 2)] * 4, ["p", "q", "q", "q"], {"one": 1.0, "anywhere": 1.0})
    item, _ = centres(torch.rand(20000, DRAWS, generator=torch.Generator().manual_seed(0)))
    counts = torch.bincount(item, minlength=4) / 20000
    assert counts.tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6], abs=0.02)


def test_a_patch_depends_on_its_number_and_the_key_alone(data: list[dict[str, Any]], tmp_path: Path):
    dataset = keyed(ResidentVolumes(data, LABELS, (3, 4, 5), 20, PLAIN))
    whole = dataset.__getitems__(range(20))
    for order in ([3], [19, 4, 7], [7, 4]):
        assert torch.equal(dataset.__getitems__(order)["image"], whole["image"][order])
    assert torch.equal(dataset[5]["image"], whole["image"][5])
    loader = DataLoader(dataset, batch_size=4, num_workers=2, collate_fn=lambda batch: batch)
    assert torch.equal(torch.cat([batch["image"] for batch in loader]), whole["image"]), "whichever worker"
    moved = copy.deepcopy(data)
    for item in moved:
        for key in ("image", "label"):
            item[key] = shutil.copy(item[key], tmp_path / f"{item['patient']}_{key}.nii")
    again = keyed(ResidentVolumes(moved, LABELS, (3, 4, 5), 20, PLAIN))
    assert torch.equal(again.__getitems__(range(20))["image"], whole["image"]), "wherever the files lie"
    assert not torch.equal(keyed(dataset, 8).__getitems__(range(20))["image"], whole["image"])


def test_what_is_remembered_of_a_large_class_is_limited_and_covers_it():
    positions = np.arange(50_000, dtype=np.int32) * 3
    kept = thinned(positions, key=1)
    assert len(kept) == CAP == len(set(kept))
    assert set(kept) <= set(positions)
    assert np.diff(kept).max() <= 2 * 3 * (50_000 / CAP + 1)
    np.testing.assert_array_equal(kept, thinned(positions, key=1))
    assert (kept != thinned(positions, key=2)).any()


def test_super_classes_are_no_voxels_of_a_class(data: list[dict[str, Any]]):
    both = LabelSets(CLASSES, {"full": [["background"], ["one"], ["one", "two"]]})
    dataset = keyed(ResidentVolumes(data[:3], both, (1, 1, 1), 50, PLAIN, {"one": 1.0}))
    batch = dataset.__getitems__(range(50))
    assert batch["label"].unique().tolist() == [1]
    encoded = both.encode_batch(batch["label"], batch["dataset"])
    assert bool(admitted(encoded, 3)[:, 1].all())
    assert bool(annotated(encoded, 3)[:, 1].all())


def test_wrong_use_is_refused_by_name(data: list[dict[str, Any]]):
    def volumes(items: list[dict[str, Any]], labels: LabelSets = LABELS, **more: Any) -> ResidentVolumes:
        return ResidentVolumes(items, labels, (3, 3, 3), 10, PLAIN, **more)

    with pytest.raises(ValueError, match=r"shares name 'two', which no volume annotates and holds; leave it out"):
        volumes(data[:1], shares={"one": 1.0, "two": 1.0})
    with pytest.raises(ValueError, match=r"shares hold {'one': 0}, expected positive numbers"):
        volumes(data, shares={"one": 0})
    with pytest.raises(ValueError, match=r"the data have the datasets \['full', 'one_only'\], which have no label"):
        volumes(data, LabelSets(CLASSES, {"other": [["background"], ["one"]]}))
    with pytest.raises(ValueError, match=r"annotation of 'full' holds the values \[2\], which are not among \[0, 1\]"):
        volumes(data[:2], LabelSets(CLASSES, {"full": [["background"], ["one"]]}))
    with pytest.raises(ValueError, match=r"p0\.nii has \[9, 7, 6\] voxels, its item \[9, 7, 5\]; prepare the dataset"):
        volumes([{**data[0], "size": [9, 7, 5]}])
    with pytest.raises(ValueError, match=r"expected a patch of three sizes and at least 1 patch, got \(3, 3\) and 10"):
        ResidentVolumes(data, LABELS, (3, 3), 10, PLAIN)
    with pytest.raises(ValueError, match=r"window is \[5, 5\], expected the lowest and the highest value"):
        Intensity([5, 5], 0.0, 1.0)
    with pytest.raises(ValueError, match=r"mean is 0\.0 and sd 0\.0, expected finite numbers and sd above 0"):
        Intensity(None, 0.0, 0.0)


def test_each_epoch_draws_other_patches_and_a_resumed_one_the_same(data: list[dict[str, Any]]):
    def epoch(number: int, seed: int = 1) -> torch.Tensor:
        dataset = ResidentVolumes(data, LABELS, (3, 4, 5), 6, PLAIN)
        augment = RandFlipd(0, CLASSES)
        SeedEachEpoch(seed, [augment, dataset])(SimpleNamespace(state=SimpleNamespace(epoch=number)))
        return augment(EncodeLabelSetsd(LABELS)(dataset.__getitems__(range(6))))["image"]

    first = epoch(3)
    assert torch.equal(epoch(3), first)
    assert not torch.equal(epoch(4), first)
    assert not torch.equal(epoch(3, seed=2), first)
