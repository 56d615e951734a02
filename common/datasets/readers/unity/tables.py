"""Find the files of a copy of Unity Imaging; read its labels, view index and pixel sizes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..tables import check_size, read_columns
from .curves import CURVES

__all__ = ["Files", "find", "read_entries", "read_spacings", "read_views", "view_of"]

IMAGE = re.compile(r"(?:0\d-)?(([0-9a-f]{64})-\d{4})\.png")  # 1: id of the image, 2: of its video
VIDEO = re.compile(r"(?:0\d-)?([0-9a-f]{64})")
LABELS = re.compile(r"labels-(train|tune|ival|all)\.json")
VIEW = re.compile(r"(?<![a-z0-9])a?([24])[ _-]?c(?:h|hamber)?(?![a-z])")  # A4C, 4CH, apical-4-chamber, unity-a4c-1
OFFICIAL = {"train": "training", "tune": "validation", "ival": "test"}  # official list -> our fold
MAX_DEPTH = 8  # folders below SOURCE; images are four below
MM_PER_PIXEL = (0.01, 5.0)  # plausible in an ultrasound image


@dataclass(frozen=True)
class Files:
    """Files of a copy of the release.

    Args:
        images: by video and frame, `<64 hex digits>-<4 digits>`.
        labels: by list: "train", "tune", "ival", "all".
        views: view indices, newest last.
        physical: tables of pixel sizes.
    """

    images: dict[str, Path] = field(default_factory=dict)
    labels: dict[str, Path] = field(default_factory=dict)
    views: list[Path] = field(default_factory=list)
    physical: list[Path] = field(default_factory=list)


def find(source: Path) -> Files:
    """Search a folder; links that lead out of it are not followed."""
    root, files = source.resolve(), Files()
    for folder, below, names in os.walk(root):
        below.sort()
        if len(Path(folder).relative_to(root).parts) == MAX_DEPTH:
            below.clear()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                continue
            if image := IMAGE.fullmatch(name):
                files.images.setdefault(image[1], path)
            elif labels := LABELS.fullmatch(name):
                if other := files.labels.get(labels[1]):
                    raise ValueError(f"{other} and {path} are the same list; keep one of them in {source}.")
                files.labels[labels[1]] = path
            elif name.startswith("view_index_") and name.endswith(".csv"):
                files.views.append(path)
            elif name.endswith("database_physical.csv"):
                files.physical.append(path)
    for found, what in ((files.labels, "labels-train.json or labels-all.json"), (files.images, "png-cache/**/*.png")):
        if not found:
            raise FileNotFoundError(
                f"{source} has no {what}; SOURCE is the folder with the unpacked labels and png-cache. "
                "Links that lead out of it are not followed."
            )
    files.views.sort(key=lambda path: path.name)  # the name ends in a date
    return files


def read_entries(paths: Mapping[str, Path]) -> tuple[dict[str, dict[str, Any]], dict[str, str | None], dict[str, str]]:
    """Read the lists of labels.

    Returns:
        The `CURVES` of each image; the fold of each video that is in one official list at most (None: in none); the
        names that are left out, with reasons.
    """
    entries: dict[str, dict[str, Any]] = {}
    skipped: dict[str, str] = {}
    official: dict[str, set[str]] = {}  # video -> folds
    for key in (*OFFICIAL, "all"):
        for name, entry in (_read_json(paths[key]) if key in paths else {}).items():
            image = IMAGE.fullmatch(name)
            labels = entry.get("labels") if isinstance(entry, dict) else None
            if image is None:
                skipped[f"{name[:100]!a}"] = f"not the name of an image, in {paths[key].name}"
            elif not isinstance(labels, dict):
                skipped[image[1]] = f"it has no labels, in {paths[key].name}"
            else:
                entries.setdefault(image[1], {curve: labels.get(curve) for curve in CURVES})
                official.setdefault(image[2], set()).update({OFFICIAL[key]} if key in OFFICIAL else ())
    folds = {video: min(of, default=None) for video, of in official.items() if len(of) < 2}
    return entries, folds, skipped


def read_views(paths: Sequence[Path]) -> dict[str, str]:
    """Read the view of each image, in the words of the view index; later tables override earlier ones."""
    rows = (row for path in paths for _, row in read_columns(path, "file", "view"))
    return {image[1]: view.strip() for file, view in rows if (image := IMAGE.fullmatch(file.strip()))}


def view_of(words: str) -> str | None:
    """Recognise the apical two- and four-chamber views.

    Example:
        >>> view_of("unity-a4c-1"), view_of("Apical 2 chamber"), view_of("plax")
        ('4CH', '2CH', None)
    """
    match = VIEW.search(words.lower())
    return f"{match[1]}CH" if match else None


def read_spacings(paths: Sequence[Path]) -> dict[str, tuple[float, float] | None]:
    """Read the spacing of each video, mm per pixel, (row, column); None where it is implausible."""
    spacings: dict[str, tuple[float, float] | None] = {}
    rows = (row for path in paths for _, row in read_columns(path, "FileHash", "PhysicalDeltaY", "PhysicalDeltaX"))
    for name, *deltas in rows:
        if video := VIDEO.fullmatch(name.strip()):
            try:
                row, column = (10 * float(delta) for delta in deltas)  # the table has cm
            except ValueError:
                row = column = 0.0
            plausible = all(MM_PER_PIXEL[0] <= length <= MM_PER_PIXEL[1] for length in (row, column))
            spacings[video[1]] = (row, column) if plausible else None
    return spacings


def _read_json(path: Path) -> dict[str, Any]:
    check_size(path)
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not readable JSON ({error}); unpack it again.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object with an entry for each image; unpack it again.")
    return content
