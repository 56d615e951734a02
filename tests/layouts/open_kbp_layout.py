"""Drawn patients in the layout of OpenKBP: sparse tables over 128 x 128 x 128 voxels, some organs without a table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["LENGTHS", "TABLES", "draw_neck", "missing_organs", "write_open_kbp"]

SHAPE = (128, 128, 128)  # axes run to the back, to the left, downwards
LENGTHS = (4.0, 4.0, 2.5)  # mm
FOLDS = ("train",) * 7 + ("validation",) + ("test",) * 2
# name of the table -> centre and half axes, voxels
TABLES = {
    "Brainstem": ((66, 64, 20), (5, 5, 8)),
    "SpinalCord": ((72, 64, 50), (3, 3, 40)),
    "RightParotid": ((58, 46, 26), (6, 4, 7)),
    "LeftParotid": ((58, 82, 26), (6, 4, 7)),
    "Esophagus": ((66, 64, 74), (3, 3, 12)),
    "Larynx": ((54, 64, 56), (5, 5, 6)),
    "Mandible": ((46, 64, 34), (4, 14, 4)),
}
BODY = ((62, 64, 44), (26, 30, 36))


def _ellipsoid(centre: tuple[int, ...], half: tuple[int, ...]) -> NDArray[np.bool_]:
    places = np.indices(SHAPE) - np.reshape(centre, (3, 1, 1, 1))
    inside: NDArray[np.bool_] = (np.square(places / np.reshape(half, (3, 1, 1, 1))).sum(axis=0)) <= 1
    return inside


def missing_organs(patient: int) -> set[str]:
    """Return the organs that a patient does not annotate."""
    return {name for number, name in enumerate(TABLES) if (patient + number) % 5 == 0}


def draw_neck(patient: int, seed: int = 0) -> tuple[NDArray[np.int16], dict[str, NDArray[np.bool_]], NDArray[np.bool_]]:
    """Draw CT in HU, the organs, and where the CT is given: the body, and slices above with the cord alone."""
    random = np.random.default_rng([seed, patient])
    shift = random.integers(-3, 4, 3)
    body = _ellipsoid(tuple(BODY[0] + shift), BODY[1])
    organs = {name: _ellipsoid(tuple(centre + shift), half) for name, (centre, half) in TABLES.items()}
    ct = np.where(body, random.normal(30, 10, SHAPE), -1000)
    for number, own in enumerate(organs.values()):
        ct[own] += 15 * number
    given = body | (organs["SpinalCord"] & (np.arange(128) > BODY[0][2] + BODY[1][2]))
    return ct.round().astype(np.int16), organs, given


def write_open_kbp(folder: Path, patients: int, seed: int = 0) -> None:
    """Write patients as provided-data/{train,validation,test}-pats/pt_N.

    Args:
        folder: an empty folder.
        patients: how many; of every ten seven train, one validates, two test.
        seed: of the drawing.
    """
    for number in range(1, patients + 1):
        place = folder / "provided-data" / f"{FOLDS[(number - 1) % 10]}-pats" / f"pt_{number}"
        place.mkdir(parents=True)
        ct, organs, given = draw_neck(number, seed)
        index = np.flatnonzero(given)
        _write(
            place / "ct.csv", index, (ct.ravel()[index].astype(np.int64) + 1024).clip(0, 4095).astype(float).tolist()
        )
        _write(place / "possible_dose_mask.csv", index)
        for name in TABLES.keys() - missing_organs(number):
            _write(place / f"{name}.csv", np.flatnonzero(organs[name] & given))
        np.savetxt(place / "voxel_dimensions.csv", LENGTHS)


def _write(path: Path, index: NDArray[np.int64], values: list[float] | None = None) -> None:
    data = [""] * len(index) if values is None else values
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["", "data"], *zip(index.tolist(), data, strict=True)])
