"""Wrong vocabularies, annotations and shapes are refused with an error that names the culprit."""

import re

import pytest
import torch

from common.label_set_map import drop_classes
from common.label_sets import LabelSets

CLASSES = ["background", "lv_cavity", "lv_myocardium", "left_atrium"]
FULL = [[name] for name in CLASSES]
HEART = LabelSets(
    CLASSES,
    {
        "camus": FULL,
        "echonet_dynamic": [["background", "lv_myocardium", "left_atrium"], ["lv_cavity"]],
        "with_ignored": [*FULL, CLASSES],
    },
)


@pytest.mark.parametrize(
    ("classes", "sets", "message"),
    [
        (["lv", "background"], {"a": [["lv"]]}, r"expected 'background' followed .* got \['lv', 'background'\]"),
        (["atrium", "background"], {"a": [["atrium"]]}, r"expected 'background' followed .* got \['atrium', "),
        (
            ["background"],
            {"a": [["background"]]},
            r"followed by at least one structure .* got \['background'\]",
        ),
        (["background", "lv", "lv"], {"a": [["lv"]]}, r"classes name \['lv'\] more than once"),
        (["background", *map(str, range(63))], {"a": [["0"]]}, r"expected at most 63 classes, .* got 64"),
        (["background", "view"], {"a": [["view"]]}, r"\['view'\] cannot be classes: tables of results have columns of"),
        (["background", "mean"], {"a": [["mean"]]}, r"\['mean'\] cannot be classes: tables of results"),
        (["background", "lv"], {}, r"label sets of at least one dataset, got none"),
        (["background", "lv"], {"a": []}, r"label sets of 'a' are empty"),
        (["background", "lv"], {"a": [["background"], []]}, r"label set of value 1 in 'a' is empty"),
        (
            ["background", "lv_cavity"],
            {"unity": [["background"], ["lv_wall"]]},
            r"value 1 in 'unity' names \['lv_wall'\], which are not among the classes \['background', 'lv_cavity'\]",
        ),
        (["background", "ignore"], {"a": [["background"]]}, r"'ignore' cannot be a class: it marks ignored pixels"),
        (
            ["background", "lv"],
            {"a": {0: "background", 1: ["lv", "ignore"]}},
            r"label set of value 1 in 'a' names \['lv', 'ignore'\]; 'ignore' stands alone",
        ),
        (["background", "lv"], {"a": {256: "lv"}}, r"value 256 in 'a': expected annotation values from 0 to 255"),
        (["background", "lv"], {"a": {-1: "lv"}}, r"value -1 in 'a': expected annotation values from 0 to 255"),
        (["background", "lv"], {"a": {"1": "lv"}}, r"value '1' in 'a': expected annotation values from 0 to 255"),
        (["background", "lv"], {"a": {True: "lv"}}, r"value True in 'a': expected annotation values from 0 to 255"),
        (["background", "lv"], {"a": {1: "la"}}, r"value 1 in 'a' names \['la'\], which are not among the classes"),
    ],
)
def test_wrong_vocabularies_are_refused(classes, sets, message):
    with pytest.raises(ValueError, match=message):
        LabelSets(classes, sets)


def test_a_label_set_written_as_one_string_is_refused():
    with pytest.raises(TypeError, match=r"value 0 in 'a' is the string 'background'; expected a list"):
        LabelSets(["background", "lv"], {"a": ["background", "lv"]})


def test_all_unknown_annotation_values_are_named_in_order():
    with pytest.raises(ValueError, match=r"'echonet_dynamic' holds the values \[-1, 2, 7\], .* among \[0, 1\]"):
        HEART.encode(torch.tensor([[7, 0, 2, 7, -1, 1]]), "echonet_dynamic")


@pytest.mark.parametrize("value", [-1, 2, 255])
def test_unknown_annotation_values_are_named(value):
    with pytest.raises(ValueError, match=rf"'echonet_dynamic' holds the values \[{value}\], .* among \[0, 1\]"):
        HEART.encode(torch.tensor([[0, value, 1]]), "echonet_dynamic")


def test_annotations_that_are_not_integers_are_refused():
    for label in (torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.complex64)):
        with pytest.raises(TypeError, match=rf"of an integer dtype, got {label.dtype}"):
            HEART.encode(label, "camus")
        with pytest.raises(TypeError, match=rf"of an integer dtype, got {label.dtype}"):
            HEART.encode_batch(label[None], torch.tensor([0]))


@pytest.mark.parametrize("shape", [(2, 3), (0, 3), (1,)])
def test_annotations_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=rf"expected .* shape \(1, \*spatial\), got {re.escape(str(shape))}"):
        HEART.encode(torch.zeros(shape, dtype=torch.uint8), "camus")


@pytest.mark.parametrize(
    ("shape", "dataset"),
    [
        ((2, 1, 3), (1,)),
        ((2, 1, 3), (3,)),
        ((1, 1, 3), (1, 1)),
        ((1, 2, 3), (1,)),
        ((1, 0, 3), (1,)),
        ((1, 1), (1,)),
    ],
)
def test_batches_of_another_shape_are_refused(shape, dataset):
    message = re.escape(f"(B, 1, *spatial) and dataset indices (B,), got {shape} and {dataset}.")
    with pytest.raises(ValueError, match=message):
        HEART.encode_batch(torch.zeros(shape, dtype=torch.uint8), torch.zeros(dataset, dtype=torch.int64))


@pytest.mark.parametrize(
    ("target", "drop"),
    [
        ((1, 1, 3), (1, 4)),
        ((1, 3, 3), (1, 4)),
        ((2, 2, 3), (1, 4)),
        ((1, 2), (1, 4)),
        ((4, 2, 3), (4,)),
        ((1, 2, 3), (1, 4, 1)),
    ],
)
def test_classes_to_drop_must_match_the_map(target, drop):
    message = re.escape(f"(B, 2, *spatial) and boolean classes to drop (B, C), got {target} and torch.bool {drop}")
    with pytest.raises(ValueError, match=message):
        drop_classes(torch.zeros(target, dtype=torch.uint8), torch.zeros(drop, dtype=torch.bool))


def test_classes_to_drop_must_be_boolean():
    with pytest.raises(ValueError, match=r"boolean classes to drop \(B, C\), got .* torch.int64"):
        drop_classes(torch.zeros(1, 2, 3, dtype=torch.uint8), torch.zeros(1, 4, dtype=torch.int64))


def test_unknown_datasets_are_named():
    for call in (lambda: HEART.encode(torch.zeros(1, 1, dtype=torch.uint8), "unity"), lambda: HEART.annotated("unity")):
        with pytest.raises(ValueError, match=r"dataset 'unity' has no label sets; expected one of \['camus', "):
            call()


def test_background_cannot_be_dropped_or_withheld():
    with pytest.raises(ValueError, match="class 0, background, cannot be dropped"):
        drop_classes(torch.ones(1, 2, 3, dtype=torch.uint8), torch.tensor([[True, False]]))
    for wrong in ("background", "lv_wall"):
        with pytest.raises(ValueError, match=rf"withhold in 'camus' as .* among \['lv_cavity', .* got \['{wrong}'\]"):
            HEART.withhold({"camus": [wrong]})
    with pytest.raises(ValueError, match=r"withhold in 'camus' as a list .* got 'lv_cavity'"):
        HEART.withhold({"camus": "lv_cavity"})
    with pytest.raises(ValueError, match="dataset 'unity' has no label sets"):
        HEART.withhold({"unity": ["lv_cavity"]})


def test_a_value_between_known_ones_is_unknown_too():
    sets = LabelSets(["background", "lv"], {"a": {0: "background", 255: "lv"}})
    with pytest.raises(ValueError, match=r"'a' holds the values \[7, 254\], which are not among \[0, 255\]"):
        sets.encode(torch.tensor([[0, 255, 254, 7]]), "a")


@pytest.mark.parametrize("wrong", [-1, 3])
def test_an_index_of_no_dataset_is_refused(wrong: int):
    label = torch.ones(2, 1, 4, dtype=torch.uint8)
    message = rf"dataset indices are \[{wrong}\], expected 0 to 2, positions in \['camus', 'echonet_dynamic', "
    with pytest.raises(ValueError, match=message):
        HEART.encode_batch(label, torch.tensor([0, wrong]))
