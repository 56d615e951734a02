"""Check prepared datasets before training.

    error      training would be wrong: a patient in two folds, an unknown annotation value, a broken file
    warning    suspicious
    note       worth knowing

Every file is read once; only a few numbers per image stay in memory.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ...identity import digest
from ...label_sets import IGNORE
from ..prepared.layout import (
    DATALIST,
    FOLDS,
    OWN,
    PROVENANCE,
    prepared_records,
    read_datalist,
    read_label_sets,
    read_pixels,
    read_provenance,
)
from ..prepared.source import spacing_of
from ..volumes.layout import VOLUMES, read_volume_pair
from .finding import KINDS, SEVERITIES, CheckedImage, Finding, structures
from .image_facts import measure
from .rules import RULES
from .volume_facts import air_below, measure_volume

__all__ = ["Coverage", "Report", "check"]

LEFT_OUT = 0.05  # fraction of the images that may be missing without a warning


@dataclass(frozen=True)
class Coverage:
    """Size of one fold of a dataset, over all folders.

    Args:
        dataset: name.
        fold: one of `FOLDS`.
        patients: number in the fold.
        images: number in the fold.
        annotating: for each structure, the number of images that annotate it, visible or not.
    """

    dataset: str
    fold: str
    patients: int
    images: int
    annotating: Mapping[str, int]


@dataclass(frozen=True)
class Report:
    """Result of a check.

    Args:
        licences: of each folder.
        coverage: one row per dataset and fold.
        findings: in the order of `KINDS`.
    """

    licences: Mapping[Path, str]
    coverage: Sequence[Coverage]
    findings: Sequence[Finding]

    @property
    def images(self) -> int:
        """Number of images checked."""
        return sum(row.images for row in self.coverage)

    @property
    def classes(self) -> list[str]:
        """Structures that some dataset annotates."""
        return list(dict.fromkeys(name for row in self.coverage for name in row.annotating))

    @property
    def counts(self) -> dict[str, int]:
        """Number of findings of each severity."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}

    @property
    def by_kind(self) -> dict[str, list[Finding]]:
        """Findings of each kind, errors first."""
        groups: dict[str, list[Finding]] = {}
        for finding in self.findings:
            groups.setdefault(finding.kind, []).append(finding)
        return groups


def check(folders: Sequence[Path]) -> Report:
    """Check prepared folders, individually and against each other.

    Args:
        folders: prepared folders; duplicates count once.

    Returns:
        The report; `report.counts["error"]` is 0 if the folders can be used for training.

    Raises:
        FileNotFoundError: if a folder is not a prepared one.
        ValueError: if there is no folder, or a datalist or provenance cannot be read.
    """
    if not folders:
        raise ValueError("no folder to check; give one or more prepared folders.")
    images: list[CheckedImage] = []
    findings: list[Finding] = []
    licences: dict[Path, str] = {}
    for folder in {folder.resolve(): folder for folder in folders}.values():
        provenance = read_provenance(folder)
        licences[folder] = str(provenance.get("licence", "unknown"))
        items, unusable = _items(folder, provenance.get("kind") == VOLUMES)
        checked, broken = _read(folder, items, provenance)
        images += checked
        findings += [*unusable, *broken, *_of_the_folder(folder, checked, provenance, bool(unusable or broken))]
    coverage = _coverage(images)
    findings += [finding for rule in RULES for finding in rule(images)]
    findings += _of_the_folds(coverage)
    kinds = list(KINDS)
    return Report(licences, coverage, sorted(findings, key=lambda finding: kinds.index(finding.kind)))


def _items(folder: Path, volumes: bool) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Read the datalist; separate the items that are unusable or lead out of the folder."""
    try:
        everything = read_datalist(folder)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / DATALIST} is not a list of items with image, label and fold ({error!r}); "
            "prepare the dataset again."
        ) from error
    items, findings = [], []
    for item in everything:
        reason = ""
        if not all(isinstance(item.get(key), str) for key in ("dataset", "patient")):
            reason = "dataset or patient is not a name"
        elif volumes and not _is_spacing(item.get("spacing")):
            reason = f"spacing is {item.get('spacing')!r}, expected mm along x, y and z"
        elif not all(isinstance(item.get(key), str | None) for key in ("view", "phase")):
            reason = "view or phase is neither a name nor null"
        elif item.get("fold") not in FOLDS:
            reason = f"fold is {item.get('fold')!r}, expected one of {list(FOLDS)}"
        elif not all(Path(item[key]).is_relative_to(folder.resolve()) for key in ("image", "label")):
            reason = "image or label is outside the folder"
        if reason:
            findings.append(Finding("unusable item", f"{folder.name}/{Path(item['image']).stem}: {reason}"))
        else:
            items.append(item)
    return items, findings


def _is_spacing(given: Any) -> bool:
    numbers = isinstance(given, list) and all(isinstance(length, int | float) and length > 0 for length in given)
    return numbers and len(given) == 3


def _read(
    folder: Path, items: Sequence[dict[str, Any]], provenance: Mapping[str, Any]
) -> tuple[list[CheckedImage], list[Finding]]:
    size, label_sets = provenance.get("size"), read_label_sets(folder)
    if not isinstance(size, int) and size != OWN:
        raise ValueError(f"{folder / PROVENANCE} has no valid size of the images; prepare the dataset again.")
    pixels, modality = None if size == OWN else size, provenance.get("modality")
    work = partial(_check_item, folder=folder, size=pixels, label_sets=label_sets, modality=modality)
    if provenance.get("kind") == VOLUMES:
        air = air_below(modality, provenance.get("window"))
        work = partial(_check_volume, folder=folder, label_sets=label_sets, air=air)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = list(tqdm(pool.map(work, items), total=len(items), desc=f"check {folder.name}", unit=" images"))
    broken = [Finding("unusable file", reason, [image]) for image, reason in done if reason]
    return [image for image, _ in done], broken


def _check_item(
    item: dict[str, Any],
    folder: Path,
    size: int | None,
    label_sets: Mapping[str, Mapping[int, Sequence[str]]],
    modality: str | None,
) -> tuple[CheckedImage, str]:
    sets, spacing = label_sets.get(item["dataset"], {}), None
    ignored = [value for value, names in sets.items() if IGNORE in names]
    with suppress(ValueError):
        spacing = spacing_of(item.get("spacing"))
    try:
        image, label = (read_pixels(item[key], size) for key in ("image", "label"))
        if image.shape != label.shape:
            raise ValueError(f"{item['label']} has {label.shape} pixels, its image {image.shape}; prepare it again.")
    except (ValueError, OSError) as error:
        return CheckedImage(folder, item, sets, spacing, None), str(error)
    facts = measure(image, label, item, structures(sets), spacing, ignored)
    return CheckedImage(folder, item, sets, spacing, facts, modality), ""


def _check_volume(
    item: dict[str, Any], folder: Path, label_sets: Mapping[str, Mapping[int, Sequence[str]]], air: float | None
) -> tuple[CheckedImage, str]:
    sets = label_sets.get(item["dataset"], {})
    try:
        facts = measure_volume(*read_volume_pair(item), item, structures(sets), air)
    except (ValueError, OSError) as error:
        return CheckedImage(folder, item, sets, None, None), str(error)
    return CheckedImage(folder, item, sets, None, facts), ""


def _of_the_folder(
    folder: Path, images: Sequence[CheckedImage], provenance: Mapping[str, Any], incomplete: bool
) -> Iterator[Finding]:
    digests = sorted(image.facts.content for image in images if image.facts)
    if not incomplete and digest(*digests) != provenance.get("checksum"):
        yield Finding("changed content", f"{folder.name}: images, annotations or datalist do not match the checksum")
    try:
        prepared_records(folder)
    except ValueError as error:  # trainings need it
        yield Finding("changed content", str(error))
    for dataset in dict.fromkeys(image.item["dataset"] for image in images if not image.label_sets):
        yield Finding("label sets unknown", f"{folder / PROVENANCE} has no label sets of {dataset}")
    skipped = provenance.get("skipped", {})
    fraction = len(skipped) / (len(skipped) + len(images))
    if fraction > LEFT_OUT:
        # without names and numbers, equal reasons of different images are equal texts
        reasons = Counter(re.sub(r"\S*[\d/]\S*", "…", str(reason)) for reason in skipped.values())
        most = "; ".join(f"{reason}: {count}" for reason, count in reasons.most_common(3))
        yield Finding(
            "much was left out", f"{folder.name}: {len(skipped)} images, {fraction:.0%} of the source ({most})"
        )


def _coverage(images: Sequence[CheckedImage]) -> list[Coverage]:
    rows = []
    for dataset in dict.fromkeys(image.item["dataset"] for image in images):
        own = [image for image in images if image.item["dataset"] == dataset]
        outlined = dict.fromkeys(name for image in own for name in structures(image.label_sets) if " or " not in name)
        for fold in FOLDS:
            there = [image for image in own if image.item["fold"] == fold]
            counts = Counter(name for image in there for name in image.annotated)
            annotating = {name: counts[name] for name in outlined}
            rows.append(Coverage(dataset, fold, len({image.patient for image in there}), len(there), annotating))
    return rows


def _of_the_folds(coverage: Sequence[Coverage]) -> Iterator[Finding]:
    for row in coverage:
        if not row.images:
            yield Finding("fold missing", f"{row.dataset} has no image in the fold {row.fold}")
        for name, count in row.annotating.items():
            if row.images and not count:
                text = f"{row.dataset}: none of {row.images} images in the fold {row.fold} annotates {name}"
                yield Finding("class missing from a fold", text)
