"""Write files whole or not at all, even if interrupted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["PARTIAL", "remove_partial_files", "whole_file", "write_text"]

PARTIAL = ".partial"  # -<process>-<name>


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield the path of a partial file in the same folder, which becomes `path` when the block succeeds.

    The partial file keeps the suffix, which many writers choose the format by. An earlier file at `path` stays readable
    until the new one is on disk; after an error it remains, without a partial file.

    Args:
        path: to write; its folder exists.

    Raises:
        OSError: if the disk is full or the folder is not writable; the message names `path`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with whole_file(Path(folder) / "note.txt") as partial:
        ...         written = partial.write_text("all of it")
        ...     (Path(folder) / "note.txt").read_text()
        'all of it'
    """
    partial = path.with_name(f"{PARTIAL}-{os.getpid()}-{path.name}")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        cause = error.strerror or str(error)
        raise OSError(
            f"{path} could not be written ({cause}). Nothing was lost: an earlier file of this name is unchanged. "
            "Free space or choose a writable folder, and run again."
        ) from error
    finally:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)


def remove_partial_files(folder: Path, alone: bool = True) -> None:
    """Remove what killed processes left half written in a folder.

    Args:
        folder: that exists.
        alone: no other process writes into the folder; if not, the files of processes that still run stay.
    """
    for path in folder.glob(f"{PARTIAL}-*-*"):
        if alone or not _may_run(path.name.split("-")[1]):
            path.unlink(missing_ok=True)


def _may_run(process: str) -> bool:
    if os.name != "posix" or not process.isdigit():  # elsewhere, asking would end the process
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        pass
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8), whole or not at all.

    Raises:
        OSError: as for `whole_file`.
    """
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
