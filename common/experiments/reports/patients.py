"""Averages with the patient as the unit: images and trainings of one patient are not independent."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

__all__ = ["cell_scores", "paired_differences", "patient_scores"]

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


def paired_differences(of: pd.DataFrame, against: pd.DataFrame) -> pd.Series:
    """Return the difference of Dice of each patient.

    Each side (rows of images) is averaged over its runs; images that one side leaves undefined are left out of both;
    the differences of the remaining images, `of` minus `against`, are averaged per patient.

    Example:
        >>> side = pd.DataFrame({"dataset": "d", "patient": "p", "image": ["ED", "ES"], "dice": [0.9, 0.8]})
        >>> paired_differences(side, side.assign(dice=[0.7, float("nan")])).round(6).tolist()
        [0.2]
    """
    means = [side.groupby([*PATIENT, "image"], observed=True)["dice"].mean() for side in (of, against)]
    return (means[0] - means[1]).dropna().groupby(level=PATIENT).mean()


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
