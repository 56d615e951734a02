"""Prepare a source: read every image, blacken what is outside the ultrasound sector, squash it, write the folder.

The work is done in OUT.partial, which is renamed when complete: a folder that exists is whole. Re-running the command
resumes interrupted work. An image that cannot be read is left out, with the reason in provenance.json; a failure to
write (a full disk) stops the preparation and loses nothing.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from ...atomic import write_text
from ...identity import digest
from ...label_sets import IGNORE, by_value
from .layout import DATALIST, PROVENANCE, image_digest
from .source import Frame, Job, Source, check_case

if TYPE_CHECKING:
    from ..sector.finder import FoundSector

__all__ = ["prepare"]

SIZES = (16, 4096)  # rows and columns
SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
LOCK_TIMEOUT = 5  # seconds: workers of a killed process need a moment to exit
LIBRARIES = ("pillow", "numpy", "scipy", "itk", "nibabel", "av", "pydicom")  # can affect the pixels

SectorFinder: TypeAlias = "Callable[[NDArray[np.uint8], NDArray[np.float32] | None], FoundSector | None]"


@dataclass(frozen=True)
class _Done:
    """Result of one job: the item of the datalist and the digest of its content, or the reason it was left out."""

    id: str
    item: dict[str, Any] | None = None
    digest: str = ""
    reason: str = ""


def prepare(
    source: Source,
    out: Path,
    size: int,
    workers: int = 0,
    strict: bool = False,
    sector_finder: SectorFinder | None = None,
) -> list[dict[str, Any]]:
    """Read every image of `source`, squash it to (size, size) and write the prepared folder `out`.

    Args:
        source: the dataset.
        out: the prepared folder; it must not exist.
        size: rows and columns of the prepared images.
        workers: processes; 0 starts one per core, 1 works in this process.
        strict: stop at the first image that cannot be read instead of leaving it out.
        sector_finder: finds the ultrasound sector, given the image and its motion; pixels outside become 0. None
            keeps all.

    Returns:
        The items of the datalist, in the order of the source; images left out are added to `source.skipped`.

    Raises:
        FileExistsError: if `out` exists, or the interrupted work had other settings.
        RuntimeError: if another process is preparing `out`, or a worker process died.
        ValueError: if there is nothing to prepare, or, with `strict`, an image cannot be read.
        OSError: if the folder cannot be written.
    """
    _check(source, out, size)
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = out.with_name(f"{out.name}.lock")
    try:
        with FileLock(lock, timeout=LOCK_TIMEOUT):
            try:
                _check(source, out, size)
                return _prepare(source, out, size, workers or os.cpu_count() or 1, strict, sector_finder)
            finally:
                lock.unlink(missing_ok=True)
    except Timeout as error:
        raise RuntimeError(f"another process is preparing {out}; wait for it or choose another folder.") from error


def _check(source: Source, out: Path, size: int) -> None:
    if out.exists():
        raise FileExistsError(f"{out} exists; remove it, or prepare into another folder.")
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size is {size}, expected {SIZES[0]} to {SIZES[1]} rows and columns.")
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


def _prepare(
    source: Source, out: Path, size: int, workers: int, strict: bool, sector_finder: SectorFinder | None
) -> list[dict[str, Any]]:
    unfinished = out.with_name(f"{out.name}.partial")
    plain = {name: fact for name, fact in source.facts.items() if isinstance(fact, int | float)}  # such as a seed
    settings = {"source": source.name, **plain, "size": size, "sector": repr(sector_finder), "versions": _versions()}
    journal = unfinished / "journal.jsonl"
    done = _resume(journal, settings, source.jobs)
    waiting = [job for job in source.jobs if job.id not in done]
    skipped: dict[str, str] = {}
    structures = {
        name: [value for value, names in by_value(meaning).items() if not {"background", IGNORE} & set(names)]
        for name, meaning in source.label_sets.items()
    }
    write = partial(_write, folder=unfinished, size=size, sector_finder=sector_finder, structures=structures)
    try:
        with (
            journal.open("a") as log,
            tqdm(desc=f"prepare {source.name}", unit=" images", total=len(source.jobs), initial=len(done)) as progress,
        ):
            for one in _each(write, waiting, workers):
                if one.item is None and strict:
                    raise ValueError(f"{one.id}: {one.reason}")
                if one.item is None:
                    skipped[one.id] = one.reason
                else:
                    done[one.id] = one
                    log.write(json.dumps(vars(one)) + "\n")
                    log.flush()
                progress.update()
        if not done:
            name, reason = next(iter(skipped.items()))
            raise ValueError(f"{source.name}: none of {len(source.jobs)} images can be used; {name}: {reason}")
    except BaseException:
        if not done:
            shutil.rmtree(unfinished, ignore_errors=True)
        raise
    source.skipped.update(skipped)
    finished = [done[job.id] for job in source.jobs if job.id in done]
    items = [one.item for one in finished if one.item is not None]
    _complete(unfinished, source, size, items, [one.digest for one in finished])
    unfinished.rename(out)
    return items


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def _resume(journal: Path, settings: dict[str, Any], jobs: Iterable[Job]) -> dict[str, _Done]:
    """Read the results of an interrupted preparation, or start a journal."""
    folder = journal.parent
    lines = journal.read_text().splitlines() if journal.is_file() else []
    if not lines:
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("images", "labels"):
            (folder / name).mkdir(parents=True)
        journal.write_text(json.dumps(settings) + "\n")
        return {}
    begun, *records = map(_parse, lines)
    if begun != settings:
        differing = [key for key in settings if begun.get(key) != settings[key]]
        raise FileExistsError(
            f"{folder} holds an interrupted preparation with another {' and '.join(differing)}; "
            "finish it with its own settings, or remove it."
        )
    written = {record["id"]: record for record in records if "id" in record}  # the last one counts
    done: dict[str, _Done] = {}
    for job in jobs:
        record = written.get(job.id)
        expected = json.loads(json.dumps(dict(job.item)))
        if record is None or any(record["item"].get(key) != value for key, value in expected.items()):
            continue  # not finished, or the source has changed
        if all((folder / record["item"][key]).is_file() for key in ("image", "label")):
            done[job.id] = _Done(**record)
    with journal.open("a") as log:
        log.write("\n")  # the last line may be cut off
    return done


def _parse(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _each(write: Callable[[Job], _Done], jobs: list[Job], workers: int) -> Iterator[_Done]:
    """Run the jobs in worker processes, a few at a time; yield results as they are ready."""
    if workers == 1:
        yield from map(write, jobs)
        return
    rest = iter(jobs)
    running: dict[Future[_Done], str] = {}
    pool = ProcessPoolExecutor(workers, initializer=_leave_with_parent)
    try:
        while True:
            for job in islice(rest, 4 * workers - len(running)):
                running[pool.submit(write, job)] = job.id
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield future.result()
                del running[future]
    except BrokenProcessPool as error:
        raise RuntimeError(
            f"a worker process died (out of memory?) while reading one of {sorted(running.values())}; "
            "finished images are kept; run the same command again."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_with_parent() -> None:
    """Exit when the main process is killed; only the main process reacts to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _write(
    job: Job, folder: Path, size: int, sector_finder: SectorFinder | None, structures: Mapping[str, Sequence[int]]
) -> _Done:
    try:
        frame = job.read()
    except (ValueError, OSError, MemoryError) as error:
        return _Done(job.id, reason=str(error) or type(error).__name__)
    item = dict(job.item)
    if sector_finder is not None:
        frame, found = _blacken(frame, sector_finder, structures[item["dataset"]])
        item |= found
    frame = frame.resized(size)
    names = {"image": f"images/{job.id}.png", "label": f"labels/{job.id}.png"}
    for name, pixels in zip(names.values(), (frame.image, frame.label), strict=True):
        try:
            Image.fromarray(pixels).save(folder / name)
        except OSError as error:
            raise OSError(
                error.errno, f"{error.strerror or error}; finished images are kept", str(folder / name)
            ) from error
    values = np.unique(frame.label).tolist()
    spacing = None if frame.spacing is None else list(frame.spacing)
    content = image_digest(frame.image, frame.label, item)
    return _Done(job.id, {**names, **item, "spacing": spacing, "values": values}, content)


def _blacken(frame: Frame, sector_finder: SectorFinder, structures: Sequence[int]) -> tuple[Frame, dict[str, Any]]:
    """Blacken the pixels outside the sector; return how it was found and how much of the structures is outside, too."""
    found = sector_finder(frame.image, frame.motion)
    if found is None:
        return frame, {"sector": None}
    drawn = np.isin(frame.label, structures)
    outside = drawn & ~found.mask
    facts = {
        "sector": {"method": found.method, "confidence": round(found.confidence, 3)},
        "outside_sector": round(float(outside.sum() / max(1, np.count_nonzero(drawn))), 4),
    }
    return replace(frame, image=np.where(found.mask, frame.image, 0).astype(np.uint8)), facts


def _complete(folder: Path, source: Source, size: int, items: list[dict[str, Any]], digests: list[str]) -> None:
    kept = {item[key] for item in items for key in ("image", "label")}
    for name in ("images", "labels"):  # delete what an interrupted preparation wrote and the source no longer has
        for path in (folder / name).iterdir():
            if f"{name}/{path.name}" not in kept:
                path.unlink()
    provenance = {
        "source": source.name,
        "licence": source.licence,
        "citation": source.citation,
        "size": size,
        "images": len(items),
        "checksum": digest(*sorted(digests)),  # independent of the order
        "label_sets": {name: by_value(meaning) for name, meaning in source.label_sets.items()},
        "skipped": source.skipped,
        "versions": _versions(),
        **source.facts,
    }
    write_text(folder / DATALIST, json.dumps(items, indent=1) + "\n")
    write_text(folder / PROVENANCE, json.dumps(provenance, indent=2) + "\n")
    (folder / "journal.jsonl").unlink()
