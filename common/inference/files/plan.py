"""Plan a run over files: what is read, where its results go, and what an earlier run has finished."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ...atomic import remove_partial_files, write_text
from ...datasets.files.scan_reader import scan_files
from ...identity import fingerprint

__all__ = ["SUFFIX", "Plan"]

LOCK = ".measuring.lock"  # in the folder of results
RESULTS = "results"  # in a record: name of a file -> digest, None while it is written
SUFFIX = re.compile(r"\.(nii\.gz|[a-z0-9]{2,5})$", re.IGNORECASE)


class Plan:
    """The files of a run and the records of those that are finished.

    A scan `a/b.nii.gz` of the input folder has the record `a/b.json`; it is written last, so it marks the scan as
    finished. A scan is repeated if its file, what determines the results, or a result has changed. The folder of a
    DICOM series is a scan, too.

    Args:
        source: file or folder that is read.
        folder: where results go.
        made_by: what determines the results: weights, sizes, options.
        find: lists the scans of `source`, without those in `folder`.
    """

    def __init__(
        self,
        source: str | Path,
        folder: str | Path,
        made_by: Mapping[str, Any],
        find: Callable[[Path, Path], list[Path]] = scan_files,
    ) -> None:
        self.source = Path(source)
        self.folder = Path(folder)
        self.made_by = dict(made_by)
        self.find = find

    @cached_property
    def files(self) -> list[Path]:
        """All scans, sorted.

        Raises:
            FileNotFoundError: if there are none.
        """
        if files := self.find(self.source, self.folder):
            return files
        raise FileNotFoundError(
            f"{self.source}: expected DICOM, AVI, MP4, NIfTI, MetaImage, PNG or JPEG files, got none."
        )

    @cached_property
    def outs(self) -> dict[Path, Path]:
        """File -> path of its results, without suffix."""
        named = [self.name(path) for path in self.files]
        stems = [
            name if path.is_dir() else name.with_name(SUFFIX.sub("", name.name) or name.name)
            for path, name in zip(self.files, named, strict=True)
        ]
        return {
            path: self.folder / (stem if stems.count(stem) == 1 else stem.with_name(path.name))
            for path, stem in zip(self.files, stems, strict=True)
        }

    @cached_property
    def records(self) -> dict[Path, dict[str, Any]]:
        """File -> record that an earlier run left, if a new one would be the same."""
        return {path: record for path in self.files if (record := self._finished(path)) is not None}

    @property
    def unfinished(self) -> list[Path]:
        """The files that this run has to read."""
        return [path for path in self.files if path not in self.records]

    def name(self, path: Path) -> Path:
        """Return the path of a scan below the source; of the source itself, its name."""
        if path != self.source:
            return path.relative_to(self.source)
        return Path(path.resolve().name if path.name in ("", "..") else path.name)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Create the folder and hold it for this process; remove what a killed one left half written.

        Raises:
            BlockingIOError: if another process holds it.
            OSError: if it cannot be written.
        """
        lock = FileLock(self.folder / LOCK, timeout=0)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise BlockingIOError(
                f"another process measures into {self.folder}; wait for it, or choose another --output."
            ) from None
        except OSError as error:
            reason = error.strerror or error
            raise OSError(f"{self.folder} cannot be written ({reason}); choose another --output.") from error
        with lock:
            for place in {out.parent for out in self.outs.values()} | {self.folder}:
                remove_partial_files(place)
            before = self.__dict__.pop("records", None)
            if before not in (None, self.records):
                raise BlockingIOError(f"another process has just measured into {self.folder}; run again.")
            yield

    def claim(self, path: Path, endings: Sequence[str]) -> None:
        """Make place for the results of a scan: remove those of an earlier run, refuse to remove anything else.

        Earlier results go even if no new ones take their place: an overlay shows what was measured then. The record of
        a scan names its results with their digests; while they are written, without.

        Args:
            path: of the scan.
            endings: of the names of its results, such as "_seg.nii.gz".

        Raises:
            ValueError: if a file of such a name is another's, or was edited since.
        """
        record = self._record(path)
        known = self._results(record)
        out = self.outs[path]
        files = [out.with_name(out.name + ending) for ending in endings]
        for file in files:
            if file.exists() and (file.name not in known or known[file.name] not in (None, fingerprint(file))):
                raise ValueError(
                    f"{file} is not as a measurement left it; it is not overwritten. Move it, or choose another "
                    "--output."
                )
        record.parent.mkdir(parents=True, exist_ok=True)
        write_text(record, json.dumps({RESULTS: {**known, **{file.name: None for file in files}}}) + "\n")
        for file in files:
            file.unlink(missing_ok=True)

    def _results(self, record: Path) -> dict[str, str | None]:
        """Return the results that a record names with their digests; refuse the file of another program."""
        try:
            return dict(json.loads(record.read_text(encoding="utf-8"))[RESULTS])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError(
                f"{record} is not the record of a measurement; it is not overwritten. Move it, or choose another "
                "--output."
            ) from None

    def finish(self, path: Path, record: Mapping[str, Any], endings: Sequence[str]) -> None:
        """Write the record of a scan, after everything else; `endings` as for `claim`."""
        out = self.outs[path]
        files = [out.with_name(out.name + ending) for ending in endings]
        results = {file.name: fingerprint(file) for file in files if file.exists()}
        content = {**record, RESULTS: results, "made": self._made(path)}
        write_text(self._record(path), json.dumps(content, indent=1) + "\n")

    def _record(self, path: Path) -> Path:
        out = self.outs[path]
        return out.with_name(f"{out.name}.json")

    def _made(self, path: Path) -> dict[str, Any]:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        about = [file.stat() for file in files if file.is_file()]
        changed = max(one.st_mtime_ns for one in about)
        return {**self.made_by, "bytes": sum(one.st_size for one in about), "changed": changed}

    def _finished(self, path: Path) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads(self._record(path).read_text(encoding="utf-8"))
            whole = all(fingerprint(self._record(path).with_name(name)) == own for name, own in record[RESULTS].items())
            return record if whole and record["made"] == json.loads(json.dumps(self._made(path))) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
