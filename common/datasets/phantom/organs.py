"""Drawn organs of any names: ellipses in a body, on several sites that each annotate one of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ...label_sets import TAKEN
from ..prepared.source import Frame, Job, Source
from .dataset import FOLD_OF_TEN, LICENCE

__all__ = ["check_classes", "draw_organs", "organs"]

SIDE = 320.0  # mm, of the image
RESERVED = (
    "background",
    "ignore",
    "yes",
    "no",
    "on",
    "off",
    "true",
    "false",
    "null",
)  # YAML reads the last ones as values


def check_classes(classes: Sequence[str]) -> None:
    """Check names of foreground classes.

    Raises:
        ValueError: unless they are lower-case words joined by underscores, each once, none reserved, and none
            that of a column.

    Example:
        >>> check_classes(["liver", "left_kidney"])
    """
    wrong = [name for name in classes if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)]
    if wrong or not classes:
        raise ValueError(f"expected class names of lower-case words joined by underscores, got {wrong}.")
    if reserved := [name for name in classes if name in RESERVED]:
        raise ValueError(f"{reserved} cannot name a class; background is added by itself.")
    if taken := [name for name in classes if name in TAKEN]:
        raise ValueError(f"{taken} cannot name a class: tables of results have columns of these names.")
    if repeated := [name for name, count in Counter(classes).items() if count > 1]:
        raise ValueError(f"expected each class once, got {repeated} repeatedly.")


def draw_organs(count: int, site: int, patient: int, size: int, seed: int = 0) -> Frame:
    """Draw the organs of one patient, every one annotated: value i is organ i, counted from 1.

    Each organ has its place in the body, its brightness and its texture; each site has its own grey scale and noise.

    Args:
        count: number of organs.
        site: number of the site.
        patient: number of the patient; differs between sites.
        size: rows and columns, pixels.
        seed: of everything.

    Example:
        >>> frame = draw_organs(3, site=0, patient=0, size=32)
        >>> frame.image.shape, np.unique(frame.label).tolist()
        ((32, 32), [0, 1, 2, 3])
    """
    rng, scanner = np.random.default_rng([seed, site, patient]), np.random.default_rng([seed, site])
    y, x = (np.indices((size, size)) + 0.5) / size - 0.5
    body = np.array([0.36, 0.44]) * rng.uniform(0.9, 1.1, 2)  # semi-axes, of the image side
    down, right = y / body[0] - rng.uniform(-0.05, 0.05), x / body[1] - rng.uniform(-0.05, 0.05)
    inside = down**2 + right**2 <= 1
    grey = np.where(inside, 0.3 + 0.03 * _texture(size, 0.02, rng), 0.02)
    label = np.zeros((size, size), np.uint8)
    distance = 0.55 if count > 1 else 0.0  # of the centre of an organ from that of the body, in semi-axes
    radius = min(0.32, 0.8 * distance * np.sin(np.pi / count)) if count > 1 else 0.4  # neighbours do not touch
    for organ in range(count):
        angle = 2 * np.pi * organ / count
        centre = distance * np.array([np.sin(angle), np.cos(angle)]) + rng.uniform(-0.15, 0.15, 2) * radius
        semi = radius * rng.uniform(0.75, 1.0, 2)
        mask = ((down - centre[0]) / semi[0]) ** 2 + ((right - centre[1]) / semi[1]) ** 2 <= 1
        brightness = 0.5 + 0.4 * organ / max(count - 1, 1)
        grey = np.where(mask, brightness + 0.05 * _texture(size, 0.01 * (1 + organ % 3), rng), grey)
        label[mask] = organ + 1
    gamma, noise = np.exp(scanner.uniform(-0.5, 0.5)), scanner.uniform(0.02, 0.05)
    image = np.clip(grey, 0, 1) ** gamma + noise * rng.standard_normal((size, size))
    return Frame((255 * np.clip(image, 0, 1)).astype(np.uint8), label, (SIDE / size, SIDE / size))


def _texture(size: int, scale: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return noise of unit variance that varies over `scale` of the image side, (size, size)."""
    field = gaussian_filter(rng.standard_normal((size, size)), max(scale * size, 0.3), mode="wrap")
    return np.asarray(field / field.std())


def _read(count: int, site: int, patient: int, size: int, seed: int, annotated: int | None) -> Frame:
    frame = draw_organs(count, site, patient, size, seed)
    label = frame.label if annotated is None else np.where(frame.label == annotated, frame.label, 0).astype(np.uint8)
    return Frame(frame.image, label, frame.spacing)


def organs(size: int, classes: Sequence[str], sites: int | None = None, patients: int = 20, seed: int = 0) -> Source:
    """Draw patients on several sites, of which site i annotates class i alone for training and validation.

    The test fold annotates every class.

    Args:
        size: pixels a side.
        classes: names of the organs, without background.
        sites: number of sites, at least one for each class; None is one for each.
        patients: number at each site.
        seed: of everything.

    Raises:
        ValueError: for class names that `check_classes` refuses, too few sites, or fewer than 10 patients.
    """
    check_classes(classes)
    sites = len(classes) if sites is None else sites
    if sites < len(classes):
        raise ValueError(
            f"{sites} sites annotate one class each; expected at least {len(classes)}, one for each class."
        )
    if patients < 10:
        raise ValueError(f"{patients} phantom patients leave a fold empty; at least 10 are needed.")
    jobs = []
    for site in range(sites):
        for patient in range(patients):
            fold, own = FOLD_OF_TEN[patient % 10], site % len(classes)
            name = f"site_{site + 1}_{patient:04d}"
            item: dict[str, Any] = {"dataset": f"site_{site + 1}", "patient": name, "view": None, "phase": None}
            hidden = [] if fold == "test" else [other for other in classes if other != classes[own]]
            item |= {"fold": fold} | ({"unlabelled": hidden} if hidden else {})
            annotated = own + 1 if hidden else None
            jobs.append(Job(name, item, partial(_read, len(classes), site, patient, size, seed, annotated)))
    return Source(
        name="organs",
        jobs=jobs,
        licence=LICENCE,
        citation="drawn by this project; not modelled on any data",
        label_sets={f"site_{site + 1}": [["background"], *([name] for name in classes)] for site in range(sites)},
        facts={"patients": patients, "classes": list(classes), "sites": sites, "seed": seed},
    )
