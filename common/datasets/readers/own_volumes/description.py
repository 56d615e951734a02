"""YAML file in which users describe their own folder of volumes and masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....label_sets import IGNORE
from ....spelling import did_you_mean
from ....strict_yaml import read_yaml
from ...files.volume.voxels import PAIRS
from ...volumes.volume import checked_spacing, checked_window
from ..own_folder.description import MAX_BYTES, dataset_and_columns, modality_of, text_of, values_of
from ..tables import check_size

__all__ = ["STRUCTURE", "VolumesDescription", "read_volumes_description"]

KEYS = (
    *("dataset", "licence", "citation", "modality", "values", "files", "table", "keep"),
    *("orientation", "empty_slices", "spacing", "window"),
)
UNANNOTATED = "unannotated"  # stands for every class
STRUCTURE = "structure"  # placeholder that stands for each structure


@dataclass(frozen=True)
class VolumesDescription:
    """Checked content of the YAML file.

    Args:
        path: of the file.
        dataset: its name.
        licence: its terms in one line.
        citation: what users must cite; may be empty.
        modality: as in the description of pictures; None if unknown.
        values: annotation value -> classes that it may stand for, or "ignore", in the order of the values.
        image: naming pattern, or None if there is a table.
        label: naming pattern of one mask file with all values, or of the mask file of each structure.
        table: path of a CSV, relative to the source, or None.
        keep: further columns of the table to copy.
        orientation: letters of the axes of files that do not state how they lie, or None.
        empty_slices: value that stands for slices whose mask is empty, or None: they are background.
        spacing: mm along (x, y, z) that all volumes are resampled to; None keeps that of each.
        window: lowest and highest value that is kept; None keeps all.
    """

    path: Path
    dataset: str
    licence: str
    citation: str
    modality: str | None
    values: Mapping[int, list[str]]
    image: str | None
    label: str | Mapping[str, str] | None
    table: str | None
    keep: tuple[str, ...]
    orientation: str | None
    empty_slices: int | None
    spacing: tuple[float, float, float] | None
    window: tuple[int, int] | None

    @property
    def structures(self) -> dict[str, int]:
        """The structures that a value stands for alone, and the value."""
        alone = {names[0]: value for value, names in self.values.items() if len(names) == 1}
        return {name: value for name, value in alone.items() if name not in ("background", IGNORE)}


def read_volumes_description(path: Path) -> VolumesDescription:
    """Read and check a description; a wrong entry raises a ValueError that names its key."""
    check_size(path, MAX_BYTES)
    content = read_yaml(path)
    try:
        return _parse(path, content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _parse(path: Path, content: Any) -> VolumesDescription:
    dataset, keep = dataset_and_columns(content, KEYS)
    about = VolumesDescription(
        path=path,
        dataset=dataset,
        licence=text_of(content, "licence"),
        citation=text_of(content, "citation") if content.get("citation") else "",
        modality=modality_of(content["modality"]) if "modality" in content else None,
        values=_values(content.get("values")),
        image=None,
        label=None,
        table=text_of(content, "table") if "table" in content else None,
        keep=keep,
        orientation=_orientation(content["orientation"]) if "orientation" in content else None,
        empty_slices=content.get("empty_slices"),
        spacing=checked_spacing(content.get("spacing")),
        window=checked_window(content.get("window")),
    )
    every = {name for names in about.values.values() for name in names} - {IGNORE}
    if about.empty_slices is not None and set(about.values.get(about.empty_slices, ())) != every:
        raise ValueError(f"empty_slices is {about.empty_slices}, expected a value of 'values' that is '{UNANNOTATED}'.")
    if "files" not in content:
        return about
    files = content["files"]
    if not isinstance(files, dict) or set(files) != {"image", "label"}:
        raise ValueError("'files' must have two entries, 'image' and 'label'.")
    changed = {"image": text_of(files, "image"), "label": _label(files, about.structures)}
    return VolumesDescription(**{**vars(about), **changed})


def _label(files: Mapping[str, Any], structures: Mapping[str, int]) -> str | dict[str, str]:
    """Return the pattern of the mask file, or of each structure's."""
    if isinstance(files["label"], dict):
        for name in files["label"]:
            if name not in structures:
                hint = did_you_mean(name, structures)
                raise ValueError(f"'label' names {name!r}; expected a structure of 'values': {[*structures]}.{hint}")
        patterns = {name: text_of(files["label"], name) for name in files["label"]}
        of = {pattern: name for name, pattern in patterns.items()}
        for name, pattern in patterns.items():
            if of[pattern] != name:
                raise ValueError(f"'label' has the pattern {pattern!r} of {name!r} for {of[pattern]!r}, too.")
        return patterns
    pattern = text_of(files, "label")
    if f"{{{STRUCTURE}}}" not in pattern:
        return pattern
    return {name: pattern.replace(f"{{{STRUCTURE}}}", name) for name in structures}


def _values(content: Any) -> dict[int, list[str]]:
    """Return the names of each value; `unannotated` stands for background and every structure that is mentioned."""
    if not isinstance(content, dict):
        return values_of(content)
    own = {value: names for value, names in content.items() if names not in (UNANNOTATED, [UNANNOTATED])}
    values = values_of(own)
    every = list(dict.fromkeys(["background", *(name for names in values.values() for name in names)]))
    every = [name for name in every if name != IGNORE]
    return values_of({**content, **dict.fromkeys(content.keys() - own.keys(), every)})


def _orientation(given: Any) -> str:
    letters = given if isinstance(given, str) else ""
    if sorted(next((pair for pair in PAIRS if letter in pair), "") for letter in letters) != sorted(PAIRS):
        raise ValueError(
            f"orientation is {str(given)[:50]!r}, expected where the three axes of the files run to, such as LPS "
            "(left, posterior, superior)."
        )
    return letters
