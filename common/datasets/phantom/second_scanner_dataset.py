"""Simulate a second scanner for a fraction of the patients of a prepared folder: two domains from one.

The moved patients become the dataset `<name>_moved` (camus -> camus_moved); the others stay as they are. Every patient
is in one of the two, so no heart is seen on both scanners.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...identity import hashed
from ..catalogue import MOVED
from ..prepared.layout import RESULTS, read_datalist, read_label_sets, read_pixels, read_provenance
from ..prepared.source import Frame, Job, Source
from ..volumes.layout import VOLUMES
from .second_scanner import SecondScanner, rescan

__all__ = ["moved"]

STALE = (*RESULTS, "outside_sector")  # keys of an item that moving changes or preparation computes again
FIELDS = ("licence", "citation", "label_sets", "skipped")  # keys of provenance.json that are fields of a Source


def _read(
    image: Path, label: Path, spacing: tuple[float, float] | None, scanner: SecondScanner | None, seed: int
) -> Frame:
    pixels, annotation = read_pixels(image), read_pixels(label)
    if scanner is None:
        return Frame(pixels, annotation, spacing)
    try:
        return Frame(*rescan(pixels, annotation, spacing, scanner, np.random.default_rng(seed)))
    except ValueError as error:
        raise ValueError(f"{image}: {error}") from error


def _movers(items: Iterable[Mapping[str, Any]], share: float, seed: int) -> set[tuple[str, str]]:
    """Choose the same fraction of the patients of each dataset in each fold, by a hash of their names."""
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    for item in items:
        groups[item["dataset"], item["fold"]].add(item["patient"])
    return {
        (dataset, patient)
        for (dataset, _), patients in groups.items()
        for patient in sorted(patients, key=lambda name: hashed(seed, dataset, name, MOVED))[
            : round(share * len(patients))
        ]
    }


def _with_test_fold(items: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Without a test fold, test on the validation patients and validate on a tenth of the training patients."""
    refolded = [dict(item) for item in items]
    if any(item["fold"] == "test" for item in refolded):
        return refolded
    training = sorted(
        {(item["dataset"], item["patient"]) for item in refolded if item["fold"] == "training"},
        key=lambda patient: hashed("validation", *patient),
    )
    chosen = set(training[: round(len(training) / 10)])
    for item in refolded:
        if item["fold"] == "validation":
            item["fold"] = "test"
        elif (item["dataset"], item["patient"]) in chosen:
            item["fold"] = "validation"
    return refolded


def moved(prepared: Path, share: float = 0.5, seed: int = 0) -> Source:
    """Read a prepared folder and move a fraction of its patients to the second scanner.

    A folder without test fold (CAMUS with only its training and validation patients) gets one: its validation patients
    are tested, and a tenth of its training patients, chosen by a hash of their names, validates.

    Args:
        prepared: the folder; it is not changed.
        share: fraction of the patients of each fold, 0 to 1.
        seed: another seed moves other patients, with other speckle.

    Raises:
        FileNotFoundError: if `prepared` is not a prepared folder.
        ValueError: if `share` is not between 0 and 1, or the folder was moved before.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share of 0 to 1, got {share}.")
    provenance, items = read_provenance(prepared), _with_test_fold(read_datalist(prepared))
    if provenance.get("kind") == VOLUMES:
        raise ValueError(f"{prepared} holds volumes; the second scanner is an ultrasound scanner.")
    sets = read_label_sets(prepared)
    if again := [name for name in sets if name.endswith(MOVED)]:
        raise ValueError(f"{prepared} holds {again}: its patients were moved before; name the folder they came from.")
    scanner, movers = SecondScanner(), _movers(items, share, seed)
    jobs = []
    for item in items:
        moves = (item["dataset"], item["patient"]) in movers
        facts = {key: value for key, value in item.items() if key not in (STALE if moves else RESULTS)}
        dataset = item["dataset"] + MOVED * moves
        name = Path(item["image"]).stem
        spacing = None if item["spacing"] is None else (item["spacing"][0], item["spacing"][1])
        read = partial(
            _read,
            Path(item["image"]),
            Path(item["label"]),
            spacing,
            scanner if moves else None,
            hashed(seed, dataset, name),
        )
        jobs.append(Job(name, {**facts, "dataset": dataset}, read))
    return Source(
        name=provenance["source"] + MOVED,
        jobs=jobs,
        licence=provenance["licence"],
        citation=provenance["citation"],
        label_sets={name + end: values for name, values in sets.items() for end in ("", MOVED)},
        skipped=provenance["skipped"],
        facts={
            "origin": {key: value for key, value in provenance.items() if key not in FIELDS},
            "changes": f"the images and annotations of the datasets *{MOVED} are altered: a simulated scanner",
            "scanner": asdict(scanner),
            "share": share,
            "seed": seed,
        },
    )
