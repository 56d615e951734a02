"""Averages with the patient as the unit: images and trainings of one patient are not independent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from numpy.typing import NDArray

__all__ = ["cell_scores", "paired_scores", "patient_scores"]

PATIENT = ["dataset", "patient"]


def patient_scores(images: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Average Dice over runs, then over the images of a patient.

    Args:
        images: of `Results`; undefined Dice is left out.
        by: columns of groups to average separately.

    Returns:
        The columns `by`, dataset, patient and dice.

    Example:
        >>> images = pd.DataFrame({"image": ["ED", "ED", "ES"], "dice": [0.8, 0.6, 0.5]})
        >>> patient_scores(images.assign(dataset="d", patient="p"), by=[]).values.tolist()
        [['d', 'p', 0.6]]
    """
    keys = list(dict.fromkeys([*by, *PATIENT]))
    means = images.dropna(subset=["dice"]).groupby([*keys, "image"], observed=True)["dice"].mean()
    return means.groupby(level=keys).mean().reset_index()


def paired_scores(*sides: pd.DataFrame) -> list[NDArray[Any]]:
    """Return the Dice of each training and patient, (trainings, patients), of each side.

    Images that any training leaves undefined are left out of all; those of a patient are averaged.

    Args:
        sides: rows of the images of a cell, with one training per seed.

    Example:
        >>> side = pd.DataFrame({"dataset": "d", "patient": "p", "image": ["ED", "ES"], "seed": 0, "dice": [0.9, 0.8]})
        >>> paired_scores(side, side.assign(dice=[0.7, float("nan")]))
        [array([[0.9]]), array([[0.7]])]
    """
    keys = [*PATIENT, "image", "seed"]
    tables = [side.groupby(keys, observed=True)["dice"].mean().unstack("seed") for side in sides]
    patients = pd.concat(tables, axis="columns", keys=range(len(sides))).dropna().groupby(level=PATIENT).mean()
    return [patients.loc[:, patients.columns.get_level_values(0) == n].to_numpy().T for n in range(len(sides))]


def cell_scores(images: pd.DataFrame, cell: Sequence[str], by: Sequence[str] = ()) -> pd.DataFrame:
    """Score each run by the mean and the median over patients, and take their mean and deviation over seeds.

    Args:
        images: of `Results`.
        cell: columns that identify a run, `seed` among them.
        by: further columns of groups to score separately, such as "class".

    Returns:
        A row per cell without its seed: `mean`, `sd`, `median`, `median_sd` (NaN with one seed) and `seeds`.

    Example:
        >>> rows = [("a", 0, "p", 0.8), ("a", 0, "q", 0.6), ("b", 1, "p", 0.9), ("b", 1, "q", 0.7)]
        >>> images = pd.DataFrame(rows, columns=["run_id", "seed", "patient", "dice"])
        >>> images = images.assign(method="aCCE", dataset="d", image="ED")
        >>> cell_scores(images, ["method", "seed"]).round(3).values.tolist()
        [['aCCE', 0.75, 0.071, 0.75, 0.071, 2]]
    """
    settings = [column for column in cell if column != "seed"]
    patients = patient_scores(images, ["run_id", *by])
    runs = patients.groupby(["run_id", *by], observed=True)["dice"].agg(["mean", "median"]).reset_index()
    runs = runs.merge(images[["run_id", *settings]].drop_duplicates("run_id"), on="run_id")
    return (
        runs.groupby([*settings, *by], dropna=False, observed=True)
        .agg(
            mean=("mean", "mean"),
            sd=("mean", "std"),
            median=("median", "mean"),
            median_sd=("median", "std"),
            seeds=("run_id", "count"),
        )
        .reset_index()
    )
