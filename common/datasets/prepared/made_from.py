"""What a prepared image was made from: its files, the arguments of its reader, and the code that reads it."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache, partial
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

import numpy as np

from ...identity import digest, fingerprint
from ..files.images import with_pixel_files

__all__ = [
    "FileState",
    "arguments_digest",
    "code_digest",
    "differing_file",
    "file_states",
    "read_files",
    "reader_digest",
]

SETTLED = 2_000_000_000  # ns: a file that changed less than this before it was read may change again in the same tick

# bytes; times of the last change of content and of status, ns (0: do not trust them); digest of the content
FileState = tuple[int, int, int, str]


def read_files(read: Callable[[], Any], image_only: bool = False) -> list[Path]:
    """Return the files that a job reads: the paths among the arguments of its partial function, and their pixel files.

    Args:
        read: of the job; the first path is that of the image.
        image_only: leave out the files of its annotation.

    Example:
        >>> read_files(partial(print, Path("scan.png"), 3, Path("mask.png")))
        [PosixPath('scan.png'), PosixPath('mask.png')]
    """
    arguments = [*read.args, *read.keywords.values()] if isinstance(read, partial) else []
    paths = [path for path in arguments if isinstance(path, Path)]
    return [file for path in (paths[:1] if image_only else paths) for file in with_pixel_files(path)]


def arguments_digest(read: Callable[[], Any]) -> str:
    """Return a digest of a job's function and its arguments, without the places of its files.

    Example:
        >>> first, moved = (arguments_digest(partial(print, Path(folder) / "a.png", 1)) for folder in "xy")
        >>> first == moved, first == arguments_digest(partial(print, Path("x/a.png"), 2))
        (True, False)
    """
    if isinstance(read, partial):
        return digest(_name(read.func), _plain(read.args), _plain(read.keywords))
    return digest(_name(read), _plain(getattr(read, "__defaults__", None)))


def reader_digest(read: Callable[[], Any], resampling: str) -> str:
    """Return a digest of the code that reads a job, and of the module that resamples it."""
    function = read.func if isinstance(read, partial) else read
    return digest(*map(code_digest, (function.__module__, resampling)))[:16]


def file_states(paths: Sequence[Path]) -> list[FileState]:
    """Return size, times and digest of files; call it before they are read.

    Raises:
        OSError: if a file is missing or cannot be read.
    """
    return [_state(path) for path in paths]


def _state(path: Path) -> FileState:
    before = path.stat()
    changed = before.st_mtime_ns, before.st_ctime_ns
    settled = max(changed) < time.time_ns() - SETTLED
    return before.st_size, *(changed if settled else (0, 0)), fingerprint(path)


def differing_file(paths: Sequence[Path], earlier: Sequence[Sequence[Any]]) -> Path | None:
    """Return the first file that is not as it was: size and times decide if they are equal, the digest otherwise."""
    for path, (size, *changed, content) in zip(paths, earlier, strict=True):
        try:
            now = path.stat()
            same = now.st_size == size and (
                [now.st_mtime_ns, now.st_ctime_ns] == changed or fingerprint(path) == content
            )
        except OSError:
            same = False
        if not same:
            return path
    return None


@lru_cache
def code_digest(module: str) -> str:
    """Return a digest of a module and all modules of its package that it imports; comments do not count."""
    waiting, code = [module], dict[str, str]()
    while waiting:
        name = waiting.pop()
        if name in code:
            continue
        origin, package = _located(name)
        code[name] = ""
        if origin is None:  # not a module, but a name in one
            continue
        tree = ast.parse(origin.read_bytes())
        code[name] = ast.dump(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                parent = resolve_name("." * node.level + (node.module or ""), package)
                waiting += [parent, *(f"{parent}.{alias.name}" for alias in node.names)]
    return digest(*sorted(code.values()))


def _located(name: str) -> tuple[Path | None, str]:
    """Return the file of a module, and the package that its relative imports start from."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None, ""
    return Path(spec.origin), name if spec.submodule_search_locations else name.rpartition(".")[0]


def _name(function: Any) -> str:
    """Return the name of a function in its package, whatever the package is called."""
    return f"{function.__module__.partition('.')[2]}.{function.__qualname__}"


def _plain(value: Any) -> str:
    """Return text that is equal for equal values, in any process."""
    if isinstance(value, Path):
        return "file"
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{digest(np.ascontiguousarray(value).tobytes())}"
    if is_dataclass(value) and not isinstance(value, type):
        return (
            f"{type(value).__qualname__}({_plain({field.name: getattr(value, field.name) for field in fields(value)})})"
        )
    if isinstance(value, Mapping):
        return f"{{{','.join(sorted(f'{_plain(key)}:{_plain(one)}' for key, one in value.items()))}}}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | range):
        return f"[{','.join(map(_plain, value))}]"
    return _name(value) if callable(value) else repr(value)
