"""The check of prepared datasets before a training.

    error      training on it would be wrong: a patient in two folds, an unknown annotation value, a broken file
    warning    suspicious: look at it
    note       worth knowing

Every PNG is read once; what is kept of an image are a few numbers, never its pixels.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..prepared.layout import DATALIST, FOLDS, PROVENANCE, read_datalist, read_pixels, read_provenance
from .finding import KINDS, SEVERITIES, CheckedImage, Finding, structures
from .image_facts import measure
from .rules import RULES

__all__ = ["Coverage", "Report", "check"]

LEFT_OUT = 0.05  # share of the images that may be missing without a warning


@dataclass(frozen=True)
class Coverage:
    """How much one fold of a dataset holds, over all folders.

    Args:
        dataset: name.
        fold: one of `FOLDS`.
        patients: in the fold.
        images: in the fold.
        annotating: for each structure the number of images that tell it apart, visible or not.
    """

    dataset: str
    fold: str
    patients: int
    images: int
    annotating: Mapping[str, int]


@dataclass(frozen=True)
class Report:
    """What the check of some folders found.

    Args:
        licences: of each folder.
        coverage: a row for each dataset and fold.
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
        """The structures that some dataset annotates."""
        return list(dict.fromkeys(name for row in self.coverage for name in row.annotating))

    @property
    def counts(self) -> dict[str, int]:
        """Number of findings of each severity."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}

    @property
    def by_kind(self) -> dict[str, list[Finding]]:
        """Findings of each kind that occurs, errors first."""
        groups: dict[str, list[Finding]] = {}
        for finding in self.findings:
            groups.setdefault(finding.kind, []).append(finding)
        return groups


def check(folders: Sequence[Path]) -> Report:
    """Check prepared folders, each for itself and against each other.

    Args:
        folders: prepared folders; one that is given twice counts once.

    Returns:
        The report; `report.counts["error"]` is 0 if training on the folders is sound.

    Raises:
        FileNotFoundError: if a folder is not a prepared one.
        ValueError: if there is no folder, or datalist or provenance cannot be read.
    """
    if not folders:
        raise ValueError("no folder to check; name one or more prepared folders.")
    images: list[CheckedImage] = []
    findings: list[Finding] = []
    licences: dict[Path, str] = {}
    for folder in {folder.resolve(): folder for folder in folders}.values():
        provenance = read_provenance(folder)
        licences[folder] = str(provenance.get("licence", "unknown"))
        items, unusable = _items(folder)
        checked, broken = _read(folder, items, provenance)
        images += checked
        findings += [*unusable, *broken, *_of_the_folder(folder, checked, provenance, bool(unusable or broken))]
    coverage = _coverage(images)
    findings += [finding for rule in RULES for finding in rule(images)]
    findings += _of_the_folds(coverage, images)
    kinds = list(KINDS)
    return Report(licences, coverage, sorted(findings, key=lambda finding: kinds.index(finding.kind)))


def _items(folder: Path) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Read the datalist; set aside the items that no training could use or that lead out of the folder."""
    try:
        everything = read_datalist(folder)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / DATALIST} is no list of items with image, label and fold ({error!r}); "
            "prepare the dataset again."
        ) from error
    items, findings = [], []
    for item in everything:
        reason = ""
        if not all(isinstance(item.get(key), str) for key in ("dataset", "patient")):
            reason = "dataset or patient is no name"
        elif not all(isinstance(item.get(key), str | None) for key in ("view", "phase")):
            reason = "view or phase is neither a name nor null"
        elif item["fold"] not in FOLDS:
            reason = f"fold is {item['fold']!r}, must be one of {list(FOLDS)}"
        elif not all(Path(item[key]).is_relative_to(folder.resolve()) for key in ("image", "label")):
            reason = "image or label lies outside the folder"
        if reason:
            findings.append(Finding("unusable item", folder, f"{folder.name}/{Path(item['image']).stem}: {reason}"))
        else:
            items.append(item)
    return items, findings


def _read(
    folder: Path, items: Sequence[dict[str, Any]], provenance: Mapping[str, Any]
) -> tuple[list[CheckedImage], list[Finding]]:
    size, label_sets = provenance.get("size"), provenance.get("label_sets", {})
    if not isinstance(size, int) or not isinstance(label_sets, dict):
        raise ValueError(
            f"{folder / PROVENANCE} tells no size of the images or no label sets; prepare the dataset again."
        )
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read = pool.map(partial(_checked, folder=folder, size=size, label_sets=label_sets), items)
        done = list(tqdm(read, total=len(items), desc=f"check {folder.name}", unit=" images"))
    broken = [Finding("unusable file", folder, reason, [image]) for image, reason in done if reason]
    return [image for image, _ in done], broken


def _checked(
    item: dict[str, Any], folder: Path, size: int, label_sets: Mapping[str, Sequence[Sequence[str]]]
) -> tuple[CheckedImage, str]:
    sets, spacing = label_sets.get(item["dataset"], ()), _spacing(item.get("spacing"))
    try:
        image, label = (read_pixels(item[key], size) for key in ("image", "label"))
    except (ValueError, OSError) as error:
        return CheckedImage(folder, item, sets, spacing, None), str(error)
    return CheckedImage(folder, item, sets, spacing, measure(image, label, item, structures(sets), spacing)), ""


def _spacing(told: object) -> tuple[float, float] | None:
    try:
        row, column = (float(step) for step in told)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return None
    return (row, column) if 0 < row < math.inf and 0 < column < math.inf else None


def _of_the_folder(
    folder: Path, images: Sequence[CheckedImage], provenance: Mapping[str, Any], incomplete: bool
) -> Iterator[Finding]:
    digests = sorted(image.facts.content for image in images if image.facts)
    if not incomplete and hashlib.sha256("".join(digests).encode()).hexdigest() != provenance.get("checksum"):
        text = f"{folder.name}: images, annotations or datalist are not those that its checksum was made of"
        yield Finding("changed content", folder, text)
    for dataset in dict.fromkeys(image.item["dataset"] for image in images if not image.label_sets):
        yield Finding("label sets unknown", folder, f"{folder / PROVENANCE} has no label sets of {dataset}")
    skipped = provenance.get("skipped", {})
    share = len(skipped) / (len(skipped) + len(images))
    if share > LEFT_OUT:
        # names and numbers differ from image to image, the reason is the rest
        reasons = Counter(re.sub(r"\S*[\d/]\S*", "…", str(reason)) for reason in skipped.values())
        told = "; ".join(f"{reason}: {count}" for reason, count in reasons.most_common(3))
        text = f"{folder.name}: {len(skipped)} images, {share:.0%} of the source ({told})"
        yield Finding("much was left out", folder, text)


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


def _of_the_folds(coverage: Sequence[Coverage], images: Sequence[CheckedImage]) -> Iterator[Finding]:
    folders = {image.item["dataset"]: image.folder for image in reversed(images)}
    for row in coverage:
        if not row.images:
            yield Finding("fold missing", folders[row.dataset], f"{row.dataset} has no image in the fold {row.fold}")
        for name, count in row.annotating.items():
            if row.images and not count:
                text = f"{row.dataset}: none of {row.images} images in the fold {row.fold} annotates {name}"
                yield Finding("class missing from a fold", folders[row.dataset], text)
