"""Selection of training images and hiding of their annotation."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from common.datasets import labels_of, select
from common.datasets.prepared.selection import check_names

CLASSES = ["background", "lv", "la"]
FULL = [["background"], ["lv"], ["la"]]
SETS = {"north": FULL, "south": FULL, "east": FULL}


def data(**patients: int) -> list[dict[str, Any]]:
    """Two images of each patient."""
    return [
        {"dataset": name, "patient": f"p{number}", "image": f"{name}_{number}_{phase}.png"}
        for name, count in patients.items()
        for number in range(count)
        for phase in ("ED", "ES")
    ]


def names(items: list[dict[str, Any]]) -> set[str]:
    return {item["image"] for item in items}


def test_without_settings_all_images_are_kept():
    items = data(north=3, south=2)
    assert select(items, SETS) == items


def test_datasets_are_kept_by_name():
    assert {item["dataset"] for item in select(data(north=1, south=1, east=1), SETS, ["south", "east"])} == {
        "south",
        "east",
    }
    assert {item["dataset"] for item in select(data(north=1, south=1), SETS, "south")} == {"south"}


def test_a_smaller_selection_is_a_subset_of_a_larger_one_and_keeps_patients_together():
    items = data(north=20, south=5)
    few, more = (select(items, SETS, images={"north": count}) for count in (6, 14))
    assert names(few) < names(more)
    assert Counter(item["dataset"] for item in few) == {"north": 6, "south": 10}
    assert set(Counter(item["patient"] for item in few if item["dataset"] == "north").values()) == {2}
    assert len(select(items, SETS, images={"north": 999})) == 50
    assert {item["dataset"] for item in select(items, SETS, images={"north": 0})} == {"south"}


def test_the_choice_does_not_depend_on_the_order_or_on_other_datasets():
    alone = select(data(north=20), SETS, images={"north": 8})
    mixed = select(data(south=4, north=20)[::-1], SETS, images={"north": 8})
    assert names(alone) == {name for name in names(mixed) if name.startswith("north")}


@pytest.mark.parametrize(("share", "losing"), [(0.0, 0), (0.3, 3), (0.5, 5), (1.0, 10)])
def test_a_fraction_of_the_patients_loses_the_withheld_classes(share: float, losing: int):
    items = select(data(north=10, south=3), SETS, withheld={"north": ["la"]}, share=share)
    hidden = {item["patient"] for item in items if item.get("unlabelled") == ["la"]}
    assert len(hidden) == losing
    assert all(item["dataset"] == "north" for item in items if "unlabelled" in item)
    for item in items:  # both images of a patient
        assert ("unlabelled" in item) == (item["dataset"] == "north" and item["patient"] in hidden)


@pytest.mark.parametrize(
    "settings",
    [
        {"withheld": {"camus": ["la"]}},
        {"withheld": {"north": []}},
        {"withheld": {"north": ["la"]}, "share": 0.04},  # of ten patients
        {"withheld": {"north": ["la"]}, "datasets": "south"},
        {"withheld": {"north": ["la"]}, "images": {"north": 0}},
    ],
)
def test_a_fraction_that_would_hide_nothing_is_refused(settings: dict[str, Any]):
    items = data(north=10, south=3)
    with pytest.raises(
        ValueError, match=r"withheld_share is 0\.\d+, but no patient of .* loses an annotation: .*--with"
    ):
        select(items, SETS, **{"share": 0.5, **settings})
    assert select(items, SETS, **{**settings, "share": 1.0})
    assert select([{**item, "fold": "validation"} for item in items], SETS, **{"share": 0.5, **settings})


def test_a_fraction_does_not_matter_where_nothing_is_withheld():
    items = data(north=10, south=3)
    assert select(items, SETS, share=0.5) == items
    completed = [{**item, "completed": True} for item in items]
    assert select(completed, SETS, withheld={"north": ["la"]}, share=0.5) == completed


def test_withheld_classes_are_removed_from_the_label_sets():
    items = select(data(north=4, south=4), SETS, withheld={"south": ["la"]})
    labels = labels_of(CLASSES, SETS, items)
    assert labels.annotated("south") == ["lv"]
    assert sorted(labels.label_sets["south"][2]) == ["background", "la"]
    half = labels_of(CLASSES, SETS, select(data(north=4), SETS, withheld={"north": ["la"]}, share=0.5))
    assert half.annotated("north") == CLASSES
    assert list(half.partially_labelled()) == ["la"]


def test_classes_that_an_image_already_lacks_are_kept():
    item = {"dataset": "north", "patient": "p", "image": "p.png", "unlabelled": ["lv"]}
    (chosen,) = select([item], SETS, withheld={"north": ["la"]})
    assert chosen["unlabelled"] == ["lv", "la"]
    assert item["unlabelled"] == ["lv"]


@pytest.mark.parametrize("hidden", [["la"], ["la", "la"]])
def test_images_count_once_if_what_is_withheld_was_unlabelled_already(hidden: list[str]):
    half = select(data(north=4), SETS, withheld={"north": ["la"]}, share=0.5)
    losing = {item["image"] for item in half if "unlabelled" in item}
    items = [item | ({"unlabelled": hidden} if item["image"] in losing else {}) for item in data(north=4)]
    assert len(losing) == 4
    chosen = select(items, SETS, withheld={"north": hidden}, share=0.5)
    assert [item.get("unlabelled") for item in chosen].count(["la"]) == 4
    for own in (items, chosen):
        labels = labels_of(CLASSES, SETS, own)
        assert labels.annotated("north") == CLASSES
        assert list(labels.partially_labelled()) == ["la"]
    with pytest.raises(ValueError, match=r"no dataset annotates \['la'\]"):
        labels_of(CLASSES, SETS, select(items, SETS, withheld={"north": hidden}))


def test_only_images_that_annotate_every_class_are_kept_on_request():
    sets = {**SETS, "lv_only": [["background", "la"], ["lv"]]}
    items = select(data(north=10, lv_only=3), sets, withheld={"north": ["la"]}, share=0.5, complete_only=True)
    assert Counter(item["dataset"] for item in items) == {"north": 10}
    assert not any("unlabelled" in item for item in items)


def test_settings_of_datasets_without_data_have_no_effect():
    assert len(select(data(north=2), SETS, ["north", "south"], {"south": 3}, {"south": ["la"]})) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"datasets": ["nort"]},
            r"train_on names 'nort', which is not in the data: \['north', 'south', 'east'\]\. Did you mean 'north'\?",
        ),
        ({"images": {"nort": 3}}, r"images names 'nort', which is not in the data: "),
        ({"withheld": {"nort": ["la"]}}, r"withheld names 'nort', which is not in the data: "),
        ({"withheld": {"untiy": ["la"]}}, r"withheld names 'untiy', .* Did you mean 'unity'\?"),
        (
            {"withheld": {"north": ["lq"]}},
            r"withheld of 'north' is \['lq'\], expected a list of names among \['la', 'lv'\]",
        ),
        (
            {"withheld": {"north": "la"}},
            r"withheld is \{'north': 'la'\}, .* --withheld \"\{camus: \[left_atrium\]\}\"",
        ),
        ({"withheld": {"north": None}}, r"withheld is \{'north': None\}, expected lists of classes by dataset"),
        ({"withheld": ["north"]}, r"withheld is \['north'\], expected lists of classes by dataset"),
        ({"withheld": "north"}, r"withheld is 'north', expected lists of classes by dataset"),
        ({"images": {"north": -1}}, r"images is \{'north': -1\}, expected whole numbers from 0 .*\"\{camus: 200\}\""),
        ({"images": {"north": "few"}}, r"images is \{'north': 'few'\}, expected whole numbers from 0 by dataset"),
        ({"images": {"north": 1.0}}, r"images is \{'north': 1.0\}, expected whole numbers from 0 by dataset"),
        ({"images": {"north": True}}, r"images is \{'north': True\}, expected whole numbers from 0 by dataset"),
        ({"images": 0}, "images is 0, expected whole numbers from 0 by dataset"),
        ({"datasets": {"north": 1}}, r"train_on is \{'north': 1\}, expected a dataset or a list of datasets"),
        ({"datasets": 3}, r"train_on is 3, expected a dataset or a list of datasets: --train_on camus, or"),
        (
            {"withheld": {"north": ["wall", "la"], "south": ["wall"], "unity": ["wall"]}},
            r"withheld of 'north' is .*\['la', 'lv'\]\. To withhold the others: --withheld \"\{north: \[la\]\}\"\.",
        ),
        ({"withheld": {"south": ["wall"]}}, r"To withhold nothing: --withheld \"\{\}\"\."),
        ({"withheld": {"north": ["la"]}, "share": 1.5}, r"withheld_share is 1\.5, expected a fraction of the patients"),
        (
            {"datasets": ["east"]},
            r"train_on \['east'\], images \{\} and complete_only False leave no image of \['north'\]\. "
            r"Train on them: --train_on north",
        ),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        select(data(north=2), SETS, **settings)


def test_settings_may_name_datasets_of_this_project_that_are_not_in_the_data():
    settings = {"images": {"unity_like": 3}, "withheld": {"camus": ["lv"], "camus_moved": ["a class elsewhere"]}}
    assert len(select(data(north=2), SETS, ["north", "unity"], **settings)) == 4


def test_nothing_is_withheld_from_images_that_a_network_completed():
    items = [{**item, "completed": item["patient"] == "p0"} for item in data(north=2)]
    chosen = select(items, SETS, withheld={"north": ["la"]})
    assert [item.get("unlabelled") for item in chosen] == [None, None, ["la"], ["la"]]


def test_a_dataset_without_a_value_for_background_is_complete_only_if_it_annotates_every_class():
    sets = {"north": {0: "background", 1: "lv", 2: "la", 255: "ignore"}, "south": {1: "lv", 255: "ignore"}}
    chosen = select(data(north=1, south=1), sets, complete_only=True)
    assert {item["dataset"] for item in chosen} == {"north"}


def test_names_given_for_one_run_must_be_in_its_data(tmp_path: Path):
    (tmp_path / "provenance.json").write_text(json.dumps({"label_sets": {"north": FULL}}))
    check_names(tmp_path, {"train_on": "north", "images": {"north": 3}, "withheld": {}, "renamed": {"lv": "la"}})
    check_names(tmp_path, {"images": None, "withheld": None, "renamed": None})
    for settings in ({"train_on": "unity"}, {"train_on": ["north", "unity"]}, {"withheld": {"unity": ["la"]}}):
        with pytest.raises(ValueError, match=r"names 'unity', which is not in the data: \['north'\]"):
            check_names([tmp_path], settings)
    with pytest.raises(ValueError, match=r"renamed names 'la2', which is not in the data: .*'la', 'lv'.* mean 'la'\?"):
        check_names(tmp_path, {"renamed": {"la2": "background"}})
    with pytest.raises(ValueError, match=r"images is 5, expected whole numbers"):
        check_names(tmp_path, {"images": 5})
    with pytest.raises(ValueError, match=r"renamed is 'background', expected structures and the class"):
        check_names(tmp_path, {"renamed": "background"})
