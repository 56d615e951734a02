"""Findings of the check of prepared datasets, with their severity and remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...label_sets import IGNORE
from ...spelling import folded
from .image_facts import ImageFacts
from .volume_facts import VolumeFacts

__all__ = ["KINDS", "SEVERITIES", "CheckedImage", "Finding", "Severity", "printable", "structures"]

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

AGAIN = "prepare the dataset again"
LOOK = "look at the annotation"
KINDS: dict[str, tuple[Severity, str]] = {  # kind: severity and remedy, in the order of the report
    "unusable item": ("error", AGAIN),
    "unusable file": ("error", AGAIN),
    "changed content": ("error", f"{AGAIN}, or restore the files that were prepared"),
    "patient in two folds": ("error", "keep all images of a patient in one fold"),
    "image in two folds": ("error", "keep one copy, or put its patients into one fold"),
    "unknown annotation value": ("error", "correct the annotation, or let the reader's label sets name the value"),
    "values unlike the datalist's": ("error", AGAIN),
    "image twice in a fold": ("warning", "keep one copy: it counts twice, and the patients may be the same person"),
    "one image for ED and ES": ("warning", "check the frame numbers of the two phases"),
    "blank image": ("warning", "look at the source; leave the image out"),
    "nothing but ignored pixels": ("warning", "if they are a structure, say so in the description: 255: lv_cavity"),
    "empty annotation": ("warning", "leave the image out, or list its classes under `unlabelled`"),
    "structure in pieces": ("warning", LOOK),
    "hole in the LV cavity": ("warning", LOOK),
    "LV cavity at the image border": ("warning", f"{LOOK}; the LV may be cut off"),
    "upside down": ("warning", "flip the image in the reader: the transducer belongs at the top"),
    "annotation outside the sector": ("warning", f"{LOOK} and at the sector: one of them may be misplaced"),
    "left and right exchanged": ("warning", "look at the annotation and at the directions in the file's header"),
    "annotation outside the body": ("warning", f"{LOOK}: image and annotation may be of different patients"),
    "structure cut off": ("warning", f"{LOOK}: the scan may end there, or the annotation stop too early"),
    "unusual volume": ("warning", f"{LOOK}: it may be another structure"),
    "ED smaller than ES": ("warning", "check whether the two phases are exchanged"),
    "implausible spacing": ("warning", "correct the mm per pixel: every volume depends on it"),
    "fold missing": ("warning", "unless intended, give the dataset a split"),
    "class missing from a fold": ("warning", "it is not learnt or measured there; move patients between the folds"),
    "much was left out": ("warning", "repair the source and prepare it again, or make sure that this causes no bias"),
    "label sets unknown": ("note", f"its values and structures are not checked; {AGAIN} to record them"),
    "image like another patient's": ("note", "check whether one is a copy, or both patients are the same person"),
    "structure absent": ("note", "if it is visible but not drawn, list it under `unlabelled`"),
    "unusual LV area": ("note", LOOK),
    "spacing missing": ("note", "areas and volumes have no unit there; ejection fractions need none"),
}


@dataclass(frozen=True, eq=False)
class CheckedImage:
    """An item of a datalist and the facts measured on its files.

    Args:
        folder: the prepared folder.
        item: of the datalist, with absolute paths.
        label_sets: annotation value -> classes that it may stand for, or "ignore"; empty if unknown.
        spacing: mm per pixel, (row, column), of a picture; None if unknown or invalid.
        facts: of image and annotation; None if the files cannot be used.
        modality: of the dataset; None if unknown.
    """

    folder: Path
    item: Mapping[str, Any]
    label_sets: Mapping[int, Sequence[str]]
    spacing: tuple[float, float] | None
    facts: ImageFacts | VolumeFacts | None
    modality: str | None = None

    @property
    def name(self) -> str:
        """Folder and file name."""
        return f"{self.folder.name}/{Path(self.item['image']).stem}"

    @property
    def patient(self) -> tuple[str, str]:
        """Dataset and patient, to compare: numbers restart in every dataset, and spellings vary in case and form."""
        return self.item["dataset"], folded(self.item["patient"])

    @property
    def annotated(self) -> list[str]:
        """The structures that this image annotates, visible or not."""
        unlabelled = self.item.get("unlabelled") or ()
        return [name for name in structures(self.label_sets) if " or " not in name and name not in unlabelled]


@dataclass(frozen=True)
class Finding:
    """A defect or oddity.

    Args:
        kind: one of `KINDS`.
        text: names the culprit and describes it.
        images: the images concerned; empty if the finding concerns a dataset.
        structure: that thumbnails of volumes pass through; empty: all that is annotated.

    Example:
        >>> Finding("blank image", "out/patient1 has one grey value").severity
        'warning'
    """

    kind: str
    text: str
    images: Sequence[CheckedImage] = ()
    structure: str = ""

    @property
    def severity(self) -> Severity:
        """One of `SEVERITIES`."""
        return KINDS[self.kind][0]


def structures(label_sets: Mapping[int, Sequence[str]]) -> dict[str, list[int]]:
    """Return the annotation values of each structure, or of structures that share a value.

    Example:
        >>> structures({0: ["background", "la"], 1: ["lv"], 2: ["lv", "lvm"], 255: ["ignore"]})
        {'lv': [1], 'lv or lvm': [2]}
    """
    found: dict[str, list[int]] = {}
    for value, names in label_sets.items():
        if not {"background", IGNORE} & set(names):
            found.setdefault(" or ".join(dict.fromkeys(names)), []).append(value)
    return found


def printable(text: str) -> str:
    r"""Return the text with control characters replaced: names are untrusted, and terminals execute them.

    Example:
        >>> printable("patient\x1b[2J1") == "patient\ufffd[2J1"
        True
    """
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
