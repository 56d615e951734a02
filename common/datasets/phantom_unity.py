"""Phantom patients in the layout of Unity Imaging: screens of 800x600 with curves and points that experts would draw."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from common.datasets.phantom import Study, examine
from common.datasets.phantom_anatomy import Heart
from common.datasets.phantom_overlay import overlay
from common.datasets.phantom_set import FOLD_OF_TEN
from common.datasets.phantom_tracing import trace

__all__ = ["ROWS", "video_name", "write_unity"]

ROWS = 600  # of the screen; the window is 4:3
OFFICIAL = {"training": "train", "validation": "tune", "test": "ival"}  # our fold -> official list
PARASTERNAL = ("curve-lv-antsep-endo", "curve-lv-post-endo")  # certainly not in a four-chamber view


def write_unity(folder: Path, patients: int, seed: int = 0) -> None:
    """Write patients of the domain "unity_like" as png-cache, labels, view_index and 01_database_physical.csv.

    A curve that the sector cuts is `blurred`. Every third patient has curve-lv-epi, which the public files lack.

    Args:
        folder: an empty folder.
        patients: how many, each a video of two stills; of every ten seven train, one tunes, two are for validation.
        seed: of the population.
    """
    lists: dict[str, dict[str, object]] = {name: {} for name in (*OFFICIAL.values(), "all")}
    pixels: list[tuple[str, float, float]] = []
    for patient in tqdm(range(patients), desc="draw unity", unit=" patients"):
        video, study = video_name(patient, seed), examine("unity_like", patient, seed)
        home = folder / "png-cache" / "01" / video[:2] / video[2:4]
        home.mkdir(parents=True, exist_ok=True)
        spacing = (study.window[3] / ROWS,) * 2
        pixels.append((f"01-{video}", spacing[1] / 10, spacing[0] / 10))  # cm
        for instant, heart in enumerate(study.hearts.values()):
            rng = np.random.default_rng([seed, patient, instant])
            name = f"01-{video}-{10 * instant + rng.integers(1, 10):04d}.png"
            frame = study.frame(heart, instant, spacing)
            Image.fromarray(overlay(frame.image, frame.sector, rng)).save(home / name)
            entry = {"labels": _labels(study, heart, spacing, epicardium=patient % 3 == 0)}
            for of in (OFFICIAL[FOLD_OF_TEN[patient % 10]], "all"):
                lists[of][name] = entry
    (folder / "labels").mkdir()
    for of, entries in lists.items():
        (folder / "labels" / f"labels-{of}.json").write_text(json.dumps(entries, indent=1))
        (folder / "labels" / f"labels-{of}.txt").write_text("".join(f"{name}\n" for name in entries))
    views = [(name, "a4c") for name in lists["all"]]
    _write_csv(folder / "view_index_20220705.csv", [("file", "view"), *views])
    _write_csv(folder / "01_database_physical.csv", [("FileHash", "PhysicalDeltaX", "PhysicalDeltaY"), *pixels])


def video_name(patient: int, seed: int = 0) -> str:
    """Name of a patient's video, in the manner of the release.

    Example:
        >>> video_name(0)[:8]
        '4d7d21a3'
    """
    return hashlib.sha256(f"{seed}/{patient}".encode()).hexdigest()


def _labels(study: Study, heart: Heart, spacing: tuple[float, float], epicardium: bool) -> dict[str, dict[str, str]]:
    """Type and control points of every label, as the release writes them."""
    canvas, tracing = study.canvas(spacing), trace(study.scanner.protocol, heart)
    right_atrium = np.roll(heart.right_atrium, -39, axis=0)[:43]  # open at its top, the tricuspid valve
    septal, lateral = tracing.endocardium[[0, -1]]
    curves = {
        "curve-lv-endo": (tracing.endocardium, 11),  # and how many control points
        "curve-la-endo": (tracing.left_atrium, 9),
        "curve-rv-endo": (heart.right_ventricle, 9),
        "curve-ra-endo": (right_atrium, 9),
    }
    if epicardium:
        curves["curve-lv-epi"] = (tracing.epicardium, 11)
    points = {
        "mv-ant-hinge": septal,
        "mv-post-hinge": lateral,
        "lv-apex-endo": tracing.axis[0],
        "lv-apex-epi": tracing.epicardium[np.linalg.norm(tracing.epicardium - tracing.axis[1], axis=1).argmax()],
        "tv-ant-hinge": heart.right_ventricle[-1],
        "tv-sep-hinge": heart.right_ventricle[0],
    }

    def label(kind: str, nodes: NDArray[np.float64], whole: NDArray[np.float64]) -> dict[str, str]:
        if not study.reaches(*whole.T).all():
            return {"type": "blurred", "x": "", "y": ""}
        y, x = canvas.to_pixels(nodes).T
        return {"type": kind, "x": " ".join(f"{value:.2f}" for value in x), "y": " ".join(f"{v:.2f}" for v in y)}

    labels = {name: label("curve", _nodes(curve, count), curve) for name, (curve, count) in curves.items()}
    labels |= {name: label("point", point[None], point[None]) for name, point in points.items()}
    return labels | dict.fromkeys(PARASTERNAL, {"type": "off", "x": "", "y": ""})


def _nodes(curve: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Spread control points evenly along a curve, from its first point to its last."""
    along = np.concatenate([[0], np.linalg.norm(np.diff(curve, axis=0), axis=1).cumsum()])
    place = np.linspace(0, along[-1], count)
    return np.stack([np.interp(place, along, column) for column in curve.T], axis=1)


def _write_csv(path: Path, rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
