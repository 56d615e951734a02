"""Choose training images of a datalist and hide part of their annotation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...identity import hashed
from ...label_sets import IGNORE, Meaning, by_value
from ...spelling import did_you_mean
from ..catalogue import dataset_names
from .layout import checked_renamed, folder_paths, read_label_sets

__all__ = ["NAMING", "check_names", "select"]

NAMING = ("train_on", "images", "withheld", "renamed")  # settings that name datasets, or their structures
FORMS = {
    "train_on": 'a dataset or a list of datasets: --train_on camus, or --train_on "[camus, unity]"',
    "images": 'whole numbers from 0 by dataset: --images "{camus: 200}"',
    "withheld": 'lists of classes by dataset: --withheld "{camus: [left_atrium]}"',
}


def select(
    data: Sequence[Mapping[str, Any]],
    label_sets: Mapping[str, Meaning],
    datasets: str | Sequence[str] = (),
    images: Mapping[str, int] | None = None,
    withheld: Mapping[str, Sequence[str]] | None = None,
    share: float = 1.0,
    complete_only: bool = False,
) -> list[dict[str, Any]]:
    """Choose images of a datalist and hide classes of their annotation.

    The order of patients depends on their names alone: a smaller selection is a subset of a larger one, and the same
    patients lose their labels whatever else changes. Hidden classes are added to the item's `unlabelled`, and to its
    `withheld` if it annotates them. Nothing is hidden again in images that a network completed (pseudo-labels).
    Settings may name datasets of this project that are not in the data, without effect, so one setting serves phantoms
    and real data.

    Args:
        data: items of a datalist.
        label_sets: of every dataset in the prepared folders.
        datasets: name or names to keep; empty keeps all.
        images: largest number of images to keep of a dataset; 0 leaves it out.
        withheld: for each dataset, the classes whose annotation is hidden.
        share: fraction of the patients of each dataset in `withheld` who lose these classes, 0 to 1.
        complete_only: keep only images that still have every class annotated when the withheld ones are hidden.

    Returns:
        Copies of the chosen items, in the order of `data`.

    Raises:
        ValueError: if a setting is of another form, a name is neither in `label_sets` nor a dataset of this project,
            `share` is outside 0 to 1 or of nothing, or nothing is left.

    Example:
        >>> data = [{"dataset": "a", "patient": name, "image": name} for name in "pqrs"]
        >>> sets = {"a": [["background"], ["lv"]]}
        >>> [item.get("unlabelled") for item in select(data, sets, withheld={"a": ["lv"]}, share=0.5)].count(["lv"])
        2
    """
    images = {} if images is None else images
    withheld = {} if withheld is None else withheld
    _check_known({"train_on": datasets, "images": images, "withheld": withheld}, label_sets, dataset_names())
    values = {name: by_value(meaning) for name, meaning in label_sets.items()}
    every = {label for own in values.values() for names in own.values() for label in names} - {IGNORE}
    datasets = [datasets] if isinstance(datasets, str) else datasets
    _check_withheld({name: hidden for name, hidden in withheld.items() if name in values}, every - {"background"})
    if not 0 <= share <= 1:
        raise ValueError(f"withheld_share is {share}, expected a fraction of the patients, 0 to 1.")
    chosen = [dict(item) for item in data if not datasets or item["dataset"] in datasets]
    for name, count in images.items():
        own = sorted((item for item in chosen if item["dataset"] == name), key=_order)
        few = {item["image"] for item in own[:count]}
        chosen = [item for item in chosen if item["dataset"] != name or item["image"] in few]
    lost = False
    for name, hidden in withheld.items():
        patients = sorted({_order(item)[:2] for item in chosen if item["dataset"] == name})
        losing = set(patients[: round(share * len(patients))])
        outlined = {label for names in values.get(name, {}).values() if "background" not in names for label in names}
        for item in chosen:
            if _order(item)[:2] in losing and not item.get("completed"):
                known = item.get("unlabelled", ())
                lost |= not outlined.isdisjoint(hidden)
                seen = [label for label in hidden if label in outlined and label not in known]
                item["withheld"] = [*item.get("withheld", ()), *seen]
                item["unlabelled"] = list(dict.fromkeys([*known, *hidden]))
    annotated = [item for item in chosen if item.get("fold", "training") == "training" and not item.get("completed")]
    if withheld and 0 < share < 1 and not lost and annotated:
        foreground = ", ".join(sorted(every - {"background"}))
        raise ValueError(
            f"withheld_share is {share}, but no patient of {sorted({item['dataset'] for item in chosen})} loses an "
            f"annotation: withheld is {dict(withheld)}. Leave withheld_share out, choose a larger one, or name what "
            f'patients lose, such as --withheld "{{{chosen[0]["dataset"]}: [{foreground}]}}".'
        )
    if complete_only:
        kept = {name: [names for names in own.values() if names != [IGNORE]] for name, own in values.items()}
        single = {name for name, own in kept.items() if all(len(names) == 1 for names in own)}
        whole = {name for name in single if {names[0] for names in kept[name]} == every}
        chosen = [item for item in chosen if item["dataset"] in whole and not item.get("unlabelled")]
    if not chosen:
        present = sorted({item["dataset"] for item in data})
        settings = f"train_on {list(datasets)}, images {dict(images)} and complete_only {complete_only}"
        remedy = "" if not datasets or set(datasets) & set(present) else f" Train on them: --train_on {present[0]}."
        raise ValueError(f"{settings} leave no image of {present}.{remedy}")
    return chosen


def check_names(folders: str | Path | Iterable[str | Path], settings: Mapping[str, Any]) -> None:
    """Refuse settings given for this run that name what is not in its data: they would do nothing.

    Args:
        folders: prepared folders.
        settings: one of `NAMING` -> its value.

    Raises:
        ValueError: if a name is not in the data, or a setting is of another form.
    """
    stated = {name: own for folder in folder_paths(folders) for name, own in read_label_sets(folder).items()}
    others = {setting: given for setting, given in settings.items() if setting != "renamed" and given is not None}
    _check_known(others, list(stated))
    structures = sorted({label for own in stated.values() for names in own.values() for label in names})
    _check_in_data("renamed", checked_renamed(settings.get("renamed")), structures)


def _check_known(settings: Mapping[str, Any], data: Collection[str], others: Collection[str] = ()) -> None:
    for setting, given in settings.items():
        if not _has_form(setting, given):
            raise ValueError(f"{setting} is {given!r}, expected {FORMS[setting]}.")
        _check_in_data(setting, [given] if isinstance(given, str) else given, data, others)


def _has_form(setting: str, given: Any) -> bool:
    if setting == "train_on":
        return isinstance(given, str) or _are_names(given)
    if not isinstance(given, Mapping):
        return False
    if setting == "images":
        return all(type(count) is int and count >= 0 for count in given.values())
    return all(map(_are_names, given.values()))


def _are_names(given: Any) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str) and all(isinstance(name, str) for name in given)


def _check_in_data(setting: str, names: Iterable[str], data: Collection[str], others: Collection[str] = ()) -> None:
    for name in names:
        if name not in (*data, *others):
            hint = did_you_mean(name, [*data, *others])
            raise ValueError(f"{setting} names {name!r}, which is not in the data: {list(data)}.{hint}")


def _check_withheld(withheld: Mapping[str, Sequence[str]], known: Collection[str]) -> None:
    rest = {dataset: own for dataset, names in withheld.items() if (own := [one for one in names if one in known])}
    for dataset, names in withheld.items():
        if unknown := [name for name in names if name not in known]:
            remedy = ", ".join(f"{name}: [{', '.join(own)}]" for name, own in rest.items())
            others = "the others" if rest else "nothing"
            hint = did_you_mean(unknown[0], known) or f' To withhold {others}: --withheld "{{{remedy}}}".'
            raise ValueError(
                f"withheld of '{dataset}' is {list(names)}, expected a list of names among {sorted(known)}.{hint}"
            )


def _order(item: Mapping[str, Any]) -> tuple[int, str, str]:
    return hashed(item["dataset"], item["patient"]), f"{item['dataset']}/{item['patient']}", item["image"]
