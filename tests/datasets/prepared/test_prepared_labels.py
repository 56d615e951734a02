"""Label sets and coverage of the datasets in use, and the checksum of their folders."""

import json
from pathlib import Path

import pytest

from common.datasets import checksum, coverage_table, labels_of

CLASSES = ["background", "lv", "la"]
FULL = [["background"], ["lv"], ["la"]]
KNOWN = {"north": FULL, "south": FULL, "lv_only": [["background", "la"], ["lv"]]}


def data(*datasets: str) -> list[dict[str, str]]:
    return [{"dataset": name} for name in datasets]


def test_only_datasets_with_data_are_included_in_the_order_of_the_data():
    labels = labels_of(CLASSES, KNOWN, data("lv_only", "north", "lv_only"))
    assert list(labels.label_sets) == ["lv_only", "north"]
    assert labels.label_sets["lv_only"] == KNOWN["lv_only"]


def test_a_dataset_without_label_sets_is_named():
    with pytest.raises(ValueError, match=r"the data have \['east'\], which label_sets does not describe; it has \['n"):
        labels_of(CLASSES, KNOWN, data("north", "east"))


def test_the_coverage_table_counts_images():
    items = data("north", "lv_only", "lv_only")
    header, north, lv_only = coverage_table(labels_of(CLASSES, KNOWN, items), items).splitlines()
    assert header.split() == ["dataset", *CLASSES, "images"]
    assert north.split() == ["north", "✓", "✓", "✓", "1"]
    assert lv_only.split() == ["lv_only", "-", "✓", "-", "2"]


def test_the_checksum_of_several_folders_ignores_their_order_and_place(tmp_path: Path):
    folders = [tmp_path / name for name in ("a", "b", "moved")]
    for folder, number in zip(folders, ("1" * 64, "2" * 64, "1" * 64), strict=True):
        folder.mkdir()
        (folder / "provenance.json").write_text(json.dumps({"checksum": number}))
    a, b, moved = folders
    assert checksum(a) == checksum([str(a)]) == "1" * 64
    assert checksum([a, b]) == checksum([b, moved])
    assert len({checksum(a), checksum(b), checksum([a, b]), checksum([a, a])}) == 4


def images(*unlabelled: list[str]) -> list[dict[str, object]]:
    return [{"dataset": "north", "unlabelled": names} if names else {"dataset": "north"} for names in unlabelled]


def test_a_class_that_only_some_images_annotate_is_marked():
    items = [*images(["la"], []), *data("south")]
    labels = labels_of(CLASSES, KNOWN, items)
    assert labels.partly["north"] == ["la"]
    assert labels.annotated("north") == CLASSES
    assert labels.partially_labelled() == ["la"]
    assert coverage_table(labels, items).splitlines()[1].split() == ["north", "✓", "✓", "some", "2"]


def test_a_class_that_no_image_annotates_is_removed_from_the_label_sets():
    labels = labels_of(CLASSES, KNOWN, [*images(["la"], ["la", "unknown here"]), *data("south")])
    assert labels.annotated("north") == ["lv"]
    assert labels.partially_labelled() == ["la"]
