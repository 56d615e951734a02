"""Compare a dataset with its prepared folder, and say in one line what is different."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .journal import JOURNAL, Asked, Journal, Record, read_journal
from .layout import (
    DATALIST,
    FOLDS,
    PROVENANCE,
    Read,
    image_digest,
    is_unchanged,
    prepared_records,
    read_datalist,
    read_provenance,
)
from .made_from import differing_file, read_files
from .source import Job, Source

__all__ = ["SETTINGS", "Earlier", "Kept", "plain", "read_earlier"]

# setting -> its name in a line
SETTINGS = {"size": "size", "sector": "sector:", "spacing": "spacing", "window": "window", "versions": "version of"}
# keys of provenance.json that follow from the images, or do not matter
CONSEQUENCES = {"images", "checksum", "digests", "versions", "size", "request", "sector", "intensity"}
SHOWN = 3  # names in a line
MOVED = 20  # patients in a line whose folds somebody edited


def plain(value: Any) -> Any:
    """Return a value as JSON gives it back."""
    return json.loads(json.dumps(value))


@dataclass(frozen=True)
class Kept:
    """What can be kept of an earlier preparation.

    Args:
        records: by id, with the folder that holds the image.
        reasons: why the others must be prepared: reason -> names.
    """

    records: dict[str, tuple[Record, Path]] = field(default_factory=dict)
    reasons: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Earlier:
    """The prepared folder as it is, or an interrupted preparation.

    Args:
        folder: of the images.
        journal: what they were made from.
        provenance: empty if the folder is not complete.
        items: of the datalist, with paths as they are stored.
        damaged: name of the file, datalist or provenance, that cannot be read and follows from the other.
    """

    folder: Path
    journal: Journal
    provenance: Mapping[str, Any] = field(default_factory=dict)
    items: Sequence[Mapping[str, Any]] = ()
    damaged: str = ""

    def keep(
        self,
        kept: Kept,
        settings: Mapping[str, Any],
        jobs: Iterable[Job],
        asked: Callable[[Job], Asked],
        read: Read,
    ) -> None:
        """Add to `kept` what is as it was, and the reasons for what is not.

        Args:
            kept: is changed; what it has is not looked at.
            settings: of the preparation.
            jobs: of the source.
            asked: returns `Record.asked` of a job.
            read: reads a prepared image and its annotation from their files.
        """
        whole = not self.provenance or self._has_whole_journal()
        if self.items and not whole:
            self._check_unchanged(read)
        present = {path.relative_to(self.folder).as_posix(): path for path in self.folder.glob("*/*")}
        stated = {
            key: self.provenance[key] for key in ("size", "versions") if key in settings and key in self.provenance
        }
        if whole:
            differing = _differing({**self.journal.settings, **stated}, settings)
        else:
            lost = f"{JOURNAL} is missing or cut off"
            differing = lost if "digests" in self.provenance else "prepared by an earlier version"
        written = (self.folder / JOURNAL).stat().st_mtime_ns if whole and self.items else None
        for job in jobs:
            if job.id in kept.records:
                continue
            record = self.journal.records.get(job.id)
            if differing or record is None:
                reason = differing or "new"
            else:
                reason = _reason(job, record, asked(job)) or _state(record, present, written, read)
            if reason or record is None:
                kept.reasons.setdefault(reason, []).append(job.id)
            else:
                kept.records[job.id] = record, self.folder

    def _has_whole_journal(self) -> bool:
        try:
            return bool(prepared_records(self.folder))
        except ValueError:
            return False

    def _check_unchanged(self, read: Read) -> None:
        """Refuse a folder without journal, of an earlier version, whose content is not what was prepared."""
        try:
            if is_unchanged(self.folder, self.items, read):
                return
        except (OSError, ValueError):
            return  # damaged: prepared again
        raise FileExistsError(
            f"{self.folder} was changed after it was prepared, and has no journal that says where; "
            "to discard the changes remove it."
        )

    def folds(self, source: Source) -> dict[tuple[str, str], str]:
        """Return the folds of its patients; of a dataset that was renamed, too."""
        assigned = self.provenance.get("folds", {})
        folds = {(dataset, name): fold for dataset, own in assigned.items() for name, fold in own.items()}
        folds |= {(item["dataset"], item["patient"]): item["fold"] for item in self.items}
        before, now = list(self.provenance.get("label_sets", {})), list(source.label_sets)
        if len(before) == len(now) == 1:
            folds = {(now[0], name): fold for (_, name), fold in folds.items()}
        return {patient: fold for patient, fold in folds.items() if fold in FOLDS}

    def line(self, kept: Kept, items: Sequence[Mapping[str, Any]], provenance: Mapping[str, Any]) -> str:
        """Say what is different from the items and the provenance that the source gives now; empty for nothing.

        Args:
            kept: of this folder.
            items: of the images that are kept.
            provenance: likewise.
        """
        reasons = {reason: names for reason, names in kept.reasons.items() if names}
        known = {Path(item["image"]).stem for item in self.items} | self.journal.records.keys()
        there = kept.records.keys() | {name for names in reasons.values() for name in names}
        if gone := sorted(known - there):
            reasons["gone"] = gone
        before = {item["image"]: item for item in self.items}
        facts: dict[str, list[str]] = {}
        for item in plain(list(items)):
            old = before.get(item["image"], item)
            for key in sorted(key for key in item.keys() | old.keys() if item.get(key) != old.get(key)):
                facts.setdefault(key, []).append(Path(item["image"]).stem)
        parts = [f"{self.damaged} is damaged"] if self.damaged else []
        parts += [f"{reason}: {_listed(names)}" for reason, names in reasons.items()]
        parts += [f"{key} of {_listed(names)}" for key, names in facts.items()]
        now = plain(dict(provenance))
        if moved := _moved(self.provenance.get("folds", {}), now["folds"]):
            parts.append(f"folds edited in {DATALIST}: {moved}")
        stated = (now.keys() | self.provenance.keys()) - CONSEQUENCES - self.journal.settings.keys()
        stated -= ({"skipped", "folds"} if reasons else set()) | ({"folds"} if moved else set())
        stated -= stated if self.damaged == PROVENANCE else set()
        for key in sorted(key for key in stated if now.get(key) != self.provenance.get(key)):
            values = [facts.get(key) for facts in (self.provenance, now)]
            scalar = all(isinstance(value, int | float | str | list) and len(str(value)) < 40 for value in values)
            parts.append(f"{key} {values[0]} -> {values[1]}" if scalar else key)
        if not parts and [item["image"] for item in items] != list(before):
            parts.append("order of the images")
        return "; ".join(parts)


def read_earlier(out: Path, source: Source) -> Earlier | None:
    """Read the prepared folder that is there; None if there is none.

    Raises:
        FileExistsError: if it is not a prepared folder, or that of another dataset.
    """
    if not out.exists():
        return None
    if not (out / PROVENANCE).is_file():
        raise FileExistsError(f"{out} exists and is not a prepared folder; choose another folder.")
    journal = read_journal(out)
    provenance: dict[str, Any] = {}
    damaged: list[str] = []
    try:
        provenance = read_provenance(out)
        holds, expected = provenance["source"], source.name
    except (KeyError, TypeError, ValueError):
        provenance = {}
        damaged.append(PROVENANCE)
    try:
        items = _stored(out)
    except (OSError, KeyError, TypeError, ValueError):
        items = _recorded(journal, provenance)
        damaged.append(DATALIST)
    if PROVENANCE in damaged:
        if DATALIST not in damaged and any(Path(item["image"]).stem not in journal.records for item in items):
            damaged.append(JOURNAL)
        if len(damaged) > 1:
            raise ValueError(
                f"{out}: {' and '.join(damaged)} are damaged; remove the folder, and run the command again."
            )
        holds = ", ".join(sorted({item["dataset"] for item in items}))
        expected = ", ".join(sorted(source.label_sets))
    before, now = (facts.get("request") or {} for facts in (provenance, source.facts))
    same_command = bool(now) and all(before.get(key) == now.get(key) for key in ("name", "source", "prepared"))
    if holds != expected and not same_command:
        raise FileExistsError(f"{out} holds the dataset {holds!r}, not {expected!r}; choose another folder.")
    return Earlier(out, journal, provenance, items, "".join(damaged))


def _stored(out: Path) -> list[dict[str, Any]]:
    """Return the items of a datalist, with paths as they are stored."""
    root = out.resolve()
    return [
        {**item, **{key: Path(item[key]).relative_to(root).as_posix() for key in ("image", "label")}}
        for item in read_datalist(out)
    ]


def _recorded(journal: Journal, provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the items of a journal, with the folds of the provenance: the datalist as it was prepared."""
    folds = provenance.get("folds", {})
    items = [record.item for record in journal.records.values() if record.item]
    return [{**item, "fold": item.get("fold") or folds.get(item["dataset"], {}).get(item["patient"])} for item in items]


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    parts = []
    for key, name in SETTINGS.items():
        old, new = before.get(key), plain(now.get(key))
        if old == new:
            continue
        if key == "versions":
            old = old if isinstance(old, dict) else {}
            parts += [f"{name} {library}" for library in new if old.get(library) != new[library]]
        else:
            parts.append(f"{name} {old} -> {new}")
    return ", ".join(parts)


def _reason(job: Job, record: Record, asked: Asked) -> str:
    """Say why an image must be prepared again; empty if it is as it was."""
    if record.asked.reader != asked.reader:
        return "new version of the reader"
    if record.asked != asked:
        return "read in another way"
    paths = read_files(job.read)
    if len(paths) != len(record.files):
        return "other files"
    if differing_file(paths, record.files):
        return "changed file"
    return ""


def _state(record: Record, present: Mapping[str, Path], written: int | None, read: Read) -> str:
    """Say what happened to a prepared image; empty if it is whole.

    Args:
        record: of the image.
        present: images and annotations of the folder.
        written: time at which the folder was complete, ns; None if it is not, since a process was killed there.
        read: reads an image and its annotation.

    Raises:
        FileExistsError: if somebody has changed it: that may be work that must not be lost.
    """
    if record.item is None:
        return ""
    names = [record.item[key] for key in ("image", "label")]
    if missing := [name for name in names if name not in present]:
        return f"missing {missing[0].partition('/')[0]}"
    if written is not None and all(_changed(present[name]) <= written for name in names):
        return ""
    try:
        image, label = read(*(present[name] for name in names))
    except (OSError, ValueError):
        return "damaged in the prepared folder"
    if image_digest(image, label, {}) != record.pixels:
        if written is None:
            return "half written"
        raise FileExistsError(
            f"{present[names[0]]} or its annotation {names[1]} was changed after it was prepared; correct the source "
            "instead, or move the changed file elsewhere, and run the command again."
        )
    return ""


def _changed(path: Path) -> int:
    """Return the time at which a file was changed, ns, even if somebody set its date back."""
    state = path.stat()
    return max(state.st_mtime_ns, state.st_ctime_ns)


def _moved(before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> str:
    """Name the patients whose fold is another, with both; empty for none."""
    moved = [
        f"{patient} {before[dataset][patient]} -> {fold}"
        for dataset, own in now.items()
        for patient, fold in own.items()
        if before.get(dataset, {}).get(patient, fold) != fold
    ]
    return ", ".join([*moved[:MOVED], *([f"{len(moved) - MOVED} more"] if len(moved) > MOVED else [])])


def _listed(names: Sequence[str]) -> str:
    if len(names) > SHOWN:
        return f"{len(names)} images"
    return ", ".join(names)
