"""Label sets of the datasets in use, and a table of which dataset annotates which class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...label_sets import IGNORE, LabelSets, Meaning, describe, hide_unmentioned
from ...spelling import did_you_mean, nearest
from .layout import checked_renamed, folder_paths, read_label_sets
from .remarks import copies, resampled_again, without_annotation, without_folds, without_images, without_validation

__all__ = ["coverage_table", "labels_in", "labels_of", "stated_label_sets"]


def stated_label_sets(
    folders: str | Path | Iterable[str | Path], classes: Sequence[str], renamed: Mapping[str, str] | None = None
) -> dict[str, dict[int, list[str]]]:
    """Read what prepared folders state about their annotation values, in the classes of a bundle.

    A class of the bundle that a dataset never mentions is not annotated by it (`hide_unmentioned`).

    Args:
        folders: one prepared folder or several.
        classes: of the bundle, background first.
        renamed: name of a structure in the folders -> the class that it counts as, "background" or "ignore".

    Returns:
        dataset -> annotation value -> classes that it may stand for, or "ignore".

    Raises:
        ValueError: if a name is neither a class nor renamed, `classes` or `renamed` is wrong, or two folders state
            different label sets of one dataset.
    """
    _check_classes(classes)
    renamed = checked_renamed(renamed)
    for name, target in renamed.items():
        if name in (*classes, IGNORE):
            raise ValueError(f"renamed has {name!r}, which is a class of this bundle, or ignored; leave it out.")
        if target not in (*classes, IGNORE):
            hint = did_you_mean(target, (*classes, IGNORE))
            raise ValueError(
                f"renamed makes {name!r} {target!r}, expected one of the classes {list(classes)}, or 'ignore'.{hint}"
            )
    stated: dict[str, dict[int, list[str]]] = {}
    places: dict[str, Path] = {}
    read = {folder: read_label_sets(folder) for folder in folder_paths(folders)}
    _check_mentioned(read.values(), classes, renamed)
    for folder, datasets in read.items():
        for dataset, values in datasets.items():
            own = {value: _renamed(names, renamed, dataset) for value, names in values.items()}
            if _decided(stated.get(dataset, own)) != _decided(own):
                raise ValueError(
                    f"{places[dataset]} and {folder} state different label sets of '{dataset}': "
                    f"{stated[dataset]} and {own}. Prepare both in the same way, or give one of them another name."
                )
            stated[dataset] = stated.get(dataset, {}) | own
            places.setdefault(dataset, folder)
    return {dataset: hide_unmentioned(values, classes) for dataset, values in stated.items()}


def _check_classes(classes: Any) -> None:
    names = [classes] if isinstance(classes, str) else list(classes) if isinstance(classes, Sequence) else []
    if isinstance(classes, str) or not names or names[0] != "background":
        right = ", ".join(str(name) for name in names if name != "background") or "lv_cavity"
        raise ValueError(
            f'classes are {classes!r}, expected a list that begins with background: --classes "[background, {right}]".'
        )


def _check_mentioned(
    folders: Iterable[Mapping[str, Mapping[int, Sequence[str]]]], classes: Sequence[str], renamed: Mapping[str, str]
) -> None:
    """Refuse structures that are neither classes nor renamed, with a setting to copy that renames the first of them."""
    mentions = [
        (name, dataset) for sets in folders for dataset, own in sets.items() for names in own.values() for name in names
    ]
    for name, dataset in mentions:
        if name not in (*classes, *renamed, IGNORE):
            close = nearest(name, (*classes, IGNORE))
            hint = f" Did you mean {close!r}?" if close else ""
            others = {other: target for other, target in renamed.items() if other in dict(mentions)}
            remedy = ", ".join(f"{one}: {target}" for one, target in {**others, name: close or "background"}.items())
            raise ValueError(
                f"'{dataset}' annotates {name!r}, which is not among the classes {list(classes)}.{hint} "
                f'Add it to `classes`, or count it as another: --renamed "{{{remedy}}}".'
            )


def _renamed(names: Sequence[str], renamed: Mapping[str, str], dataset: str) -> list[str]:
    own = list(dict.fromkeys(renamed.get(name, name) for name in names))
    if IGNORE in own and len(own) > 1:
        raise ValueError(
            f"renamed makes {list(names)}, which one value of '{dataset}' may stand for, {own}; "
            f"'{IGNORE}' stands alone: rename all of them to it, or none."
        )
    return own


def _decided(values: Mapping[int, Sequence[str]]) -> dict[int, set[str]]:
    return {value: set(names) for value, names in values.items() if list(names) != [IGNORE]}


def labels_of(
    classes: Sequence[str],
    label_sets: Mapping[str, Meaning],
    data: Sequence[Mapping[str, Any]],
    weights: str | Path | None = None,
) -> LabelSets:
    """Return the label sets of training images, of which each class needs an annotation.

    Args:
        classes: as for `labels_in`.
        label_sets: likewise.
        data: likewise.
        weights: of a network that knows all classes already: they need none.

    Raises:
        ValueError: as `labels_in` does, or if no dataset annotates a class and `weights` is None.
    """
    labels = labels_in(classes, label_sets, data)
    if weights is None and (unlearnt := labels.unannotated()):
        raise ValueError(
            f"no dataset annotates {unlearnt}: each class but background needs a dataset, among "
            f"{list(labels.label_sets)}, in which one annotation value stands for it alone. Add data, withhold less, "
            f'train without these classes (--classes "{[name for name in classes if name not in unlearnt]}"), or '
            "continue from weights that know them (--initial_weights)."
        )
    return labels


def labels_in(
    classes: Sequence[str], label_sets: Mapping[str, Meaning], data: Sequence[Mapping[str, Any]]
) -> LabelSets:
    """Return the label sets of the datasets in `data`, without what their images leave unlabelled.

    A class that no image of a dataset annotates (`unlabelled` of its items) is removed from the dataset's label sets;
    a class that only some of them annotate is named in `LabelSets.partly`.

    Args:
        classes: names, background first.
        label_sets: of every dataset in the prepared folders.
        data: items of a datalist.

    Raises:
        ValueError: if a dataset in `data` has no label sets.
    """
    images = Counter(item["dataset"] for item in data)
    if unknown := [name for name in images if name not in label_sets]:
        raise ValueError(
            f"the data have {unknown}, whose folder states no label sets (it states {list(label_sets)}); "
            "prepare the dataset again."
        )
    return _without_unlabelled(classes, {name: label_sets[name] for name in images}, data)


def _without_unlabelled(
    classes: Sequence[str], label_sets: Mapping[str, Meaning], data: Sequence[Mapping[str, Any]]
) -> LabelSets:
    images = Counter(item["dataset"] for item in data)
    missing = Counter((item["dataset"], name) for item in data for name in set(item.get("unlabelled", ())))
    partly, never = ({name: list[str]() for name in images} for _ in range(2))
    stated = LabelSets(classes, label_sets)
    for (dataset, name), count in missing.items():
        if name in stated.drawn(dataset):
            (never if count == images[dataset] else partly)[dataset].append(name)
    return LabelSets(classes, label_sets, partly).withhold(never)


def coverage_table(
    label_sets: LabelSets,
    data: Sequence[Mapping[str, Any]],
    stated: Mapping[str, Meaning] | None = None,
    validation: Sequence[Mapping[str, Any]] | None = None,
    image_size: int | None = None,
) -> str:
    """Return a table of datasets by classes with the number of images, and remarks on the data, to print.

    Args:
        label_sets: of the datasets in `data`; others have 0 images.
        data: items of a datalist.
        stated: label sets of every dataset in the prepared folders; datasets that `data` lack are named below the
            table.
        validation: of a training on `data`: the items that it validates on.
        image_size: rows and columns of the network's images; None: they do not matter.
    """
    labels = _without_unlabelled(label_sets.classes, label_sets.label_sets, data)
    lines = [describe(labels, Counter(item["dataset"] for item in data))]
    if left_out := [name for name in stated or () if name not in label_sets.label_sets]:
        lines.append(f"not trained on: {', '.join(left_out)}")
    if completed := dict.fromkeys(item["dataset"] for item in data if item.get("completed")):
        lines.append(f"completed by a network, nothing is withheld: {', '.join(completed)}")
    if validation is None:
        lines += without_images(label_sets.label_sets, data)
        lines += without_annotation({name: labels.annotated(name) for name in labels.label_sets}, data)
    else:
        meaning = {**label_sets.label_sets, **(stated or {})}
        validated = labels_in(label_sets.classes, meaning, validation)
        covered = {name for dataset in validated.label_sets for name in validated.annotated(dataset)}
        lines += without_validation(label_sets.classes, covered)
        lines += without_folds(data)
    lines += [*resampled_again(data, image_size), *copies(data)]
    return "\n".join(lines)
