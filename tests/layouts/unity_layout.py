"""Phantom patients in the layout of Unity Imaging: 800x600 screens with the curves and points of experts."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from common.datasets.phantom.dataset import FOLD_OF_TEN
from common.datasets.phantom.heart import Heart, space_evenly
from common.datasets.phantom.screen_overlay import overlay
from common.datasets.phantom.study import Study, examine

from .tracing import trace
from .window import canvas, draw_window

__all__ = ["ROWS", "video_name", "write_unity"]

ROWS = 600  # of the screen; the window is 4:3
OFFICIAL = {"training": "train", "validation": "tune", "test": "ival"}  # our fold -> official list
PARASTERNAL = ("curve-lv-antsep-endo", "curve-lv-post-endo")  # never in a four-chamber view


def write_unity(folder: Path, patients: int, seed: int = 0) -> None:
    """Write patients of the domain "unity_like" as png-cache, labels, view_index and 01_database_physical.csv.

    An atrium or right ventricle that the sector cuts is `blurred`. Every third patient has curve-lv-epi, which
    the public files lack.

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
            frame = draw_window(study, heart, instant, spacing)
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
    """Return the name of a patient's video, in the manner of the release.

    Example:
        >>> video_name(0)[:8]
        '5513e3ea'
    """
    return hashlib.sha256(f"{seed}/{patient}".encode()).hexdigest()


def _labels(study: Study, heart: Heart, spacing: tuple[float, float], epicardium: bool) -> dict[str, dict[str, str]]:
    """Return type and control points of every label, as the release writes them."""
    tracing = trace(study.scanner.protocol, heart)
    right_atrium = np.roll(heart.right_atrium, -39, axis=0)[:43]  # open at its top, the tricuspid valve
    outer_apex = np.linalg.norm(tracing.epicardium - tracing.axis[1], axis=1).argmax()
    drawn = {  # line and number of control points; filled, those of the LV and the left atrium have Dice 0.98 or more
        "curve-lv-endo": (tracing.endocardium, 11),
        "curve-la-endo": (tracing.left_atrium, 11),
        "curve-rv-endo": (heart.right_ventricle, 9),
        "curve-ra-endo": (right_atrium, 9),
        "mv-ant-hinge": (tracing.endocardium[:1], 1),
        "mv-post-hinge": (tracing.endocardium[-1:], 1),
        "lv-apex-endo": (tracing.axis[:1], 1),
        "lv-apex-epi": (tracing.epicardium[outer_apex : outer_apex + 1], 1),
        "tv-ant-hinge": (heart.right_ventricle[-1:], 1),
        "tv-sep-hinge": (heart.right_ventricle[:1], 1),
    }
    if epicardium:
        drawn["curve-lv-epi"] = (tracing.epicardium, 13)
    labels = {name: {"type": "off", "x": "", "y": ""} for name in PARASTERNAL}
    for name, (line, count) in drawn.items():
        # the phantom's annotators draw the LV on where it leaves the sector, and nothing else
        if "lv" in name or study.reaches(*line.T).all():
            nodes = canvas(study, spacing).to_pixels(space_evenly(line, count))
            y, x = (" ".join(f"{value:.2f}" for value in axis) for axis in nodes.T)
            labels[name] = {"type": "curve" if name.startswith("curve") else "point", "x": x, "y": y}
        else:
            labels[name] = {"type": "blurred", "x": "", "y": ""}
    return labels


def _write_csv(path: Path, rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
