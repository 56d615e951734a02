"""What has to be said aloud before data are used: what nothing validates or tests, copies, what weights know of it."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...command import command
from ...engines.weights_record import SEEN, read_record
from ...identity import digest
from ...label_sets import Meaning, by_value
from .journal import Record
from .layout import (
    FOLDS,
    PROVENANCE,
    checked_renamed,
    prepared_records,
    read_datalist,
    read_label_sets,
    read_provenance,
)

__all__ = [
    "check_annotation",
    "check_meaning",
    "check_unseen",
    "completed_folders",
    "copies",
    "resampled_again",
    "seen_images",
    "trained_meaning",
    "without_annotation",
    "without_folds",
    "without_images",
    "without_validation",
]

LOGGER = logging.getLogger(__name__)
TEACHER_SEEN = "teacher_seen"  # of the provenance of pseudo-labels: `seen` of the weights that made them
MEANING = "meaning"  # likewise: what their training, and they, count structures as, and what was hidden from both
Items = Sequence[Mapping[str, Any]]


def without_images(datasets: Iterable[str], data: Items) -> Iterator[str]:
    """Name the datasets that have no image in `data`, one fold.

    Example:
        >>> list(without_images(["a", "b"], [{"dataset": "a", "fold": "test"}]))
        ['no image in the fold test: b']
    """
    there = {item["dataset"] for item in data}
    if missing := [name for name in datasets if name not in there]:
        fold = next((f" in the fold {item['fold']}" for item in data if "fold" in item), "")
        yield f"no image{fold}: {', '.join(missing)}"


def without_annotation(annotated: Mapping[str, Collection[str]], data: Items) -> Iterator[str]:
    """Name the datasets in `data` whose annotation decides no structure.

    Args:
        annotated: dataset -> classes that it annotates.
        data: items of a datalist.

    Example:
        >>> list(without_annotation({"a": ["background"], "b": ["background", "lv"]}, [{"dataset": "a"}]))
        ['no Dice, since the annotation decides no structure: a']
    """
    there = dict.fromkeys(item["dataset"] for item in data)
    if missing := [name for name in there if not set(annotated[name]) - {"background"}]:
        yield f"no Dice, since the annotation decides no structure: {', '.join(missing)}"


def without_validation(classes: Sequence[str], covered: Collection[str]) -> Iterator[str]:
    """Name the classes that no validation image annotates.

    Example:
        >>> list(without_validation(["background", "lv", "la"], {"lv"}))
        ['no validation image annotates la: the best epoch is chosen without it']
    """
    if missing := [name for name in classes[1:] if name not in covered]:
        yield f"no validation image annotates {', '.join(missing)}: the best epoch is chosen without it"


def without_folds(data: Items) -> Iterator[str]:
    """Name the datasets of a training that have no image to validate, or to test it, in their folders."""
    present = defaultdict[str, set[str]](set)
    for folder in _folders(data):
        for item in read_datalist(folder):
            present[item["dataset"]].add(item["fold"])
    trained = dict.fromkeys(item["dataset"] for item in data if item["dataset"] in present)
    for fold in FOLDS[1:]:
        if missing := [name for name in trained if fold not in present[name]]:
            yield f"no {fold} image: {', '.join(missing)}"


def resampled_again(data: Items, image_size: int | None) -> Iterator[str]:
    """Name the folders whose images were reduced to one size and are resampled to another."""
    for folder in _folders(data):
        size = read_provenance(folder).get("size")
        if image_size is not None and isinstance(size, int) and size != image_size:
            yield (
                f"{folder.name}: prepared with {size} x {size} pixels, resampled again to {image_size} x {image_size}; "
                f"prepare it with --size {image_size} or --size own to resample once"
            )


def copies(data: Items) -> Iterator[str]:
    """Say how many images of the folders occur in two folds or two folders, pixel for pixel."""
    folders = _folders(data)
    places = defaultdict[str, dict[tuple[Path, str], str]](dict)
    for folder in folders:
        records = prepared_records(folder)
        for item in read_datalist(folder):
            record = records.get(name := Path(item["image"]).stem)
            if record is not None and record.image:
                places[record.image].setdefault((folder, item["fold"]), f"{folder.name}/{name} ({item['fold']})")
    if found := [list(own.values()) for own in places.values() if len(own) > 1]:
        check = command(f"datasets check {' '.join(map(str, folders))}")
        yield (
            f"copies: {len(found)} image{'s' * (len(found) != 1)} in several folds or folders, such as "
            f"{' and '.join(found[0][:2])}; {check} lists them"
        )


def seen_images(training: Items, validation: Items, weights: str | Path | None = None) -> dict[str, str]:
    """Return which images train weights, and which choose them, for their record (`seen`).

    Initial weights have seen images already, and so has the teacher of pseudo-labels (`TEACHER_SEEN` in the provenance
    of their folder), which count here too; those that this training validates or tests on are named in the log.

    Args:
        training: items of a datalist.
        validation: likewise.
        weights: path of the initial weights; None: from scratch.

    Returns:
        "training" and "validation" -> the first `SEEN` digits of the digests of each image and of the files that it was
        read from, joined in order. Constant images, and those of folders without a journal, are not known.
    """
    earlier = [read_provenance(folder).get(TEACHER_SEEN, {}) for folder in _folders(training)]
    if weights is not None:
        earlier.append(read_record(weights).get("seen", {}))
    tests = [item for folder in _folders([*training, *validation]) for item in read_datalist(folder)]
    for data in (validation, [item for item in tests if item["fold"] == "test"]):
        for seen in earlier:
            if known := _known(data, seen, "training"):
                LOGGER.warning("%s trained the initial weights or teacher; evaluation of them will be refused", known)
    return {
        name: "".join(sorted({mark for mark, _ in _marked(data)}.union(*(_marks(seen, name) for seen in earlier))))
        for name, data in (("training", training), ("validation", validation))
    }


def check_unseen(record: Mapping[str, Any], data: Items, fold: str) -> None:
    """Refuse to evaluate weights on images that trained them, unless the training fold is asked for.

    Copies of images of what is the training fold now are a warning: `copies` says so of the data.

    Args:
        record: of the weights; what it does not state (`seen`) is not checked.
        data: items of the datalist that are evaluated.
        fold: that they are.

    Raises:
        ValueError: names a patient who trained the weights.
    """
    if fold == "training":
        return
    seen = record.get("seen", {})
    training = [item for folder in _folders(data) for item in read_datalist(folder) if item["fold"] == "training"]
    twins = {mark for mark, _ in _marked(training)}
    if known := _known(data, {"training": "".join(_marks(seen, "training") - twins)}, "training"):
        raise ValueError(
            f"{known} trained these weights, so this is not a test; evaluate other data, or what trained them "
            "(--fold training)."
        )
    if known := _known(data, seen, "training"):
        LOGGER.warning("%s trained these weights under another name, so their Dice is too high", known)
    if fold != "validation" and (known := _known(data, seen, "validation")):
        LOGGER.warning("%s chose the epoch of these weights, so their Dice is a little too high", known)


def check_annotation(data: Items) -> None:
    """Refuse to evaluate on annotation that a network completed: it would be compared with predictions.

    Args:
        data: items of the datalist that are evaluated.

    Raises:
        ValueError: names the folder, and what it was made from as far as its provenance states that.
    """
    for folder, origin in completed_folders(data):
        raise ValueError(
            f"a network completed the annotation of {folder}, so this is not a test; evaluate {origin} instead."
        )


def completed_folders(data: Items) -> Iterator[tuple[Path, str]]:
    """Yield the folders of items whose annotation a network completed, each with what it was made from."""
    completed = {folder for item in data if item.get("completed") for folder in _folders([item])}
    for folder in _folders(data):
        provenance = read_provenance(folder) if (folder / PROVENANCE).is_file() else {}
        if folder in completed or "teacher" in provenance:
            yield folder, ", ".join(map(str, provenance.get("folders", ()))) or "the data that it was made from"


def trained_meaning(
    data: Items,
    label_sets: Mapping[str, Meaning],
    renamed: Mapping[str, str] | None,
    weights: str | Path | None = None,
) -> dict[str, dict[str, str]]:
    """Return what data mean in a training, for the record of its weights; `check_meaning` compares other data with it.

    What was hidden from initial weights stays hidden where this training does not show it, and so does what was hidden
    from the teacher of pseudo-labels (`MEANING` in the provenance of their folder).

    Args:
        data: items of the datalists, of training and validation.
        label_sets: of every dataset in the prepared folders.
        renamed: setting of the training.
        weights: path of the initial weights; None: from scratch.

    Returns:
        `renamed`, structure -> the class that it counts as; `hidden`, class -> the images whose annotation of it was
        withheld, as in `seen_images`.
    """
    own, initial = checked_renamed(renamed), {} if weights is None else read_record(weights)
    structures = set().union(*map(_structures, _folders(data)))
    found = {name: target for name, target in initial.get("renamed", {}).items() if name not in structures}
    hidden = defaultdict[str, set[str]](set)
    for mark, item in _marked(data):
        for name in item.get("withheld", ()):
            hidden[name].add(mark)
    for folder in _folders(data):
        taught = _taught(folder)
        counted = {name: own.get(target, target) for name, target in taught.get("renamed", {}).items()}
        found |= {name: target for name, target in counted.items() if name not in structures}
        for name in taught.get("hidden", {}):
            hidden[own.get(name, name)] |= _marks(taught["hidden"], name)
    before = initial.get("hidden", {})
    for name in before:
        hidden[name] |= _marks(before, name) - {mark for mark, _ in _annotated(data, label_sets, name)}
    return {
        "renamed": found | own,
        "hidden": {name: "".join(sorted(marks)) for name, marks in sorted(hidden.items()) if marks},
    }


def check_meaning(
    weights: str | Path | None,
    data: Items,
    renamed: Mapping[str, str] | None,
    stated: Collection[str],
    withheld: Mapping[str, Sequence[str]] | None = None,
    label_sets: Mapping[str, Meaning] | None = None,
) -> None:
    """Refuse data that mean something else than in the training of weights; where this run states it, warn.

    Completed folders are compared too: their pseudo-labels mean what they meant to their teacher.

    Args:
        weights: path of the weights; None, or weights whose record says nothing of it: nothing is compared.
        data: items of the datalist of this run.
        renamed: its setting.
        stated: names of the settings that were given for this run.
        withheld: its setting.
        label_sets: of every dataset, if this run must not use annotation that was hidden from the training.

    Raises:
        ValueError: if a structure of the data counts as another class than in the training, or if annotation would be
            used that was withheld from it.
    """
    trained, own = {} if weights is None else read_record(weights), checked_renamed(renamed)
    meanings, counts = list[tuple[object, dict[str, str]]](), defaultdict[str, set[str]](set)
    for folder in _folders(data):
        taught = {name: own.get(target, target) for name, target in _taught(folder).get("renamed", {}).items()}
        meanings.append((folder, taught))
        for name, target in {**taught, **{name: own.get(name, name) for name in _structures(folder)}}.items():
            counts[name].add(target)
    if "renamed" in trained:
        meanings.append((weights, {name: name for name in trained.get("classes", ())} | trained["renamed"]))
    faults, right = [], {name: target for name, target in own.items() if name in counts}
    for source, meant in meanings:
        differing = {
            name: meant[name] for name, found in sorted(counts.items()) if name in meant and found != {meant[name]}
        }
        faults += [
            f"{name} counted as {target} in {source}, not as {min(counts[name] - {target})}"
            for name, target in differing.items()
        ]
        right |= differing
    if faults:
        remedy = ", ".join(f"{name}: {target}" for name, target in right.items() if name != target)
        _refuse("renamed", "; ".join(faults), remedy, stated)
    revealed = defaultdict[tuple[str, str], set[str]](set)
    for name in trained.get("hidden", {}) if label_sets else ():
        marks = _marks(trained["hidden"], name)
        for mark, item in _annotated(data, label_sets or {}, name):
            if mark in marks:
                revealed[item["dataset"], name].add(item["patient"])
    if revealed:
        fault = "; ".join(
            f"{name} of {len(patients)} patients of '{dataset}', such as {min(patients)}, was hidden from {weights}"
            for (dataset, name), patients in revealed.items()
        )
        hidden = {dataset: list(names) for dataset, names in (withheld or {}).items() if dataset in (label_sets or {})}
        if any(name in hidden.get(dataset, ()) for dataset, name in revealed):
            raise ValueError(f"{fault}. Repeat its --withheld_share and --images, or hide more: --withheld_share 1.")
        for dataset, name in revealed:
            hidden.setdefault(dataset, []).append(name)
        remedy = ", ".join(f"{dataset}: [{', '.join(names)}]" for dataset, names in hidden.items())
        _refuse("withheld", fault, remedy, stated)


def _structures(folder: Path) -> set[str]:
    return {label for sets in read_label_sets(folder).values() for names in sets.values() for label in names}


def _taught(folder: Path) -> Mapping[str, Any]:
    """Return what the teacher of a completed folder knows of its data; empty for other folders."""
    return read_provenance(folder).get(MEANING, {}) if (folder / PROVENANCE).is_file() else {}


def _annotated(data: Items, label_sets: Mapping[str, Meaning], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the marks of the items, and the items, that people annotated with a class, and that show it."""
    drawn = {
        dataset
        for dataset, own in label_sets.items()
        for names in by_value(own).values()
        if name in names and "background" not in names
    }
    for mark, item in _marked(data):
        if item["dataset"] in drawn and name not in item.get("unlabelled", ()) and not item.get("completed"):
            yield mark, item


def _refuse(setting: str, fault: str, remedy: str, stated: Collection[str]) -> None:
    """Raise a fault, or say it where this run states the setting."""
    if setting not in stated:
        raise ValueError(f'{fault}. Repeat that with --{setting} "{{{remedy}}}", or state with --{setting} what holds.')
    LOGGER.warning("%s", fault)


def _known(data: Items, seen: Mapping[str, str], part: str) -> str:
    """Name the patients whose images are among those that weights have seen; empty if none is."""
    marks = _marks(seen, part)
    found = dict.fromkeys((item["dataset"], item["patient"]) for mark, item in _marked(data) if mark in marks)
    if not found:
        return ""
    total, (dataset, patient) = len({(item["dataset"], item["patient"]) for item in data}), next(iter(found))
    return f"{len(found)} of {total} {data[0]['fold']} patients, such as {patient} of '{dataset}',"


def _marks(seen: Mapping[str, str], part: str) -> set[str]:
    joined = seen.get(part, "")
    return {joined[start : start + SEEN] for start in range(0, len(joined), SEEN)}


def _marked(data: Items) -> list[tuple[str, Mapping[str, Any]]]:
    """Return items with the marks of their image and of its files, as far as a journal states them."""
    marks = dict[Path, list[dict[str, str]]]()
    for folder in _folders(data):
        records = prepared_records(folder) if (folder / PROVENANCE).is_file() else {}
        images = {name: record.image for name, record in records.items() if record.image}  # which copies share
        marks[folder] = [images, _file_marks(records), _file_marks(records, image_only=True)]
    own = [(item, Path(item["image"])) for item in data if "image" in item]
    kinds = [(marks[path.parent.parent], path.stem, item) for item, path in own]
    return [(kind[name][:SEEN], item) for three, name, item in kinds for kind in three if name in kind]


def _file_marks(records: Mapping[str, Record], image_only: bool = False) -> dict[str, str]:
    """Return id -> digest of the files of an image, which it keeps when it is prepared with another size.

    Without those of its annotation (`image_only`) it keeps that when somebody annotates it again, too. Files that
    several patients share identify none of them.
    """
    found = {
        name: (
            digest(*(state[3] for state in record.files[: record.image_files if image_only else None])),
            (record.item["dataset"], record.item["patient"]),
        )
        for name, record in records.items()
        if record.image and record.item and record.files and (record.image_files or not image_only)
    }
    patients = defaultdict[str, set[tuple[str, str]]](set)
    for mark, patient in found.values():
        patients[mark].add(patient)
    return {name: mark for name, (mark, _) in found.items() if len(patients[mark]) == 1}


def _folders(data: Items) -> list[Path]:
    """Return the prepared folders that items come from."""
    return list(dict.fromkeys(Path(item["image"]).parent.parent for item in data if "image" in item))
