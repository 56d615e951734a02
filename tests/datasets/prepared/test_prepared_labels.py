"""Label sets and coverage of the datasets in use, and the checksum of their folders."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from common.datasets import checksum, coverage_table, labels_in, labels_of, read_datalist, stated_label_sets
from common.datasets.catalogue import HEART_LABELS, dataset_names
from common.datasets.phantom.study import DOMAINS
from common.datasets.prepared.layout import read_label_sets
from common.label_set_map import drop_classes
from common.label_sets import LabelSets

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
    with pytest.raises(
        ValueError, match=r"the data have \['east'\], whose folder states no label sets \(it states \['n"
    ):
        labels_of(CLASSES, KNOWN, data("north", "east"))


def test_the_coverage_table_counts_images():
    items = data("north", "lv_only", "lv_only")
    header, north, lv_only = coverage_table(labels_of(CLASSES, KNOWN, items), items).splitlines()
    assert header.split() == ["dataset", *CLASSES, "images"]
    assert north.split() == ["north", "yes", "yes", "yes", "1"]
    assert lv_only.split() == ["lv_only", "-", "yes", "-", "2"]


def test_the_coverage_of_a_fold_names_datasets_without_images_and_classes_that_no_image_annotates():
    items = [*images(["la"], ["la", "lv"]), *data("lv_only")]
    rows = [line.split() for line in coverage_table(LabelSets(CLASSES, KNOWN), items).splitlines()[1:]]
    assert rows == [
        ["north", "-", "some", "-", "2"],
        ["south", "yes", "yes", "yes", "0"],
        ["lv_only", "-", "yes", "-", "1"],
        ["no", "image:", "south"],
    ]


def test_the_coverage_of_a_fold_names_datasets_whose_annotation_decides_nothing():
    sets = {"north": FULL, "open": [CLASSES, CLASSES]}
    items = [*data("north", "open"), {"dataset": "open"}]
    *_, last = coverage_table(LabelSets(CLASSES, sets), items).splitlines()
    assert last == "no Dice, since the annotation decides no structure: open"
    assert "no Dice" not in coverage_table(LabelSets(CLASSES, sets), items[:1])
    assert coverage_table(LabelSets(CLASSES, sets), images(["lv", "la"])).splitlines()[-2:] == [
        "no image: open",
        "no Dice, since the annotation decides no structure: north",
    ]


def test_the_checksum_of_several_folders_ignores_their_order_and_place(tmp_path: Path):
    folders = [tmp_path / name for name in ("a", "b", "moved")]
    for folder, number in zip(folders, ("1" * 64, "2" * 64, "1" * 64), strict=True):
        folder.mkdir()
        (folder / "provenance.json").write_text(json.dumps({"checksum": number}))
        (folder / "datalist.json").write_text("[]")
    a, b, moved = folders
    assert checksum(a) == checksum([str(a)]) == checksum(moved)
    assert checksum([a, b]) == checksum([b, moved])
    assert len({checksum(a), checksum(b), checksum([a, b])}) == 3


def test_the_checksum_covers_what_annotation_values_mean_and_spacings(tmp_path: Path):
    stated = {
        "a": {"label_sets": {"clinic": [["background"], ["lv"]]}},
        "same": {"label_sets": {"clinic": {"1": ["lv"], "0": ["background"]}}},
        "meaning": {"label_sets": {"clinic": [["background", "la"], ["lv"]]}},
        "spacing": {"label_sets": {"clinic": [["background"], ["lv"]]}},
    }
    for name, facts in stated.items():
        (tmp_path / name).mkdir()
        item = {"image": "images/a.png", "spacing": [1, 2 if name == "spacing" else 1]}
        (tmp_path / name / "datalist.json").write_text(json.dumps([item]))
        (tmp_path / name / "provenance.json").write_text(json.dumps({"checksum": "0", **facts}))
    first, same, *others = (checksum(tmp_path / name) for name in stated)
    assert first == same
    assert len({first, *others}) == 3


def images(*unlabelled: list[str]) -> list[dict[str, object]]:
    return [{"dataset": "north", "unlabelled": names} if names else {"dataset": "north"} for names in unlabelled]


def test_a_class_that_only_some_images_annotate_is_marked():
    items = [*images(["la"], []), *data("south")]
    labels = labels_of(CLASSES, KNOWN, items)
    assert labels.partly["north"] == ["la"]
    assert labels.annotated("north") == CLASSES
    assert labels.partially_labelled() == ["la"]
    assert coverage_table(labels, items).splitlines()[1].split() == ["north", "yes", "yes", "some", "2"]


def test_a_class_that_no_image_annotates_is_removed_from_the_label_sets():
    labels = labels_of(CLASSES, KNOWN, [*images(["la"], ["la", "unknown here"]), *data("south")])
    assert labels.annotated("north") == ["lv"]
    assert labels.partially_labelled() == ["la"]


def test_a_class_that_no_dataset_annotates_is_refused_with_the_remedies():
    message = (
        r"no dataset annotates \['la'\]: .* among \['lv_only'\].* withhold less, "
        r"train without these classes \(--classes \"\['background', 'lv'\]\"\), .*--initial_weights"
    )
    with pytest.raises(ValueError, match=message):
        labels_of(CLASSES, KNOWN, data("lv_only"))
    with pytest.raises(ValueError, match=r"no dataset annotates \['la'\]"):
        labels_of(CLASSES, KNOWN, images(["la"], ["la"]))


@pytest.mark.parametrize("every", [True, False])
def test_images_may_leave_the_parts_of_a_super_class_unlabelled(every: bool):
    """Nobody outlined their ventricle, so it may be wherever they say background."""
    classes = ["background", "lv", "lvm", "la", "rv"]
    stated = {"north": {0: ["background"], 3: ["la"], 5: ["lv", "lvm"]}}
    hidden = {"dataset": "north", "unlabelled": ["lv", "lvm", "rv"]}
    items = [hidden] if every else [hidden, {"dataset": "north"}]
    labels = labels_in(classes, stated, items)
    target = labels.encode_batch(torch.tensor([[[0, 3]]] * len(items)), torch.zeros(len(items), dtype=torch.int64))
    maps = drop_classes(target, labels.unlabelled(items))[:, 0].tolist()
    assert maps[0] == [0b10111, 0b01000]
    assert maps[1:] == ([] if every else [[0b10001, 0b01000]])
    assert labels.leaves_open()


def test_what_a_dataset_never_outlines_cannot_be_unlabelled_in_it():
    """Dropping it would drop the outline of the super-class, too."""
    sets = {"north": {0: ["background"], 5: ["lv", "la"]}}
    labels = labels_in([*CLASSES, "rv"], sets, [{"dataset": "north", "unlabelled": ["rv"]}])
    assert labels.encode(torch.tensor([[0, 5]]), "north")[0].tolist() == [0b1001, 0b0110]


def test_values_that_admit_several_classes_leave_them_open():
    values = {0: "background", 1: "lv", 2: "la", 255: "ignore"}
    assert not LabelSets(CLASSES, {"a": values}).leaves_open()
    open_ = LabelSets(CLASSES, {"a": {**values, 254: CLASSES}})
    assert (open_.partially_labelled(), open_.leaves_open()) == ([], True)


def test_validation_images_keep_what_no_training_image_annotates():
    labels = labels_in(CLASSES, KNOWN, data("north"))
    assert labels.annotated("north") == CLASSES
    assert labels_in(CLASSES, KNOWN, data("lv_only")).unannotated() == ["la"], "nothing is refused"


def test_weights_that_know_a_class_need_no_dataset_that_annotates_it():
    labels = labels_of(CLASSES, KNOWN, data("lv_only"), weights="model.pt")
    assert labels.annotated("lv_only") == ["lv"]


def test_datasets_that_are_left_out_are_named_below_the_table():
    items = data("north")
    table = coverage_table(labels_of(CLASSES, KNOWN, items), items, KNOWN)
    assert table.splitlines()[-1] == "not trained on: south, lv_only"
    assert "not trained on" not in coverage_table(labels_of(CLASSES, KNOWN, items), items, {"north": FULL})
    items = [{"dataset": "north", "completed": True}]
    table = coverage_table(labels_of(CLASSES, KNOWN, items), items)
    assert table.splitlines()[-1] == "completed by a network, nothing is withheld: north"


def stating(folder: Path, **label_sets: object) -> Path:
    folder.mkdir()
    (folder / "provenance.json").write_text(json.dumps({"label_sets": label_sets}))
    return folder


def test_folders_state_values_one_by_one_or_as_an_earlier_list(tmp_path: Path):
    new = stating(tmp_path / "new", a={"0": ["background"], "128": ["lv"], "255": ["ignore"]})
    old = stating(tmp_path / "old", b=[["background", "la"], ["lv"]])
    assert stated_label_sets([new, str(old)], ["background", "lv", "la"]) == {
        "a": {0: ["background", "la"], 128: ["lv"], 255: ["ignore"]},
        "b": {0: ["background", "la"], 1: ["lv"]},
    }


def test_a_class_that_a_dataset_never_mentions_is_not_annotated_by_it(tmp_path: Path):
    """Three sites with one organ each: every one of them may hide the others in its background."""
    organs = ["liver", "spleen", "kidney"]
    folders = [stating(tmp_path / organ, **{organ: {"0": ["background"], "1": [organ]}}) for organ in organs]
    stated = stated_label_sets(folders, ["background", *organs])
    assert {organ: set(stated[organ][0]) for organ in organs} == {
        organ: {"background", *organs} - {organ} for organ in organs
    }
    labels = labels_of(["background", *organs], stated, data(*organs))
    assert [labels.annotated(organ) for organ in organs] == [[organ] for organ in organs]


def test_a_class_that_is_mentioned_but_never_drawn_is_absent(tmp_path: Path):
    folder = stating(tmp_path / "a", a={"0": ["background"], "1": ["lv"], "2": ["la"]})
    assert stated_label_sets(folder, CLASSES)["a"][0] == ["background"]


@pytest.mark.parametrize(
    "values",
    [
        [["background", "lv_myocardium", "left_atrium"], ["lv_cavity"]],
        [["background"], ["lv_cavity"]],
        HEART_LABELS,
    ],
)
def test_structures_that_are_renamed_to_background_leave_the_classes_of_the_bundle(tmp_path: Path, values: list):
    folder = stating(tmp_path / "a", a=values)
    renamed = {"lv_myocardium": "background", "left_atrium": "background"}
    stated = stated_label_sets(folder, ["background", "lv_cavity"], renamed)["a"]
    assert stated == {value: ["lv_cavity"] if value == 1 else ["background"] for value in range(len(values))}


def test_renamed_structures_are_renamed_in_the_items_too(tmp_path: Path):
    folder = stating(tmp_path / "a", a=[["background"], ["LV"], ["wall"], ["fat"]])
    item = {"image": "i.png", "label": "l.png", "dataset": "a", "fold": "test", "unlabelled": ["LV", "wall", "fat"]}
    (folder / "datalist.json").write_text(json.dumps([item, {**item, "image": "j.png", "unlabelled": ["LV"]}]))
    renamed = {"LV": "lv", "wall": "lv", "fat": "background"}
    assert stated_label_sets(folder, CLASSES, renamed)["a"] == {
        0: ["background", "la"],
        1: ["lv"],
        2: ["lv"],
        3: ["background", "la"],
    }
    assert [one["unlabelled"] for one in read_datalist(folder, "test", renamed)] == [["lv"], ["lv"]]
    assert [one["unlabelled"] for one in read_datalist(folder)] == [["LV", "wall", "fat"], ["LV"]]


@pytest.mark.parametrize(
    ("renamed", "message"),
    [
        (
            {},
            r"'a' annotates 'lw', which is not among the classes \['background', 'lv', 'la'\]\. "
            r'Add it to `classes`, or count it as another: --renamed "\{lw: background\}"',
        ),
        ({"lw": "backgroud"}, r"renamed makes 'lw' 'backgroud', expected one .* Did you mean 'background'\?"),
        ({"lw": "Ignore"}, r"renamed makes 'lw' 'Ignore', expected one .*, or 'ignore'\. Did you mean 'ignore'\?"),
        (
            "background",
            r"renamed is 'background', expected .*: --renamed \"\{papillary_muscle: background\}\"",
        ),
        (["lw"], r"renamed is \['lw'\], expected structures and the class that each counts as"),
        ({"lw": None}, r"renamed is \{'lw': None\}, expected structures and the class that each counts as"),
        ({"lv": "la"}, r"renamed has 'lv', which is a class of this bundle"),
        ({"ignore": "lv"}, r"renamed has 'ignore', which is a class of this bundle, or ignored"),
    ],
)
def test_names_that_a_bundle_does_not_know_are_refused(tmp_path: Path, renamed: dict[str, str], message: str):
    folder = stating(tmp_path / "a", a=[["background"], ["lw"]])
    with pytest.raises(ValueError, match=message):
        stated_label_sets(folder, CLASSES, renamed)


@pytest.mark.parametrize(
    ("classes", "right"),
    [
        (["lv", "la"], r"\[background, lv, la\]"),
        (["lv", "background"], r"\[background, lv\]"),
        ("lv", r"\[background, lv\]"),
        ("background", r"\[background, lv_cavity\]"),
        ([], r"\[background, lv_cavity\]"),
        (None, r"\[background, lv_cavity\]"),
    ],
)
def test_classes_begin_with_background(tmp_path: Path, classes: object, right: str):
    folder = stating(tmp_path / "a", a=[["background"], ["lv"]])
    with pytest.raises(ValueError, match=rf'expected a list that begins with background: --classes "{right}"'):
        stated_label_sets(folder, classes)


def test_a_value_may_be_renamed_to_ignore(tmp_path: Path):
    folder = stating(tmp_path / "a", a={"0": ["background"], "1": ["lv"], "2": ["la"], "255": ["Ignore"]})
    item = {"image": "i.png", "label": "l.png", "dataset": "a", "fold": "test", "unlabelled": ["Ignore", "la"]}
    (folder / "datalist.json").write_text(json.dumps([item]))
    with pytest.raises(ValueError, match=r"'a' annotates 'Ignore', .* another: --renamed \"\{Ignore: ignore\}\"\."):
        stated_label_sets(folder, CLASSES)
    assert stated_label_sets(folder, CLASSES, {"Ignore": "ignore"})["a"][255] == ["ignore"]
    assert read_datalist(folder, "test", {"Ignore": "ignore"})[0]["unlabelled"] == ["la"]
    mixed = stating(tmp_path / "mixed", a=[["background"], ["lv", "fat"]])
    with pytest.raises(ValueError, match=r"makes \['lv', 'fat'\], .* \['lv', 'ignore'\]; 'ignore' stands alone"):
        stated_label_sets(mixed, CLASSES, {"fat": "ignore"})


def test_the_remedy_keeps_what_is_renamed_already_and_is_enough(tmp_path: Path):
    folder = stating(tmp_path / "a", a=[["background"], ["fat"], ["lv_cavty"]])
    classes = ["background", "lv_cavity"]
    with pytest.raises(ValueError, match="annotates 'lv_cavty'") as refused:
        stated_label_sets(folder, classes, {"fat": "background", "elsewhere": "background"})
    remedy = str(refused.value).split('--renamed "')[1].split('"')[0]
    assert remedy == "{fat: background, lv_cavty: lv_cavity}"
    assert stated_label_sets(folder, classes, yaml.safe_load(remedy))["a"][2] == ["lv_cavity"]


def test_a_misspelt_class_is_never_silently_background(tmp_path: Path):
    folder = stating(tmp_path / "a", a=[["background"], ["left_atrum"]])
    with pytest.raises(ValueError, match=r"'a' annotates 'left_atrum', .* Did you mean 'left_atrium'\? Add it"):
        stated_label_sets(folder, ["background", "lv_cavity", "left_atrium"])


def test_two_folders_that_contradict_each_other_are_named(tmp_path: Path):
    one = stating(tmp_path / "one", a=[["background"], ["lv"]])
    other = stating(tmp_path / "other", a=[["background"], ["la"]])
    with pytest.raises(ValueError, match=r"/one and .*/other state different label sets of 'a': \{0: .* another name"):
        stated_label_sets([one, other], CLASSES)
    same = stating(tmp_path / "same", a={"1": ["lv"], "0": ["background"], "255": ["ignore"]})
    assert stated_label_sets([one, same], CLASSES)["a"] == {0: ["background", "la"], 1: ["lv"], 255: ["ignore"]}
    marked = stating(tmp_path / "marked", a={"0": ["background"], "1": ["ignore"]})
    with pytest.raises(ValueError, match="state different label sets"):
        stated_label_sets([one, marked], CLASSES)


@pytest.mark.parametrize("stated", [["a"], {"a": 3}, {"a": {"x": ["lv"]}}, {"a": {"0": 3}}])
def test_label_sets_that_cannot_be_read_are_refused(tmp_path: Path, stated: object):
    (tmp_path / "provenance.json").write_text(json.dumps({"label_sets": stated}))
    with pytest.raises(ValueError, match=r"provenance\.json has no valid label sets; prepare the dataset again"):
        read_label_sets(tmp_path)


def test_the_catalogue_has_the_domains_of_the_phantom():
    assert set(DOMAINS) <= set(dataset_names())
    assert {"camus", "echonet_dynamic", "unity", "screens", "camus_moved"} <= set(dataset_names())
