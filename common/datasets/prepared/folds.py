"""Assign patients to folds: 80 % training, 10 % validation, 10 % test, in every dataset and every label set of it.

What a source states (an official split, a column `fold`) stays, and so does what was assigned before: a patient never
moves. The others are ranked by a hash of their names, so the order of the images does not matter: the last tenth tests,
the tenth before it validates. Then as few of them as possible move until each dataset, and each label set in it (what
an image leaves unlabelled), has patients in all three folds, if it has three patients; two patients train and validate.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...identity import hashed
from .layout import FOLDS

__all__ = ["Patient", "assign", "missing_folds"]

Patient = tuple[str, str]  # dataset and name
Group = tuple[str, tuple[str, ...]]  # dataset, and what the images leave unlabelled


def assign(items: Iterable[Mapping[str, Any]], earlier: Mapping[Patient, str] | None = None) -> dict[Patient, str]:
    """Return the fold of every patient.

    Args:
        items: with dataset, patient, and perhaps fold (stated by the source; None or absent: not stated), unlabelled.
        earlier: folds that were assigned before.

    Raises:
        ValueError: if one patient is stated to be in two folds.

    Example:
        >>> sorted(assign({"dataset": "a", "patient": name} for name in "pqr").values())
        ['test', 'training', 'validation']
    """
    items = list(items)
    stated = _stated(items)
    patients = dict.fromkeys((item["dataset"], item["patient"]) for item in items)
    fixed = {patient: fold for patient in patients if (fold := stated.get(patient) or (earlier or {}).get(patient))}
    folds = dict(fixed)
    for dataset in dict.fromkeys(dataset for dataset, _ in patients):
        own = [patient for patient in patients if patient[0] == dataset]
        _fill([patient for patient in own if patient not in fixed], folds, len(own))
    _repair(_groups(items), folds, fixed)
    return {patient: folds[patient] for patient in patients}


def missing_folds(items: Iterable[Mapping[str, Any]], folds: Mapping[Patient, str]) -> list[str]:
    """Return a line for every dataset or label set that lacks a fold.

    Example:
        >>> missing_folds([{"dataset": "a", "patient": "p"}], {("a", "p"): "training"})
        ['a has no patient for validation and test: 1 patient, three are needed']
    """
    lines: dict[Group, str] = {}
    for (dataset, unlabelled), members in _groups(items).items():
        missing = [fold for fold in FOLDS if fold not in {folds[member] for member in members}]
        if missing and (dataset, ()) not in lines:
            without = f" without annotation of {', '.join(unlabelled)}" if unlabelled else ""
            count = f"{len(members)} patient{'s' * (len(members) != 1)}"
            few = ", three are needed" * (len(members) < len(FOLDS))
            lines[dataset, unlabelled] = f"{dataset}{without} has no patient for {' and '.join(missing)}: {count}{few}"
    return list(lines.values())


def _stated(items: Sequence[Mapping[str, Any]]) -> dict[Patient, str]:
    stated: dict[Patient, str] = {}
    for item in items:
        patient, fold = (item["dataset"], item["patient"]), item.get("fold")
        if fold and stated.setdefault(patient, fold) != fold:
            raise ValueError(
                f"patient {patient[1]!r} of '{patient[0]}' is in the folds {stated[patient]!r} and {fold!r}."
            )
    return stated


def _groups(items: Iterable[Mapping[str, Any]]) -> dict[Group, list[Patient]]:
    """Return the patients of every dataset and of every label set in it, datasets first, in an order of their own."""
    groups: defaultdict[Group, set[Patient]] = defaultdict(set)
    for item in items:
        for unlabelled in {(), tuple(sorted(item.get("unlabelled") or ()))}:
            groups[item["dataset"], unlabelled].add((item["dataset"], item["patient"]))
    return {group: sorted(groups[group], key=_rank) for group in sorted(groups)}


def _rank(patient: Patient) -> tuple[int, int]:
    number = hashed(*patient)
    return number % 100, number


def _fill(new: Sequence[Patient], folds: dict[Patient, str], count: int) -> None:
    """Assign the new patients of a dataset, so that `count` patients have the intended shares."""
    few = count < len(FOLDS)
    wanted = {"test": 0 if few else max(1, round(count / 10)), "validation": count // 2 if few else 0}
    wanted["validation"] = wanted["validation"] or wanted["test"]
    dataset = new[0][0] if new else ""
    there = Counter(fold for patient, fold in folds.items() if patient[0] == dataset)
    waiting = sorted(new, key=_rank)
    for fold in ("test", "validation"):
        for _ in range(wanted[fold] - there[fold]):
            if waiting:
                folds[waiting.pop()] = fold
    folds.update(dict.fromkeys(waiting, "training"))


def _repair(groups: Mapping[Group, Sequence[Patient]], folds: dict[Patient, str], fixed: Mapping[Patient, str]) -> None:
    """Move new patients, one after the other, while that fills a fold that a dataset or label set lacks."""
    of: defaultdict[Patient, list[Group]] = defaultdict(list)
    large = {group: members for group, members in groups.items() if len(members) >= len(FOLDS)}
    count = {group: Counter(folds[member] for member in members) for group, members in large.items()}
    for group, members in large.items():
        for member in members:
            of[member].append(group)

    def gain(patient: Patient, fold: str) -> int:
        """Return how many more folds the groups of a patient would have."""
        own = [count[group] for group in of[patient]]
        return sum(not one[fold] for one in own) - sum(one[folds[patient]] == 1 for one in own)

    def move() -> bool:
        for group in sorted(large, key=lambda group: (len(large[group]), group)):
            for fold in FOLDS:
                free = [member for member in large[group] if member not in fixed and folds[member] != fold]
                if count[group][fold] or not free:
                    continue
                best = max(reversed(free), key=lambda member: gain(member, fold))
                if gain(best, fold) > 0:
                    for one in of[best]:
                        count[one][folds[best]] -= 1
                        count[one][fold] += 1
                    folds[best] = fold
                    return True
        return False

    while move():
        pass
