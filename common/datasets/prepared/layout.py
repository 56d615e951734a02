"""The layout that every dataset is prepared into: 8-bit PNG images, integer PNG annotations, datalist, provenance.

    OUT/images/<id>.png        8-bit grey values, (size, size), or (rows, columns) of their own
    OUT/labels/<id>.png        the dataset's own annotation values, of the same size
    OUT/datalist.json          one item per image: image, label, dataset, patient, view, phase, spacing, fold, values
    OUT/provenance.json        source, licence, citation, label sets, size ("own": their own), versions, assigned folds,
                               checksum, digests, images left out and why
    OUT/journal.jsonl          what each image was made from, and digests (`journal.py`)

`preparation.py` writes it. An item may also hold `unlabelled` (classes that this image does not annotate although its
dataset does), `sector` and `outside_sector` (how the ultrasound sector was found, and the fraction of the annotation
outside it), `completed` (true: a network labelled what was not annotated), `ef` (percent), `edv`, `esv` (ml),
`frame_rate` (Hz), `frame`, `quality`, `sex`, `age`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...command import command
from ...identity import digest
from ...label_sets import IGNORE, by_value
from ...spelling import did_you_mean, folded
from .journal import JOURNAL, Record, read_journal

__all__ = [
    "DATALIST",
    "FOLDS",
    "OWN",
    "PROVENANCE",
    "RESULTS",
    "Read",
    "check_items",
    "check_unchanged",
    "checked_renamed",
    "checksum",
    "folder_paths",
    "image_digest",
    "image_digests",
    "is_unchanged",
    "prepared_records",
    "read_datalist",
    "read_label_sets",
    "read_pair",
    "read_pixels",
    "read_provenance",
    "stated_pixels",
]

DATALIST = "datalist.json"
PROVENANCE = "provenance.json"
FOLDS = ("training", "validation", "test")
OWN = "own"  # size of a folder whose images keep their rows and columns
# of an image and its annotation, from their files, in the order of their digests
Read: TypeAlias = Callable[[Path, Path], tuple[NDArray[Any], NDArray[np.uint8]]]
RESULTS = ("image", "label", "spacing", "size", "values", "intensity")  # keys of an item that follow from its pixels


def image_digest(image: NDArray[Any], label: NDArray[np.uint8], item: Mapping[str, Any]) -> str:
    """Return the digest of a prepared image, its annotation and its item (and so its fold) without `RESULTS`."""
    return image_digests(image, label, [item])[0]


def image_digests(image: NDArray[Any], label: NDArray[np.uint8], items: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the digest of a prepared image and its annotation with each of several items; the pixels are read once."""
    pixels = hashlib.sha256(np.ascontiguousarray(image).data)
    pixels.update(np.ascontiguousarray(label).data)
    digests = []
    for item in items:
        facts = json.dumps({key: item[key] for key in item if key not in RESULTS}, sort_keys=True)
        whole = pixels.copy()
        whole.update(facts.encode())
        digests.append(whole.hexdigest())
    return digests


def checksum(folders: str | Path | Iterable[str | Path]) -> str:
    """Return one checksum for what prepared folders hold now, regardless of their names, places and order.

    It covers the items (and so folds and spacings), what annotation values mean, and the digests of the pixels in the
    journal, which are verified where pixels are read (`read_pair`); in a folder of an earlier version, without journal,
    the checksum of its preparation instead.
    """
    parts = []
    for folder in folder_paths(folders):
        meaning = {
            dataset: [[value, sorted(names)] for value, names in sorted(values.items())]
            for dataset, values in read_label_sets(folder).items()
        }
        pixels = {name: record.pixels for name, record in prepared_records(folder).items()}
        items = [[item, pixels.get(Path(item["image"]).stem)] for item in _read_json(folder, DATALIST)]
        prepared = None if pixels else read_provenance(folder)["checksum"]
        stated = [sorted(json.dumps(one, sort_keys=True) for one in items), prepared, meaning]
        parts.append(digest(json.dumps(stated, sort_keys=True)))
    return parts[0] if len(parts) == 1 else digest(*sorted(parts))


def check_unchanged(folders: str | Path | Iterable[str | Path], then: str) -> None:
    """Refuse prepared folders that changed since a checksum of them was computed; call it when they have been read.

    Args:
        folders: one prepared folder or several.
        then: their checksum, computed before anything else was read.

    Raises:
        ValueError: if they changed.
    """
    if checksum(folders) != then:
        names = ", ".join(map(str, folder_paths(folders)))
        raise ValueError(f"{names} changed while it was read; let the preparation finish, and start again.")


def read_provenance(folder: Path) -> dict[str, Any]:
    """Read provenance.json of a prepared folder."""
    return dict(_read_json(folder, PROVENANCE))


def prepared_records(folder: Path) -> Mapping[str, Record]:
    """Return what the journal of a prepared folder records, by id; empty in a folder of an earlier version.

    Raises:
        ValueError: if the journal is missing or not whole.
    """
    records = read_journal(folder).records
    stated = read_provenance(folder).get("digests", {}).get("pixels")  # an earlier version wrote neither
    if stated not in (None, digest(*sorted(record.pixels for record in records.values() if record.item))):
        raise ValueError(f"{folder / JOURNAL} is missing, cut off or edited; prepare the dataset again.")
    return records


def is_unchanged(folder: Path, items: Iterable[Mapping[str, Any]], read: Read) -> bool:
    """Return whether images, annotations and items of a folder are those that were prepared.

    Args:
        folder: prepared.
        items: all of its datalist; paths may be relative to the folder.
        read: reads an image and its annotation from their files, in the order of their digests.

    Raises:
        OSError: if an image or annotation is missing.
        ValueError: if one cannot be read.
    """
    digests = [image_digest(*read(folder / item["image"], folder / item["label"]), item) for item in items]
    return digest(*sorted(digests)) == read_provenance(folder).get("checksum")


def _pictures(image: Path, label: Path) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    return read_pixels(image), read_pixels(label)


def stated_pixels(items: Iterable[Mapping[str, Any]]) -> list[str | None]:
    """Return what the journals state as `Record.pixels` of items: empty for an unknown image, None without journal.

    A folder of an earlier version has no journal: all of its images are compared with its checksum. Images that are in
    no prepared folder are not verified.

    Raises:
        ValueError: if a journal is not whole, or a folder without journal is not what was prepared.
    """
    paths = [Path(item["image"]) for item in items]
    folders = {path.parent.parent for path in paths}
    known = {folder: prepared_records(folder) for folder in folders if (folder / PROVENANCE).is_file()}
    for folder in [folder for folder, records in known.items() if not records]:
        if not is_unchanged(folder, _read_json(folder, DATALIST), _pictures):  # volumes always had a journal
            raise ValueError(
                f"{folder} is not what an earlier version prepared: an image, an annotation or {DATALIST} was changed; "
                "remove it, and prepare the dataset again."
            )
    found: list[str | None] = []
    for path in paths:
        records = known.get(path.parent.parent)
        found.append((records[path.stem].pixels if path.stem in records else "") if records else None)
    return found


def read_label_sets(folder: Path) -> dict[str, dict[int, list[str]]]:
    """Return what a prepared folder states: for each dataset, the classes that each annotation value may stand for.

    Folders of earlier versions state lists, whose entry i is of value i.

    Raises:
        ValueError: if the label sets cannot be read.
    """
    stated = read_provenance(folder).get("label_sets", {})
    try:
        return {
            dataset: by_value({int(value): names for value, names in sets.items()} if isinstance(sets, dict) else sets)
            for dataset, sets in stated.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / PROVENANCE} has no valid label sets; prepare the dataset again.") from error


def read_datalist(
    folders: str | Path | Iterable[str | Path], fold: str | None = None, renamed: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Read the items of one or more prepared folders, with absolute paths, in the order of folders and image names.

    Args:
        folders: one prepared folder or several.
        fold: "training", "validation" or "test", of which the whole datalist is checked (`check_items`); None keeps
            all, as they are.
        renamed: name of a structure -> class, background or ignore (`stated_label_sets`), applied to `unlabelled`.

    Raises:
        ValueError: if `fold` is unknown, no item is left, a patient is in two folders, or a datalist was edited so that
            results would be wrong.
    """
    if fold is not None and fold not in FOLDS:
        raise ValueError(f"fold is {fold!r}, expected one of {list(FOLDS)}.")
    folders, renamed = folder_paths(folders), checked_renamed(renamed)
    read = {folder: _read_json(folder, DATALIST) for folder in folders}
    if len(read) > 1:
        _check_patients(read)
    for folder, own in read.items() if fold else ():
        check_items(folder, own)
    items = [
        {**item, **{key: str((folder / item[key]).resolve()) for key in ("image", "label")}}
        for folder, own in read.items()
        for item in sorted(own, key=lambda item: str(item["image"]))
        if fold is None or item["fold"] == fold
    ]
    if not items:
        present = sorted({str(item.get("fold")) for own in read.values() for item in own})
        there = f"; there are {', '.join(present)}" if present else ""
        raise ValueError(f"no item of fold {fold!r} in {[str(folder) for folder in folders]}{there}.")
    if renamed:
        for item in items:
            if "unlabelled" in item:
                names = dict.fromkeys(renamed.get(name, name) for name in item["unlabelled"])
                item["unlabelled"] = [name for name in names if name not in ("background", IGNORE)]
    return items


def _check_patients(read: Mapping[Path, Iterable[Mapping[str, Any]]]) -> None:
    """Refuse a patient who is in two folders.

    Nothing proves that it is one person: results are computed by patient, and would mix two. In other folds, networks
    would be tested on what they have seen.
    """
    known: dict[tuple[str, str], Path] = {}
    for folder, items in read.items():
        for item in items:
            other = known.setdefault((item["dataset"], folded(item["patient"])), folder)
            if other != folder:
                raise ValueError(
                    f"patient {item['patient']!r} of '{item['dataset']}' is in {other} and in {folder}. Give one of "
                    "the datasets another name if they are different patients; otherwise prepare both together, or "
                    "leave one of the folders out."
                )


def check_items(folder: Path, items: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a datalist that somebody edited so that results would be wrong.

    Args:
        folder: prepared.
        items: all of its datalist.

    Raises:
        ValueError: if a fold is unknown, an image is named twice, a patient is in two folds, or `unlabelled` names what
            the dataset does not annotate.
    """
    annotated = {
        dataset: {name for names in values.values() for name in names} - {"background", IGNORE}
        for dataset, values in read_label_sets(folder).items()
    }
    images, folds = set[str](), dict[tuple[str, str], str]()
    for item in items:
        image, fold, patient = item["image"], item.get("fold"), (item.get("dataset", ""), item.get("patient", ""))
        names = item.get("unlabelled", ())
        if fold not in FOLDS:
            fault = f"{image} is in the fold {fold!r}, expected one of {list(FOLDS)}.{did_you_mean(fold, FOLDS)}"
        elif (name := image.rpartition("/")[2]) in images:
            fault = f"{image} is there twice and would count twice."
        elif (other := folds.setdefault((patient[0], folded(patient[1])), fold)) != fold:
            both = f"{other} and {fold}"
            fault = f"patient {patient[1]!r} of '{patient[0]}' is in two folds, {both}; keep every patient in one."
        elif names and (unknown := [one for one in names if one not in annotated.get(patient[0], names)]):
            hint = did_you_mean(unknown[0], annotated[patient[0]])
            known = sorted(annotated[patient[0]])
            fault = f"unlabelled of {image} names {unknown[0]!r}, which is not among {known}.{hint}"
        else:
            images.add(name)
            continue
        raise ValueError(f"{folder / DATALIST}: {fault} Correct it, or prepare the dataset again.")


def checked_renamed(renamed: Mapping[str, str] | None) -> dict[str, str]:
    """Return the setting `renamed` as a dictionary, empty for None.

    Raises:
        ValueError: if it is something else than names and what they count as.
    """
    renamed = {} if renamed is None else renamed
    if not isinstance(renamed, Mapping) or not all(isinstance(name, str) for pair in renamed.items() for name in pair):
        raise ValueError(
            f"renamed is {renamed!r}, expected structures and the class that each counts as: "
            '--renamed "{papillary_muscle: background}".'
        )
    return dict(renamed)


def read_pixels(path: str | Path, size: int | None = None) -> NDArray[np.uint8]:
    """Read an 8-bit grey PNG of a prepared folder, uint8, (rows, columns); refuse others before decoding.

    Args:
        path: of the image or annotation.
        size: expected rows and columns; None accepts any.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode == "L" and image.size == (size or image.width, size or image.height):
                return np.array(image)
            expected = f"{size}x{size} of mode 'L'" if size else "mode 'L' (8-bit grey)"
            found = f"is {image.width}x{image.height} pixels of mode {image.mode!r}, expected {expected}"
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} is missing; prepare the dataset again.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # what Pillow raises
        found = f"cannot be read ({error})"
    raise ValueError(f"{path} {found}; prepare the dataset again.")


def read_pair(item: Mapping[str, Any], stated: str | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read the image and the annotation of an item, uint8, (rows, columns).

    Args:
        item: of a datalist, with absolute paths.
        stated: digest of both in the journal (`stated_pixels`); None: unknown.

    Raises:
        ValueError: if they are not what was prepared.
    """
    image, label = (read_pixels(item[key]) for key in ("image", "label"))
    if stated is not None and image_digest(image, label, {}) != stated:
        raise ValueError(
            f"{item['image']} or its annotation {item['label']} is not what was prepared; correct the source instead, "
            "move the changed file elsewhere, and prepare the dataset again."
        )
    return image, label


def folder_paths(folders: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return the paths of one or more prepared folders, in the order of their datasets and content.

    Weights and results depend on the order of the images, but must not depend on the order in which folders are given.

    Raises:
        ValueError: if two of them are one folder, or hold the same images, perhaps under other names, in other folds
            or of another size: these would count twice.
    """
    paths = [Path(folders)] if isinstance(folders, str | Path) else list(map(Path, folders))
    if len(paths) < 2:
        return paths
    known: dict[tuple[str, str], Path] = {}
    order: dict[Path, tuple[list[str], str]] = {}
    for path in paths:
        stated = read_provenance(path)
        content = str(stated.get("checksum", path.resolve()))
        marks = {"checksum": content, "place": str(path.resolve()), **stated.get("digests", {})}
        for mark in [
            (kind, marks[kind]) for kind in ("checksum", "place", "pixels", "files", "names") if marks.get(kind)
        ]:
            other = known.setdefault(mark, path)
            if other is not path and (mark[0] != "names" or read_provenance(other)["size"] != stated["size"]):
                raise ValueError(
                    f"{other} and {path} hold the same images, which would count twice; leave one of them out."
                )
        order[path] = sorted(map(str, stated.get("label_sets", ()))), content
    return sorted(paths, key=order.__getitem__)


def _read_json(folder: Path, name: str) -> Any:
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} is not a prepared dataset: it has no {name}. "
            f"Create one with '{command('datasets folder SOURCE OUT --description FILE')}' (of volumes: volumes), or "
            f"draw one with '{command('datasets phantom OUT')}'; {command('datasets --help')} lists all sources."
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not even text
        raise ValueError(f"{path} is not readable JSON ({error}); prepare the dataset again.") from error
