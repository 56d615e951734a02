"""Folds by a hash of the patient's name."""

from collections import Counter

import pytest

from common.datasets.prepared.splits import fold_of


def test_the_folds_have_the_promised_shares():
    folds = Counter(fold_of("clinic", f"patient{number:04d}") for number in range(5000))
    # the standard deviation of a share of 10 % of 5000 is 0.4 %
    assert folds["training"] / 5000 == pytest.approx(0.8, abs=0.025)
    assert folds["validation"] / 5000 == pytest.approx(0.1, abs=0.02)
    assert folds["test"] / 5000 == pytest.approx(0.1, abs=0.02)


def test_the_same_name_in_another_dataset_is_drawn_anew():
    names = [f"patient{number:04d}" for number in range(500)]
    assert [fold_of("north", name) for name in names] != [fold_of("south", name) for name in names]


def test_a_fold_never_changes():
    # written down once: a change here would move patients of models already trained
    folds = [fold_of("clinic", f"patient{number:04d}") for number in (0, 1, 10, 11, 12, 23)]
    assert folds == ["training", "validation", "validation", "test", "training", "test"]
