"""Put a new prepared folder in the place of an old one, and never delete a file of somebody else."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .journal import JOURNAL
from .layout import DATALIST, PROVENANCE

__all__ = ["check_own", "partial_folder", "remove_partial", "replace_folder", "settle"]

AT_CWD, EXCHANGE = -100, 2  # of renameat2 (Linux) and renamex_np (macOS)
MARKS = {PROVENANCE, JOURNAL}
FILES = {DATALIST, *MARKS}
PIXELS = ("images", "labels")
SUFFIXES = (".png", ".nii")


def partial_folder(out: Path) -> Path:
    """Return where a folder is prepared before it takes its place."""
    return out.with_name(f"{out.name}.partial")


def _replaced(out: Path) -> Path:
    return out.with_name(f".{out.name}.replaced")


def _foreign(folder: Path, pixels: set[str] | None) -> Iterator[str]:
    """Yield what preparation did not write; `pixels` are the names of its images, None accepts every PNG and NIfTI."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            own = name in PIXELS
        elif "/" in name:
            own = name in pixels if pixels is not None else name.startswith(PIXELS) and path.suffix in SUFFIXES
        else:
            own = name in FILES or name.startswith(".partial-")
        if not own:
            yield name


def check_own(folder: Path, items: Iterable[Mapping[str, Any]]) -> None:
    """Refuse to replace a prepared folder that holds files of somebody else.

    Args:
        folder: prepared.
        items: of its datalist, with paths as they are stored.

    Raises:
        FileExistsError: if there are any; nothing is deleted.
    """
    pixels = {item[key] for item in items for key in ("image", "label")}
    if foreign := sorted(_foreign(folder, pixels)):
        raise FileExistsError(
            f"{folder} has changed and would be prepared again, but holds {_listed(foreign)}, "
            "which preparation did not write; move them elsewhere."
        )


def remove_partial(folder: Path) -> None:
    """Delete the folder of an interrupted preparation.

    Raises:
        FileExistsError: if it holds files of somebody else; nothing is deleted.
    """
    if not folder.exists():
        return
    foreign = sorted(_foreign(folder, None))
    if not any((folder / name).is_file() for name in MARKS):
        foreign += [path.relative_to(folder).as_posix() for name in PIXELS for path in (folder / name).glob("*")]
    if foreign:
        raise FileExistsError(
            f"{folder} is where the work would be done, but holds {_listed(foreign)}; move them elsewhere."
        )
    _delete(folder)


def replace_folder(new: Path, out: Path) -> None:
    """Let `new` take the place of `out`, which is deleted.

    On Linux and macOS both exchange their names in one step, if the file system can. Otherwise two steps are needed;
    `settle` goes back if the process is killed between them.
    """
    if not out.exists():
        new.rename(out)
        return
    if _exchange(new, out):
        _delete(new)
        return
    out.rename(_replaced(out))
    new.rename(out)
    _delete(_replaced(out))


def settle(out: Path) -> None:
    """Bring a replacement that was interrupted to its end, or back."""
    replaced = _replaced(out)
    if out.exists():
        remove_partial(replaced)
    elif replaced.exists():
        replaced.rename(out)


def _delete(folder: Path) -> None:
    """Delete a folder; what marks it as ours goes last, so that the next run can end an interrupted deletion."""
    for name in PIXELS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in sorted(folder.iterdir(), key=lambda path: path.name in MARKS):
        path.unlink()
    folder.rmdir()


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; return whether the system did."""
    names = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux":
        function = getattr(ctypes.CDLL(None), "renameat2", None)
        return function is not None and function(AT_CWD, names[0], AT_CWD, names[1], EXCHANGE) == 0
    if sys.platform == "darwin":
        function = getattr(ctypes.CDLL(None), "renamex_np", None)
        return function is not None and function(*names, EXCHANGE) == 0
    return False


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
