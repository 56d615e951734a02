"""Assign patients to folds: 80 % training, 10 % validation, 10 % test, in every dataset and every label set of it.

What a source states (an official split, a column `fold`) stays, and so does what was assigned before: a patient never
moves. The others are ranked by a hash of their names, so the order of the images does not matter: the last tenth tests,
the tenth before it validates. Then as few of them as possible move until each dataset, and each label set in it (what
an image leaves unlabelled), has patients in all three folds, if it has three patients; two patients train and validate.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ...identity import hashed
from .layout import FOLDS

__all__ = ["Patient", "assign", "missing_folds"]

TRIED = 50  # patients of a group, for moves of two

Patient = tuple[str, str]  # dataset and name
Group = tuple[str, str]  # dataset, and what the images leave unlabelled in words; "" for all of its images


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
    _Repair(_groups(items), folds, fixed).run()
    return {patient: folds[patient] for patient in patients}


def missing_folds(items: Iterable[Mapping[str, Any]], folds: Mapping[Patient, str]) -> list[str]:
    """Return a line for every dataset or label set that lacks a fold.

    Example:
        >>> missing_folds([{"dataset": "a", "patient": "p"}], {("a", "p"): "training"})
        ['a has no patient for validation and test: 1 patient, three are needed']
    """
    lines: dict[Group, str] = {}
    for (dataset, label_set), members in _groups(items).items():
        missing = [fold for fold in FOLDS if fold not in {folds[member] for member in members}]
        if missing and (dataset, "") not in lines:
            count = f"{len(members)} patient{'s' * (len(members) != 1)}"
            few = ", three are needed" * (len(members) < len(FOLDS))
            lines[dataset, label_set] = f"{dataset}{label_set} has no patient for {' and '.join(missing)}: {count}{few}"
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
        unlabelled = ", ".join(sorted(item.get("unlabelled") or ()))
        for label_set in ("", f" without {unlabelled}" if unlabelled else " with every structure"):
            groups[item["dataset"], label_set].add((item["dataset"], item["patient"]))
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


class _Repair:
    """Move new patients while that fills a fold that a dataset or label set of three patients or more lacks.

    Args:
        groups: their patients.
        folds: of all patients; is changed.
        fixed: patients who must not move.
    """

    def __init__(
        self, groups: Mapping[Group, Sequence[Patient]], folds: dict[Patient, str], fixed: Collection[Patient]
    ) -> None:
        self.groups = {group: members for group, members in groups.items() if len(members) >= len(FOLDS)}
        self.folds = folds
        self.count = {group: Counter(folds[member] for member in members) for group, members in self.groups.items()}
        self.of: defaultdict[Patient, list[Group]] = defaultdict(list)
        self.free = {
            group: [member for member in reversed(members) if member not in fixed]
            for group, members in sorted(self.groups.items(), key=lambda entry: len(entry[1]))
        }
        for group, members in self.groups.items():
            for member in members:
                self.of[member].append(group)

    def run(self) -> None:
        """Move one patient after the other, or two at once where one alone would empty another fold."""
        while any(self._fill(group, fold) for group in self.free for fold in FOLDS if not self.count[group][fold]):
            pass

    def _fill(self, group: Group, fold: str) -> bool:
        free = self.free[group]
        if not free:
            return False
        best = max(free, key=lambda member: self._gain(member, fold))
        if self._gain(best, fold) > 0:
            self._move(best, fold)
            return True
        for first in free[:TRIED]:
            loss, before = self._gain(first, fold), self.folds[first]
            self._move(first, fold)
            for second in dict.fromkeys(member for one in self.of[first] for member in self.free[one][:TRIED]):
                for other in FOLDS:
                    if second != first and self._gain(second, other) + loss > 0:
                        self._move(second, other)
                        return True
            self._move(first, before)
        return False

    def _gain(self, patient: Patient, fold: str) -> int:
        """Return how many more folds the groups of a patient would have."""
        if fold == self.folds[patient]:
            return 0
        own = [self.count[group] for group in self.of[patient]]
        return sum(not one[fold] for one in own) - sum(one[self.folds[patient]] == 1 for one in own)

    def _move(self, patient: Patient, fold: str) -> None:
        for group in self.of[patient]:
            self.count[group][self.folds[patient]] -= 1
            self.count[group][fold] += 1
        self.folds[patient] = fold
