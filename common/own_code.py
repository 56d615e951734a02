"""Find the code of the user that a configuration names, and digest it."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import re
import sys
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, partial
from importlib.machinery import PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from .command import PACKAGE

__all__ = ["code_of_configuration", "dotted_name", "own_code"]

WORD = re.compile(r"(?<![\w.@])[A-Za-z_]\w*")
PARTS = ("losses", "networks", "transforms")  # of this package, whose code changes the result of a training
BLOCKS = {tokenize.NEWLINE: "\n", tokenize.INDENT: "\x0e", tokenize.DEDENT: "\x0f"}  # their text varies or is empty
INSTALLED = ("site-packages", "dist-packages")
NOT_OWN = [Path(path).resolve() for path in (Path(__file__).parent, sysconfig.get_path("stdlib"))]
_first: dict[Path, str] = {}  # digests of modules of the user when this process met them


def code_of_configuration(configuration: Mapping[str, Any], imports: Any, bundle: Any) -> dict[str, str]:
    """Return the digests of the user's own modules that components and expressions name, and of `PARTS` among these.

    Args:
        configuration: its entries that count.
        imports: of the whole configuration, which name modules for its expressions.
        bundle: folder that modules of a bundle are found in; None for none.

    Returns:
        "code of FILE" -> 16 digits of its digest. A part is named from this package on: `code of .losses`.
    """
    return _code(_named(configuration, _aliases(imports)), bundle)


def own_code(name: str) -> dict[str, str]:
    """Return the digests of the user's own modules along a dotted name and its imports; empty for installed code.

    Args:
        name: of a component.

    Returns:
        File, from the folder on that makes it importable -> 16 digits of the digest of its content.

    Example:
        >>> own_code("torch.nn.Conv2d")
        {}
    """
    named = {key.removeprefix("code of "): code for key, code in _code([name], None).items()}
    return {file: code for file, code in named.items() if not file.startswith(".")}


def _code(names: Iterable[str], bundle: Any) -> dict[str, str]:
    waiting, code = list(names), dict[str, str]()
    known = set[str]()
    while waiting:
        name = waiting.pop()
        package, part, *_ = [*name.split("."), ""]
        if package == PACKAGE and part in PARTS:
            code[f"code of .{part}"] = _code_of_part(part)
        for module, file in _modules(name, [str(bundle)]):
            if module in known:
                continue
            known.add(module)
            package = module if file.name == "__init__.py" else module.rpartition(".")[0]
            waiting += _imported(file, package)
            place = module.replace(".", "/") + ("/__init__.py" if file.name == "__init__.py" else ".py")
            code[f"code of {place}"] = _as_loaded(module, file)
    return code


def _as_loaded(module: str, file: Path) -> str:
    """Return the digest of a module of the user; refuse one that was edited after this process imported it."""
    found = _code_digest(file)
    if module in sys.modules and _first.setdefault(file, found) != found:
        raise ValueError(f"{file} changed after this process imported it; start a new process to use it.")
    _first[file] = found
    return found


def _code_digest(file: Path) -> str:
    """Return 16 digits of the digest of a Python file.

    Comments, blank lines, line endings and the width of an indentation do not count; the block of a line does.
    """
    try:
        tokens = list(tokenize.tokenize(io.BytesIO(file.read_bytes()).readline))
    except (SyntaxError, ValueError, tokenize.TokenError):  # it says itself that it cannot be run
        return _digest(file.read_bytes())
    words = [token for token in tokens if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.ENCODING)]
    text = ""
    for token in words:
        apart = text[-1:].isidentifier() and token.type in (tokenize.NAME, tokenize.NUMBER)
        text += (" " if apart else "") + BLOCKS.get(token.type, token.string)
    return _digest(text.encode())


@cache  # this process goes on with the code that it has loaded, even if a file is edited
def _code_of_part(part: str) -> str:
    """Return 16 digits of the digest of all Python files of a folder of this package."""
    folder = Path(__file__).parent / part
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py")}
    visible = {name: path for name, path in sorted(files.items()) if "/." not in f"/{name}"}
    return _digest(json.dumps({name: _code_digest(path) for name, path in visible.items()}).encode())


def _aliases(imports: Any) -> dict[str, str]:
    """Return what the imports of a configuration are called in its expressions.

    Example:
        >>> _aliases(["$import torch", "$from mine.losses import Sum as Mine"])
        {'torch': 'torch', 'Mine': 'mine.losses.Sum'}
    """
    lines = [str(line).lstrip("$ ") for line in ([imports] if isinstance(imports, str) else imports or ())]
    found = dict[str, str]()
    for node in [node for line in lines for node in _parsed(line.encode())]:
        above = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        found |= {alias.asname or alias.name.partition(".")[0]: above + alias.name for alias in node.names}
    return found


def _named(node: Any, aliases: Mapping[str, str]) -> Iterator[str]:
    """Yield the dotted names of components, and of what expressions use of the imports."""
    if isinstance(node, partial):
        node = [node.func, *node.args, node.keywords]
    if isinstance(node, Mapping):
        if isinstance(target := node.get("_target_"), str):
            yield target
        node = list(node.values())
    if isinstance(node, list | tuple | set | frozenset):
        for value in node:
            yield from _named(value, aliases)
    elif isinstance(node, str) and node.startswith("$"):
        yield from (aliases[word] for word in WORD.findall(node) if word in aliases)
    elif name := dotted_name(node):  # from Python
        yield name


def dotted_name(value: Any) -> str:
    """Return the name that a class or function is imported by; empty for what has none, such as a bound method.

    Example:
        >>> dotted_name(Path.exists), dotted_name(Path().exists), dotted_name(lambda: 0)
        ('pathlib.Path.exists', '', '')
    """
    module = getattr(value, "__module__", None)
    for name in (getattr(value, "__qualname__", None), getattr(value, "__name__", None)):  # the second for torch.add
        found: Any = sys.modules.get(str(module))
        for part in str(name).split("."):
            found = getattr(found, part, None)
        if found is not None and found == value:
            return f"{module}.{name}"
    return ""


def _modules(name: str, places: list[str]) -> Iterator[tuple[str, Path]]:
    """Yield the modules of the user along a dotted name, with their files; nothing is imported."""
    module = ""
    for number, part in enumerate(name.split(".")):
        module = f"{module}.{part}" if number else part
        if module == "__main__":  # a script counts as a whole; a notebook has no file
            script = Path(getattr(sys.modules[module], "__file__", None) or "").resolve()
            if script.is_file() and not _is_installed(script):
                yield module, script
            return
        try:
            spec = (None if number else find_spec(module)) or PathFinder.find_spec(module, places)
        except KeyError:  # a folder without __init__.py, in one that is not imported
            places = [str(Path(place) / part) for place in places]
            continue
        except (ImportError, ValueError):  # not the name of a module, or one without a file
            return
        file = Path(spec.origin or "").resolve() if spec else Path()
        if file.suffix == ".py" and file.is_file():
            if _is_installed(file):
                return
            yield module, file
        if spec is None or spec.submodule_search_locations is None:
            return
        places = list(spec.submodule_search_locations)


def _is_installed(file: Path) -> bool:
    return bool(set(INSTALLED) & set(file.parts)) or any(file.is_relative_to(place) for place in NOT_OWN)


def _imported(file: Path, package: str) -> Iterator[str]:
    """Yield the dotted names that a module imports."""
    for node in _parsed(file.read_bytes()):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif package or not node.level:
            with suppress(ImportError):  # beyond the package
                above = resolve_name("." * node.level + (node.module or ""), package)
                yield from (f"{above}.{alias.name}" for alias in node.names)


def _parsed(code: bytes) -> list[ast.Import | ast.ImportFrom]:
    """Return the imports in code; none if it cannot be run, which it says itself."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
