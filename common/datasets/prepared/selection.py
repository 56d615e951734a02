"""Choose training images of a datalist and hide part of their annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...identity import hashed

__all__ = ["select"]


def select(
    data: Sequence[Mapping[str, Any]],
    label_sets: Mapping[str, Sequence[Sequence[str]]],
    datasets: str | Sequence[str] = (),
    images: Mapping[str, int] | None = None,
    withheld: Mapping[str, Sequence[str]] | None = None,
    share: float = 1.0,
    complete_only: bool = False,
) -> list[dict[str, Any]]:
    """Choose images of a datalist and hide classes of their annotation.

    The order of patients depends on their names alone: a smaller selection is a subset of a larger one, and the same
    patients lose their labels whatever else changes. Hidden classes are added to the item's `unlabelled`. Settings for
    datasets without data have no effect, so one setting serves phantoms and real data.

    Args:
        data: items of a datalist.
        label_sets: of every dataset that the bundle knows.
        datasets: name or names to keep; empty keeps all.
        images: largest number of images to keep of a dataset; 0 leaves it out.
        withheld: for each dataset, the classes whose annotation is hidden.
        share: fraction of the patients of each dataset in `withheld` who lose these classes, 0 to 1.
        complete_only: keep only images that still have every class annotated when the withheld ones are hidden.

    Returns:
        Copies of the chosen items, in the order of `data`.

    Raises:
        ValueError: if a name is not in `label_sets`, `share` is outside 0 to 1, or nothing is left.

    Example:
        >>> data = [{"dataset": "a", "patient": name, "image": name} for name in "pqrs"]
        >>> sets = {"a": [["background"], ["lv"]]}
        >>> [item.get("unlabelled") for item in select(data, sets, withheld={"a": ["lv"]}, share=0.5)].count(["lv"])
        2
    """
    datasets = [datasets] if isinstance(datasets, str) else datasets
    images, withheld = dict(images or {}), dict(withheld or {})
    for setting, names in (("train_on", datasets), ("images", images), ("withheld", withheld)):
        if unknown := [name for name in names if name not in label_sets]:
            raise ValueError(f"{setting} names {unknown}; label_sets has {list(label_sets)}.")
    for name, hidden in withheld.items():
        known = {label for values in label_sets[name] for label in values} - {"background"}
        if isinstance(hidden, str) or set(hidden) - known:
            raise ValueError(f"withheld of '{name}' is {hidden!r}, expected a list of names among {sorted(known)}.")
    if not 0 <= share <= 1:
        raise ValueError(f"withheld_share is {share}, expected a fraction of the patients, 0 to 1.")
    chosen = [dict(item) for item in data if not datasets or item["dataset"] in datasets]
    for name, count in images.items():
        own = sorted((item for item in chosen if item["dataset"] == name), key=_order)
        kept = {item["image"] for item in own[:count]}
        chosen = [item for item in chosen if item["dataset"] != name or item["image"] in kept]
    for name, hidden in withheld.items():
        patients = sorted({_order(item)[:2] for item in chosen if item["dataset"] == name})
        losing = set(patients[: round(share * len(patients))])
        for item in chosen:
            if _order(item)[:2] in losing:
                item["unlabelled"] = [*item.get("unlabelled", ()), *hidden]
    if complete_only:
        whole = {name for name, values in label_sets.items() if all(len(value) == 1 for value in values)}
        chosen = [item for item in chosen if item["dataset"] in whole and not item.get("unlabelled")]
    if not chosen:
        present = sorted({item["dataset"] for item in data})
        settings = f"train_on {list(datasets)}, images {images} and complete_only {complete_only}"
        raise ValueError(f"{settings} leave no image of {present}.")
    return chosen


def _order(item: Mapping[str, Any]) -> tuple[int, str, str]:
    return hashed(item["dataset"], item["patient"]), f"{item['dataset']}/{item['patient']}", item["image"]
