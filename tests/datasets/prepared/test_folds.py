"""Folds: what is stated or was assigned stays, and every dataset and label set can be validated and tested."""

import random
from collections import Counter
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.datasets.prepared.folds import assign, missing_folds
from common.datasets.prepared.layout import FOLDS

Item = dict[str, Any]
STRUCTURES = ("la", "lv")
patients = st.lists(st.sets(st.sampled_from([(), ("la",), ("la", "lv")]), min_size=1), min_size=1, max_size=7)


def items(label_sets: list[set[tuple[str, ...]]], dataset: str = "clinic") -> list[Item]:
    """Return an image for each label set of each patient."""
    return [
        {"dataset": dataset, "patient": f"p{number}", "fold": None, "unlabelled": list(unlabelled)}
        for number, own in enumerate(label_sets)
        for unlabelled in sorted(own)
    ]


def lacking(data: list[Item], folds: dict[tuple[str, str], str]) -> int:
    """Count, plainly, the folds that groups of three patients or more lack."""
    count = 0
    for group in {("all",), *(tuple(item["unlabelled"]) for item in data)}:
        members = {item["patient"] for item in data if group in (("all",), tuple(item["unlabelled"]))}
        if len(members) >= 3:
            count += sum(fold not in {folds["clinic", member] for member in members} for fold in FOLDS)
    return count


@given(patients)
def test_every_label_set_of_three_patients_has_every_fold_if_that_is_possible(label_sets: list[set[tuple[str, ...]]]):
    data = items(label_sets)
    found = lacking(data, assign(data))
    if found:
        names = [("clinic", f"p{number}") for number in range(len(label_sets))]
        best = min(lacking(data, dict(zip(names, one, strict=True))) for one in product(FOLDS, repeat=len(names)))
        assert found == best


@given(patients, st.randoms())
def test_the_order_of_the_images_does_not_matter(label_sets: list[set[tuple[str, ...]]], order: random.Random):
    data = items(label_sets)
    folds = assign(data)
    order.shuffle(data)
    assert assign(data) == folds


@given(patients, patients)
def test_a_patient_never_moves(first: list[set[tuple[str, ...]]], more: list[set[tuple[str, ...]]]):
    folds = assign(items(first))
    assert folds.items() <= assign(items([*first, *more]), folds).items()


@pytest.mark.parametrize(
    ("count", "expected"), [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (10, (8, 1, 1)), (50, (40, 5, 5))]
)
def test_the_shares_are_80_10_10_and_one_patient_at_least(count: int, expected: tuple[int, ...]):
    sizes = Counter(assign(items([{()}] * count)).values())
    assert tuple(sizes[fold] for fold in FOLDS) == expected


def test_new_patients_bring_the_shares_back():
    everybody = items([{()}] * 100)
    folds = assign(everybody, {("clinic", f"p{number}"): "training" for number in range(50)})
    assert Counter(folds.values()) == {"training": 80, "validation": 10, "test": 10}


def test_stated_folds_win_and_give_their_patient_one_fold():
    data = items([{(), ("la",)}, {()}, {()}, {()}])
    data[0]["fold"] = "test"
    assert assign(data, {("clinic", "p0"): "training"})["clinic", "p0"] == "test"
    data[1]["fold"] = "training"
    with pytest.raises(ValueError, match=r"patient 'p0' of 'clinic' is in the folds 'test' and 'training'"):
        assign(data)


def test_few_patients_are_said_aloud():
    data = items([{()}] * 5 + [{("la",)}] * 2)
    data += items([{()}], "small")
    assert missing_folds(data, assign(data)) == [
        "clinic without la has no patient for test: 2 patients, three are needed",
        "small has no patient for validation and test: 1 patient, three are needed",
    ]
