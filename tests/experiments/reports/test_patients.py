"""Patients are the unit: averages, and images that are left out."""

import math

import pandas as pd
import pytest

from common.experiments.reports.patients import cell_scores, paired_scores, patient_scores

COLUMNS = ["run_id", "method", "seed", "dataset", "patient", "image", "dice"]


def images(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def test_runs_are_averaged_first_then_the_images_of_a_patient():
    table = images(
        ("r0", "a", 0, "d", "p", "ED", 0.9),
        ("r1", "a", 1, "d", "p", "ED", 0.7),
        ("r0", "a", 0, "d", "p", "ES", 0.5),
        ("r1", "a", 1, "d", "p", "ES", math.nan),  # undefined: the other seed speaks for the image
        ("r0", "a", 0, "d", "q", "ED", math.nan),
    )
    scores = patient_scores(table, ["method"])
    assert scores.to_dict("records") == [{"method": "a", "dataset": "d", "patient": "p", "dice": pytest.approx(0.65)}]


def test_equal_names_in_two_datasets_are_two_patients():
    table = images(("r", "a", 0, "d", "p", "ED", 0.9), ("r", "a", 0, "e", "p", "ED", 0.5))
    assert list(patient_scores(table, [])["dice"]) == [0.9, 0.5]


def test_an_image_that_any_training_leaves_undefined_is_left_out_of_all():
    of = images(("r", "a", 0, "d", "p", "ED", 0.9), ("r", "a", 0, "d", "p", "ES", 0.1))
    against = images(
        ("s", "b", 0, "d", "p", "ED", 0.8),
        ("s", "b", 0, "d", "p", "ES", 0.2),
        ("t", "b", 1, "d", "p", "ED", 0.7),
        ("t", "b", 1, "d", "p", "ES", math.nan),
    )
    ours, theirs = paired_scores(of, against)
    assert ours.tolist() == [[0.9]]
    assert theirs.tolist() == [[0.8], [0.7]]
    nobody = images(("s", "b", 0, "d", "q", "ED", 0.8))
    assert [one.shape for one in paired_scores(of, nobody)] == [(1, 0), (1, 0)]


def test_a_patient_with_more_images_has_no_more_weight_and_stays_in_its_place():
    of = images(
        *(("r", "a", 0, "d", "p", f"frame{n}", 0.9) for n in range(5)),
        ("r", "a", 0, "d", "q", "ED", 0.5),
    )
    against = of.assign(dice=0.5)[::-1]
    ours, theirs = paired_scores(of, against)
    assert (ours - theirs).tolist() == [[pytest.approx(0.4), 0]]


def test_cells_are_scored_over_seeds_and_keep_missing_settings():
    table = images(
        ("r0", "a", 0, "d", "p", "ED", 0.9),
        ("r0", "a", 0, "d", "q", "ED", 0.8),
        ("r0", "a", 0, "d", "r", "ED", 0.1),
        ("r1", "a", 1, "d", "p", "ED", 0.6),
        ("r2", "b", 0, "d", "p", "ED", 0.5),
    ).assign(label_dropout=None)
    cells = cell_scores(table, ["method", "seed", "label_dropout"]).set_index("method")
    assert cells.loc["a", "mean"] == pytest.approx(0.6)  # of 0.6 and 0.6
    assert cells.loc["a", "sd"] == pytest.approx(0)
    assert cells.loc["a", "median"] == pytest.approx(0.7)  # of 0.8 and 0.6
    assert cells.loc["a", "median_sd"] == pytest.approx(0.2 / math.sqrt(2))
    assert list(cells["seeds"]) == [2, 1]
    assert math.isnan(cells.loc["b", "sd"])
