"""Choosing runs: by values, by words for levels, and by the setting that is best for the other patients."""

import pandas as pd
import pytest

from common.experiments.reports.selection import choose

RUNS = pd.DataFrame(
    {
        "run": list("abcdef"),
        "method": ["benchmark", "aCCE", "aCCE", "aCCE", "marginal", "marginal"],
        "label_dropout": [None, 0.0, 0.1 + 0.2, 1.0, 0.0, 1.0],
        "balanced": [True, False, True, False, True, False],
    }
)


def names(where: object) -> str:
    return "".join(choose(RUNS, where, RUNS)["run"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "abcdef"),
        ({"method": "aCCE"}, "bcd"),
        ({"method": ["aCCE", "benchmark"]}, "abcd"),
        ({"label_dropout": 0.3}, "c"),  # whatever the rounding
        ({"label_dropout": 0}, "be"),
        ({"label_dropout": [0.0, None]}, "abe"),
        ({"label_dropout": "lowest"}, "be"),
        ({"label_dropout": "highest", "method": "aCCE"}, "d"),
        ({"label_dropout": "level 2"}, "c"),
        ({"label_dropout": "level 4"}, ""),
        ({"balanced": False}, "bdf"),
        ({"train_on": "all"}, ""),  # the grid does not vary it
        ({"train_on": ["all", None]}, "abcdef"),
        ([{"method": "benchmark"}, {"label_dropout": [0.0, None]}], "abe"),  # each row once
    ],
)
def test_runs_are_chosen_by_the_values_of_their_cell(where: object, expected: str):
    assert names(where) == expected


def test_levels_are_those_of_the_whole_grid():
    part = RUNS[RUNS["method"] == "aCCE"][1:]
    assert list(choose(part, {"label_dropout": "lowest"}, RUNS)["run"]) == []


def test_an_unknown_word_for_a_level_is_refused():
    with pytest.raises(
        ValueError, match=r"label_dropout: expected a number, lowest, highest, best or level 2 .*, got 'middle'"
    ):
        names({"label_dropout": "middle"})


def test_the_best_setting_of_a_patient_is_the_best_of_the_others():
    # by the mean of all, 0.5 is best (0.8 against 0.7), but only because of patient r
    dice = {("p", 0.0): 0.7, ("q", 0.0): 0.7, ("r", 0.0): 0.7, ("p", 0.5): 0.6, ("q", 0.5): 0.7, ("r", 0.5): 1.1}
    rows = [{"patient": one, "label_dropout": level, "dice": value} for (one, level), value in dice.items()]
    images = pd.DataFrame(rows).assign(method="aCCE", network="unet", seed=0, image="ED", dataset="d")
    best = choose(images, {"label_dropout": "best"}, images)
    # p: others have 0.70 and 0.90; q: 0.70 and 0.85; r: 0.70 and 0.65
    assert dict(zip(best["patient"], best["label_dropout"], strict=True)) == {"p": 0.5, "q": 0.5, "r": 0.0}


def test_the_best_setting_is_that_of_the_other_seeds_for_each_method():
    rows = [
        {"patient": patient, "method": method, "label_dropout": level, "seed": seed, "dice": value}
        for patient in "pqr"
        for method, levels in {"a": {0.0: [0.9, 0.1], 0.5: [0.6, 0.6]}, "b": {0.0: [0.8, 0.8], 0.5: [0.1, 0.2]}}.items()
        for level, values in levels.items()
        for seed, value in enumerate(values)
    ]
    images = pd.DataFrame(rows).assign(network="unet", image="ED", dataset="d")
    best = choose(images, {"label_dropout": "best"}, images)
    picked = {(one.method, one.seed, one.label_dropout) for one in best.itertuples()}
    # a: seed 1 is better with 0.5, so seed 0, the best of all, is not chosen for itself
    assert picked == {("a", 0, 0.5), ("a", 1, 0.0), ("b", 0, 0.0), ("b", 1, 0.0)}
    without = images.assign(label_dropout=None)
    assert choose(without, {"label_dropout": "best"}, images).empty
