"""Prepare a source: read every image, bring it into the form of the folder, write the folder.

The work is done in OUT.partial, which takes the place of OUT when complete: a folder that exists is whole, and a kill
at any moment leaves the old or the new one. Re-running the command resumes interrupted work, does nothing when nothing
has changed, and otherwise prepares again what has: what each image was made from is in its journal. An image that
cannot be read is left out, with the reason in provenance.json; a failure to write (a full disk) stops the preparation
and loses nothing.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from ...atomic import remove_partial_files, write_text
from ...identity import digest
from ...label_sets import IGNORE, by_value
from .changes import Earlier, Kept, plain, read_earlier
from .folds import assign, missing_folds
from .image_job import Form, Task, with_facts, write
from .journal import JOURNAL, Asked, Record, read_journal
from .layout import DATALIST, PROVENANCE
from .made_from import arguments_digest, reader_digest
from .pictures.form import Pictures, SectorFinder
from .replacing import check_own, partial_folder, remove_partial, replace_folder, settle
from .source import Job, Source, check_case
from .workers import each

__all__ = ["prepare", "prepare_in"]

SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
LOCK_TIMEOUT = 5  # seconds: workers of a killed process need a moment to exit


def prepare(
    source: Source,
    out: Path,
    size: int | None,
    workers: int = 0,
    strict: bool = False,
    sector_finder: SectorFinder | None = None,
) -> list[dict[str, Any]]:
    """Read every image of `source`, squash it to (size, size) and write the prepared folder `out`.

    A prepared folder of the same dataset is brought up to date: only images that have changed are read again, patients
    stay in their folds, and one line says what changed and why.

    Args:
        source: the dataset.
        out: the prepared folder.
        size: rows and columns of the prepared images; None keeps the rows and columns of each.
        workers: processes; 0 starts one per core, 1 works in this process.
        strict: stop at the first image that cannot be read instead of leaving it out.
        sector_finder: finds the ultrasound sector, given the image and its motion; pixels outside become 0. None
            keeps all.

    Returns:
        The items of the datalist, in the order of the source; images left out are added to `source.skipped`.

    Raises:
        FileExistsError: if `out` is not a prepared folder of this dataset, or holds files of somebody else.
        RuntimeError: if another process is preparing `out`, or a worker process died.
        ValueError: if there is nothing to prepare, or, with `strict`, an image cannot be read.
        OSError: if the folder cannot be written.
    """
    structures = {
        name: [value for value, names in by_value(meaning).items() if not {"background", IGNORE} & set(names)]
        for name, meaning in source.label_sets.items()
    }
    return prepare_in(Pictures(size, sector_finder, structures), source, out, workers, strict)


def prepare_in(form: Form, source: Source, out: Path, workers: int = 0, strict: bool = False) -> list[dict[str, Any]]:
    """Read every image of `source` and write the prepared folder `out` in the given form; else as `prepare`."""
    out = out.resolve() if out.is_symlink() else out
    _check(source)
    read_earlier(out, source)
    work = _Work(form, source, out, workers or os.cpu_count() or 1, strict)
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = out.with_name(f"{out.name}.lock")
    try:
        with FileLock(lock, timeout=LOCK_TIMEOUT):
            try:
                settle(out)
                return work.update(read_earlier(out, source))
            finally:
                lock.unlink(missing_ok=True)
    except Timeout as error:
        raise RuntimeError(f"another process is preparing {out}; wait for it or choose another folder.") from error


def _check(source: Source) -> None:
    if not source.jobs:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in islice(source.skipped.items(), 3)) or "nothing"
        raise ValueError(f"{source.name}: no image to prepare; left out ({len(source.skipped)}): {reasons}.")
    for dataset, meaning in source.label_sets.items():
        for value, names in by_value(meaning).items():
            check_case(names, f"value {value} of '{dataset}'")
    seen: set[str] = set()
    for job in source.jobs:
        if not SAFE_NAME.fullmatch(job.id) or job.id.lower() in seen:
            raise ValueError(f"{source.name}: {job.id!r} is not a valid or not a unique file name.")
        seen.add(job.id.lower())  # some file systems ignore case


@dataclass(frozen=True)
class _Work:
    """One preparation; the arguments are those of `prepare_in`."""

    form: Form
    source: Source
    out: Path
    workers: int
    strict: bool
    skipped: dict[str, str] = field(default_factory=dict)  # by the reader

    def __post_init__(self) -> None:
        self.skipped.update(self.source.skipped)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What decides the content of every image beside its own files and arguments."""
        versions = {}
        for name in self.form.libraries:
            with suppress(PackageNotFoundError):  # some are needed for some formats alone
                versions[name] = version(name)
        return {**self.form.settings, "versions": versions}

    @property
    def partial(self) -> Path:
        """The folder in which the work is done."""
        return partial_folder(self.out)

    def asked(self, job: Job) -> Asked:
        """Return what decides the content of an image beside its files and the settings."""
        own = self.form.settings_of(job.item["dataset"])
        return Asked(digest(arguments_digest(job.read), own), reader_digest(job.read, self.form.resampling))

    def update(self, earlier: Earlier | None) -> list[dict[str, Any]]:
        """Prepare what is not in the earlier folder, or in an interrupted preparation, as it must be."""
        kept = Kept()
        if earlier is not None:
            earlier.keep(kept, self.settings, self.source.jobs, self.asked, self.form.read)
            for name in [name for name, (record, _) in kept.records.items() if self.strict and record.item is None]:
                kept.reasons.setdefault("left out before", []).append(name)
                del kept.records[name]
            jobs = [job for job in self.source.jobs if job.id in kept.records]
            items, provenance = self._result(
                {job.id: with_facts(job, kept.records[job.id][0], self.form) for job in jobs}, earlier
            )
            changes = earlier.line(kept, items, provenance)
            if not changes:
                remove_partial(self.partial)
                print(f"{self.out}: nothing changed.")
                return self._said(items, provenance)
            check_own(self.out, earlier.items)
            print(f"{self.out}: prepared again ({changes})")
        done = self._read(self._resume(kept))
        items, provenance = self._result(done, earlier)
        self._complete(done, items, provenance)
        replace_folder(self.partial, self.out)
        return self._said(items, provenance)

    def _said(self, items: list[dict[str, Any]], provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Say which folds the assignment left empty, and let the source know what was left out."""
        own = [item for item in items if item["dataset"] in provenance["folds"]]
        for line in missing_folds(own, {(item["dataset"], item["patient"]): item["fold"] for item in own}):
            print(f"  {line}")
        self.source.skipped.update(provenance["skipped"])
        return items

    def _resume(self, kept: Kept) -> dict[str, tuple[Record, Path]]:
        """Return the records that can be kept, those of an interrupted preparation first; start its journal anew."""
        journal, begun = read_journal(self.partial), Kept()
        if fresh := journal.settings != plain(self.settings):
            if journal.records:
                print(f"{self.partial}: an interrupted preparation with other settings; begun again")
            remove_partial(self.partial)
        for name in ("images", "labels"):  # the deletion of a folder may have been interrupted
            (self.partial / name).mkdir(parents=True, exist_ok=True)
        if fresh:
            (self.partial / JOURNAL).write_text(json.dumps(self.settings) + "\n", encoding="utf-8")
        else:
            Earlier(self.partial, journal).keep(begun, self.settings, self.source.jobs, self.asked, self.form.read)
        return {**kept.records, **begun.records}

    def _read(self, known: Mapping[str, tuple[Record, Path]]) -> dict[str, Record]:
        """Prepare every image that is not finished; return all records."""
        done: dict[str, Record] = {}
        tasks: list[Task] = []
        for job in self.source.jobs:
            record, place = known.get(job.id, (None, self.partial))
            if record is None:
                tasks.append((job, self.asked(job), None))
            elif place == self.partial and with_facts(job, record, self.form) == record:
                done[job.id] = record
            else:
                tasks.append((job, self.asked(job), (record, place)))
        work = partial(write, folder=self.partial, form=self.form)
        total, name = len(self.source.jobs), self.source.name
        try:
            with (
                (self.partial / JOURNAL).open("a", encoding="utf-8") as log,
                tqdm(desc=f"prepare {name}", unit=" images", total=total, initial=len(done)) as progress,
            ):
                log.write("\n")  # the last line may be cut off
                for record in each(work, tasks, [job.id for job, *_ in tasks], self.workers):
                    if record.item is None and self.strict:
                        raise ValueError(f"{record.id}: {record.reason}")
                    done[record.id] = record
                    log.write(record.line())
                    log.flush()
                    progress.update()
            if not any(record.item for record in done.values()):
                first = next(iter(done.values()))
                raise ValueError(f"{name}: none of {total} images can be used; {first.id}: {first.reason}")
        except BaseException:
            if not any(record.item for record in done.values()):
                remove_partial(self.partial)
            raise
        return done

    def _result(
        self, records: Mapping[str, Record], earlier: Earlier | None
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return datalist and provenance of the images that have a record."""
        finished = [records[job.id] for job in self.source.jobs if job.id in records]
        usable = [(record, record.item) for record in finished if record.item is not None]
        folds = assign((item for _, item in usable), earlier.folds(self.source) if earlier else None)
        items = [{**item, "fold": folds[item["dataset"], item["patient"]]} for _, item in usable]
        stated = {(item["dataset"], item["patient"]) for _, item in usable if item.get("fold")}
        assigned = defaultdict[str, dict[str, str]](dict, plain(earlier.provenance.get("folds", {})) if earlier else {})
        for (dataset, patient), fold in folds.items():
            if (dataset, patient) not in stated:
                assigned[dataset][patient] = fold
        content = [record.content.get(item["fold"], "") for (record, _), item in zip(usable, items, strict=True)]
        files = [state[3] for record, _ in usable for state in record.files]
        provenance = {
            "source": self.source.name,
            "licence": self.source.licence,
            "citation": self.source.citation,
            **self.form.stated(items),
            "images": len(items),
            "checksum": digest(*sorted(content)),  # independent of the order
            "digests": {
                "pixels": digest(*sorted(record.pixels for record, _ in usable)),
                "files": digest(*sorted(files)) if files else None,
                "names": digest(*sorted(f"{item['dataset']}/{Path(item['image']).stem}\n" for item in items)),
                "spacings": digest(*sorted(f"{item['image']} {item['spacing']}\n" for item in items)),
            },
            "label_sets": {name: by_value(meaning) for name, meaning in self.source.label_sets.items()},
            "folds": {dataset: dict(sorted(own.items())) for dataset, own in assigned.items() if own},
            "skipped": {**self.skipped, **{record.id: record.reason for record in finished if record.item is None}},
            "versions": {"python": platform.python_version(), **self.settings["versions"]},
            **self.source.facts,
        }
        return items, provenance

    def _complete(self, done: Mapping[str, Record], items: list[dict[str, Any]], provenance: dict[str, Any]) -> None:
        kept = {item[key] for item in items for key in ("image", "label")}
        for name in ("images", "labels"):  # delete what an interrupted preparation wrote and the source no longer has
            for path in (self.partial / name).iterdir():
                if f"{name}/{path.name}" not in kept:
                    path.unlink()
        remove_partial_files(self.partial)
        write_text(self.partial / DATALIST, json.dumps(items, indent=1) + "\n")
        write_text(self.partial / PROVENANCE, json.dumps(provenance, indent=2) + "\n")
        lines = [json.dumps(self.settings) + "\n", *(done[job.id].line() for job in self.source.jobs)]
        write_text(self.partial / JOURNAL, "".join(lines))  # last: no image is newer
