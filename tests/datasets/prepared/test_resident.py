"""The resident set returns the content of the files, and names the file that it cannot use."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clinic import job, source
from PIL import Image
from torch.utils.data import DataLoader

from common.datasets import ResidentDataset, read_datalist
from common.datasets.prepared.layout import checksum, read_provenance
from common.datasets.prepared.preparation import prepare
from common.datasets.prepared.source import Frame, Job, Source
from common.label_sets import LabelSets

CLASSES = ["background", "lv", "la"]
LABELS = LabelSets(CLASSES, {"full": [["background"], ["lv"], ["la"]], "lv_only": [["background", "la"], ["lv"]]})
SIZE = 16


def write(folder: Path, name: str, dataset: str, values: int, size: int = SIZE) -> dict[str, Any]:
    generator = np.random.default_rng(sum(map(ord, name)))
    paths = {key: folder / f"{name}_{key}.png" for key in ("image", "label")}
    Image.fromarray(generator.integers(0, 256, (size, size), dtype=np.uint8)).save(paths["image"])
    Image.fromarray(generator.integers(0, values, (size, size), dtype=np.uint8)).save(paths["label"])
    return {"dataset": dataset, **{key: str(path) for key, path in paths.items()}}


@pytest.fixture
def data(tmp_path: Path) -> list[dict[str, Any]]:
    names = ["lv_only", "full", "full", "lv_only", "full"]
    return [write(tmp_path, f"scan{number}", name, 3 if name == "full" else 2) for number, name in enumerate(names)]


def pixels(path: str) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path)))


def test_a_batch_has_the_content_of_the_files(data: list[dict[str, Any]]):
    batch = ResidentDataset(data, LABELS, SIZE).__getitems__([3, 0, 4])
    assert batch["image"].shape == batch["label"].shape == (3, 1, SIZE, SIZE)
    assert (batch["image"].dtype, batch["label"].dtype) == (torch.float32, torch.uint8)
    for position, index in enumerate([3, 0, 4]):
        torch.testing.assert_close(batch["image"][position, 0], pixels(data[index]["image"]) / 255)
        assert torch.equal(batch["label"][position, 0], pixels(data[index]["label"]))
    assert batch["dataset"].tolist() == [1, 1, 0], "the order of the label sets, not of the data"
    assert batch["index"].tolist() == [3, 0, 4]


def test_one_item_is_a_batch_of_one_without_its_dimension(data: list[dict[str, Any]]):
    dataset = ResidentDataset(data, LABELS, SIZE)
    item, batch = dataset[2], dataset.__getitems__([2])
    assert len(dataset) == 5
    assert set(item) == set(batch)
    assert all(torch.equal(item[key], batch[key][0]) for key in item)


def test_changing_a_batch_does_not_change_the_set(data: list[dict[str, Any]]):
    dataset = ResidentDataset(data, LABELS, SIZE)
    batch = dataset.__getitems__([0])
    for key in ("image", "label", "dataset"):
        batch[key].fill_(1)
    torch.testing.assert_close(dataset[0]["image"][0], pixels(data[0]["image"]) / 255)
    assert torch.equal(dataset[0]["label"][0], pixels(data[0]["label"]))
    assert dataset[0]["dataset"] == 1


def test_images_of_another_size_are_resized_without_new_annotation_values(tmp_path: Path):
    item = write(tmp_path, "scan", "full", 3, size=2 * SIZE)
    label = np.zeros((2 * SIZE, 2 * SIZE), np.uint8)
    label[:, SIZE:] = 2
    Image.fromarray(label).save(item["label"])
    batch = ResidentDataset([item], LABELS, SIZE)[0]
    assert torch.equal(batch["label"][0], torch.from_numpy(label[::2, ::2]))
    assert batch["image"].shape == (1, SIZE, SIZE)
    assert batch["image"].mean() == pytest.approx(float(pixels(item["image"]).float().mean()) / 255, abs=0.02)


@pytest.mark.parametrize("size", [None, 48, 200])
@pytest.mark.parametrize("image_size", [64, 160])
def test_a_disc_keeps_its_area_in_mm_at_any_size(tmp_path: Path, size: int | None, image_size: int):
    """Prepared at its own or another size, and resampled to that of the network, to 2 %: the raster's share."""
    spacing, radius = (0.5, 0.25), 15.0  # mm
    rows, columns = np.indices((120, 200))
    label = (((rows - 60) * spacing[0]) ** 2 + ((columns - 100) * spacing[1]) ** 2 <= radius**2).astype(np.uint8)
    item = {"dataset": "full", "patient": "p", "view": None, "phase": None, "fold": "test"}
    disc = Job("disc", item, partial(Frame, 255 * label, label, spacing))
    unknown = Job("unknown", item, partial(Frame, 255 * label, label, None))
    out = tmp_path / "out"
    prepare(Source("full", [disc, unknown], "none", "", {"full": [["background"], ["lv"], ["la"]]}), out, size, 1)
    dataset = ResidentDataset(read_datalist(out), LABELS, image_size)
    area = (dataset[0]["label"] == 1).sum() * dataset.spacing[0].prod()
    assert float(area) == pytest.approx(np.pi * radius**2, rel=0.02)
    assert dataset.spacing[0].tolist() == pytest.approx([0.5 * 120 / image_size, 0.25 * 200 / image_size])
    assert dataset.spacing[1].isnan().all()


def test_an_image_at_its_own_size_is_resampled_once(tmp_path: Path):
    """From 120 x 200 to 64: bit for bit what one resampling of the source gives."""
    image = np.random.default_rng(0).integers(0, 256, (120, 200), np.uint8)
    label = np.zeros_like(image)
    item = {"dataset": "full", "patient": "p", "view": None, "phase": None, "fold": "test"}
    source = Source(
        "full", [Job("scan", item, partial(Frame, image, label, None))], "none", "", {"full": [["background"]]}
    )
    once = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR))
    for size, equal in ((None, True), (64, True), (96, False)):
        out = tmp_path / str(size)
        prepare(source, out, size, workers=1)
        assert torch.equal(ResidentDataset(read_datalist(out), LABELS, 64).images[0, 0], torch.tensor(once)) == equal


def test_an_annotation_of_another_shape_is_named(data: list[dict[str, Any]]):
    Image.new("L", (SIZE, SIZE + 1)).save(data[2]["label"])
    with pytest.raises(ValueError, match=r"scan2_label\.png has \(17, 16\) pixels, its image \(16, 16\); prepare the"):
        ResidentDataset(data, LABELS, SIZE)


def test_the_data_loader_visits_every_image_once_in_a_new_order(data: list[dict[str, Any]]):
    def collate(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {**batch, "label": batch["label"] + 10}

    dataset = ResidentDataset(data * 4, LABELS, SIZE)
    generator = torch.Generator().manual_seed(0)
    loader = DataLoader(dataset, batch_size=6, shuffle=True, generator=generator, collate_fn=collate)
    orders = []
    for _ in range(2):
        batches = list(loader)
        assert [len(batch["image"]) for batch in batches] == [6, 6, 6, 2]
        for batch in batches:
            assert torch.equal(batch["label"], dataset.labels[batch["index"]] + 10)
            assert torch.equal(batch["dataset"], dataset.dataset[batch["index"]])
        orders.append(torch.cat([batch["index"] for batch in batches]).tolist())
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(20))
    assert orders[0] != orders[1]


def test_an_unknown_annotation_value_is_named(data: list[dict[str, Any]], tmp_path: Path):
    data.append(write(tmp_path, "wrong", "lv_only", 3))  # value 2 means nothing in this dataset
    with pytest.raises(ValueError, match=r"annotation of 'lv_only' holds the values \[2\].* among \[0, 1\]"):
        ResidentDataset(data, LABELS, SIZE)


def test_an_unknown_dataset_is_named(data: list[dict[str, Any]]):
    data[1]["dataset"] = "clinic"
    message = r"the data have the datasets \['clinic'\], which have no label sets; known are \['full', 'lv_only'\]"
    with pytest.raises(ValueError, match=message):
        ResidentDataset(data, LABELS, SIZE)


def test_a_missing_file_is_named(data: list[dict[str, Any]]):
    Path(data[2]["label"]).unlink()
    with pytest.raises(FileNotFoundError, match=r"scan2_label\.png is missing; prepare the da"):
        ResidentDataset(data, LABELS, SIZE)


def test_a_colour_image_is_refused(data: list[dict[str, Any]]):
    Image.new("RGB", (SIZE, SIZE)).save(data[2]["image"])
    with pytest.raises(ValueError, match=r"scan2_image\.png is \d+x\d+ pixels of mode 'RGB', expected mode 'L'"):
        ResidentDataset(data, LABELS, SIZE)


def test_a_file_is_named_whatever_its_damage(data: list[dict[str, Any]]):
    path = Path(data[2]["image"])
    whole = path.read_bytes()
    dataset = [data[2]]
    harmless = 0
    path.write_bytes(whole[:33] + (50).to_bytes(4, "big") + whole[37:])  # the pixels' length: garbage follows
    with pytest.raises(ValueError, match=r"scan2_image\.png cannot be read \(broken PNG file"):
        ResidentDataset(dataset, LABELS, SIZE)
    for position in range(0, len(whole), 5):
        flipped = bytes([whole[position] ^ 0xFF])
        for content in (whole[:position], whole[:position] + flipped + whole[position + 1 :]):
            path.write_bytes(content)
            try:
                ResidentDataset(dataset, LABELS, SIZE)
            except ValueError as error:
                assert str(path) in str(error), error  # noqa: PT017  # some bytes do no harm
            else:
                harmless += 1
    assert harmless < 10, "bytes after the pixels"


def test_a_batch_marks_the_classes_that_its_images_leave_unlabelled(data: list[dict[str, Any]]):
    assert "unlabelled" not in ResidentDataset(data, LABELS, SIZE).__getitems__([0, 1])
    data[1]["unlabelled"] = ["la", "a class of another bundle"]
    batch = ResidentDataset(data, LABELS, SIZE).__getitems__([0, 1])
    assert batch["unlabelled"].tolist() == [[False, False, False], [False, False, True]]


def prepared(folder: Path) -> Path:
    prepare(source(job(1), job(2), job(3, "test")), folder, SIZE, workers=1)
    return folder


HEART = LabelSets(["background", "lv_cavity", "lv_myocardium"], source(job(1)).label_sets)


@pytest.mark.parametrize("changed", ["images", "labels"])
def test_pixels_that_changed_since_the_preparation_are_refused_by_the_name_of_the_first_image(
    tmp_path: Path, changed: str
):
    folder = prepared(tmp_path / "clinic")
    for number in (3, 2):
        Image.new("L", (SIZE, SIZE)).save(folder / changed / f"patient{number}_4CH_ED.png")
    assert len(ResidentDataset(read_datalist(folder)[:1], HEART, SIZE)) == 1
    message = (
        r"images/patient2_4CH_ED\.png or its annotation .*labels/patient2_4CH_ED\.png is not what was prepared; .*"
    )
    with pytest.raises(ValueError, match=message + "prepare the dataset again"):
        ResidentDataset(read_datalist(folder), HEART, SIZE)


def test_a_folder_of_an_earlier_version_without_journal_is_compared_with_its_checksum(tmp_path: Path):
    folder = prepared(tmp_path / "clinic")
    (folder / "journal.jsonl").unlink()
    provenance = read_provenance(folder)
    del provenance["digests"]
    (folder / "provenance.json").write_text(json.dumps(provenance))
    assert len(ResidentDataset(read_datalist(folder), HEART, SIZE)) == 3
    Image.new("L", (SIZE, SIZE)).save(folder / "labels/patient3_4CH_ED.png")
    message = r"clinic is not what an earlier version prepared: .* remove it, and prepare the dataset again\.$"
    with pytest.raises(ValueError, match=message):
        ResidentDataset(read_datalist(folder)[:1], HEART, SIZE)


@pytest.mark.parametrize("change", ["folds", "annotation of another image", "image that was not prepared"])
def test_a_datalist_that_somebody_edited_has_another_checksum_and_only_prepared_pairs(tmp_path: Path, change: str):
    folder = prepared(tmp_path / "clinic")
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert checksum(copy) == checksum(folder)
    items = json.loads((copy / "datalist.json").read_text())
    if change == "folds":
        items[0]["fold"], items[2]["fold"] = items[2]["fold"], items[0]["fold"]
    elif change == "annotation of another image":
        items[0]["label"] = items[1]["label"]
    else:
        shutil.copy(copy / items[1]["image"], copy / "images/other.png")
        items[0]["image"] = "images/other.png"
    (copy / "datalist.json").write_text(json.dumps(items))
    assert checksum(copy) != checksum(folder)
    if change == "folds":
        assert len(ResidentDataset(read_datalist(copy), HEART, SIZE)) == 3
    else:
        with pytest.raises(ValueError, match="is not what was prepared"):
            ResidentDataset(read_datalist(copy), HEART, SIZE)


def test_the_checksum_covers_the_pixels_that_a_new_preparation_found(tmp_path: Path):
    folders = [prepared(tmp_path / "a"), tmp_path / "b"]
    prepare(source(job(1), job(2), job(3, "test", partial(job(4).read.func, 4))), folders[1], SIZE, workers=1)
    assert len(set(map(checksum, folders))) == 2
