"""Identify content by digests, and trainings by all settings that change their result."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import re
import sys
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from .command import PACKAGE

__all__ = [
    "SPEED",
    "WITHOUT_EFFECT",
    "changes",
    "digest",
    "fingerprint",
    "flattened",
    "hashed",
    "own_code",
    "plain_values",
    "settings_digest",
    "training_settings",
]

SPEED = (  # arguments of a dataloader and an evaluator that change only speed or memory
    *(f"dataloader::{name}" for name in ("batch_size", "num_workers", "prefetch_factor", "persistent_workers")),
    *("dataloader::pin_memory", "evaluator::non_blocking"),
)
# of a configuration: paths, names, what is shown, and what changes only speed or memory
WITHOUT_EFFECT = (
    *("bundle_root", "dataset_dir", "runs_dir", "output_dir", "data", "initial_weights", "device"),
    *("experiment", "run_name", "tags", "tracking_uri", "resume", "resuming", "coverage", "record", "checkpointed"),
    *("configuration", "data_checksum", "settings", "digest", "given", "_chosen"),
    *("memory", "train::dataset::memory", "train::dataloader::num_workers"),
    *("train::dataloader::prefetch_factor", "train::dataloader::pin_memory", "train::trainer::non_blocking"),
    *(f"validate::{name}" for name in SPEED),  # workers that persist would draw otherwise in a training
)
CHOSEN = {
    "networks": ("network", "partner"),
    "losses": ("loss",),
}  # block -> settings that choose the entries that count
REFERENCE = re.compile(r"[@%](\w+)")
NAME = re.compile(rf"(?<![\w.]){PACKAGE}(?=\.\w)")
WORD = re.compile(r"(?<![\w.@])[A-Za-z_]\w*")
PARTS = ("losses", "networks", "transforms")  # of this package, whose code changes the result of a training
BLOCKS = {tokenize.NEWLINE: "\n", tokenize.INDENT: "\x0e", tokenize.DEDENT: "\x0f"}  # their text varies or is empty
INSTALLED = ("site-packages", "dist-packages")
NOT_OWN = [Path(path).resolve() for path in (Path(__file__).parent, sysconfig.get_path("stdlib"))]
_first: dict[Path, str] = {}  # digests of modules of the user when this process met them
SHOWN = 5  # differences in a message
WIDTH = 60  # characters of a value in a message


def digest(*parts: str | bytes | memoryview) -> str:
    """Return the SHA-256 of the concatenated parts, text as UTF-8.

    Example:
        >>> digest("abc")[:8], digest("a", b"bc")[:8]
        ('ba7816bf', 'ba7816bf')
    """
    hashed_so_far = hashlib.sha256()
    for part in parts:
        hashed_so_far.update(part.encode() if isinstance(part, str) else part)
    return hashed_so_far.hexdigest()


def hashed(*names: object) -> int:
    """Return a number that depends only on the names, for choices that must not change when data are added.

    Example:
        >>> hashed("clinic", "patient0001") % 100
        81
    """
    return int(digest("/".join(map(str, names))), 16)


def fingerprint(path: str | Path) -> str:
    """Return the first 16 hexadecimal digits of a file's SHA-256."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def training_settings(
    configuration: Mapping[str, Any], data: str, initial_weights: str | Path | None = None, processes: int = 1
) -> dict[str, Any]:
    """Return everything that defines a training, by the names that a command line gives to settings.

    This is the configuration, as far as the trainer reaches it, without `WITHOUT_EFFECT`; of the networks and losses
    only the chosen ones count. Paths do not count, but what they lead to: the data, the initial weights, and the code
    of components that are not in an installed library. Of this package that is the code of the folders `PARTS`.

    Args:
        configuration: of the training, with its overrides.
        data: checksum of the prepared folders.
        initial_weights: path of the weights that the training starts from; None: from scratch.
        processes: that share the training; one is not named.

    Raises:
        FileNotFoundError: if the initial weights are missing.

    Example:
        >>> losses = {"ce": {"_target_": "CrossEntropyLoss"}, "dice": {"_target_": "DiceLoss"}}
        >>> configuration = {"loss": "ce", "losses": losses, "rate": 0.1, "tags": {}, "unused": 3}
        >>> configuration["train"] = {"lr": "@rate", "loss": "$@losses[@loss]", "tags": "@tags"}
        >>> settings = training_settings(configuration, data="c0ffee")
        >>> [name for name in settings if not name.startswith("train")]
        ['loss', 'losses::ce::_target_', 'rate', 'data', 'initial_weights']
        >>> changes(settings, training_settings({**configuration, "rate": 0.2}, data="c0ffee"))
        'rate: 0.1 then, 0.2 now'
    """
    reached, found = {"train"}, ["train"]
    while found:
        for name in _references(configuration.get(found.pop())):
            if name in configuration and name not in reached and name not in WITHOUT_EFFECT:
                reached.add(name)
                found.append(name)
    content = {name: value for name, value in configuration.items() if name in reached}
    for block, choices in CHOSEN.items():
        given = [content.get(name) for name in choices]
        chosen = [name for name in given if name in content.get(block, ())]
        if chosen and not any(str(name).startswith("$") for name in given):  # an expression may name any
            content[block] = {name: content[block][name] for name in chosen}
    settings = {name: value for name, value in flattened(content).items() if name not in WITHOUT_EFFECT}
    if initial_weights is not None and not Path(initial_weights).is_file():
        fault = "is a folder" if Path(initial_weights).is_dir() else "is missing"
        raise FileNotFoundError(f"{initial_weights} {fault}; --initial_weights expects the path of a model.pt.")
    weights = None if initial_weights is None else fingerprint(initial_weights)
    several = {"processes": processes} if processes > 1 else {}
    code = _code(_named(content, _aliases(configuration.get("imports"))), configuration.get("bundle_root"))
    return {**settings, **code, "data": data, "initial_weights": weights, **several}


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
    """Return the digests of the modules of the user along dotted names and their imports, and of `PARTS` among these.

    A part is named from this package on: `code of .losses`.
    """
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
        return fingerprint(file)
    words = [token for token in tokens if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.ENCODING)]
    text = ""
    for token in words:
        apart = text[-1:].isidentifier() and token.type in (tokenize.NAME, tokenize.NUMBER)
        text += (" " if apart else "") + BLOCKS.get(token.type, token.string)
    return digest(text)[:16]


@cache  # this process goes on with the code that it has loaded, even if a file is edited
def _code_of_part(part: str) -> str:
    """Return 16 digits of the digest of all Python files of a folder of this package."""
    folder = Path(__file__).parent / part
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py")}
    visible = {name: path for name, path in sorted(files.items()) if "/." not in f"/{name}"}
    return digest(json.dumps({name: _code_digest(path) for name, path in visible.items()}))[:16]


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
    if isinstance(node, Mapping):
        target = node.get("_target_")
        if isinstance(target, str):
            yield target
        elif callable(target):  # from Python
            yield f"{target.__module__}.{getattr(target, '__name__', '')}"
        node = list(node.values())
    if isinstance(node, list | tuple):
        for value in node:
            yield from _named(value, aliases)
    elif isinstance(node, str) and node.startswith("$"):
        yield from (aliases[word] for word in WORD.findall(node) if word in aliases)


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


def flattened(node: Any, name: str = "") -> dict[str, Any]:
    """Return nested values by their names; lists of plain values stay together.

    Example:
        >>> flattened({"a": {"b": 1.0, "c": [1, 2]}, "d": [{"e": "true"}]})
        {'a::b': 1, 'a::c': [1, 2], 'd::0::e': True}
    """
    if isinstance(node, Mapping):
        items = [(str(key), value) for key, value in node.items()]
    elif isinstance(node, list | tuple) and any(isinstance(value, Mapping | list | tuple) for value in node):
        items = [(str(key), value) for key, value in enumerate(node)]
    else:
        items = []
    if not items:
        return {name: _plain(node)}
    parts = [flattened(value, f"{name}::{key}" if name else key) for key, value in items]
    return {key: value for part in parts for key, value in part.items()}


def _plain(value: Any) -> Any:
    """Return a value in the one form that JSON, YAML and a command line share."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    text = NAME.sub("", str(value).replace("#", "::"))  # MONAI replaces #; a published copy has another name
    return text.lower() == "true" if text.lower() in ("true", "false") else text


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        node = list(node.values())
    if isinstance(node, list | tuple):
        for value in node:
            yield from _references(value)
    elif isinstance(node, str):
        yield from REFERENCE.findall(node)


def plain_values(
    settings: Mapping[str, Any], given: Iterable[str], training: str, datasets: Sequence[str]
) -> dict[str, Any]:
    """Return what MLflow shows of a training: its settings, its identity, and the names of its datasets.

    References and expressions of the bundle, which say nothing to a reader, are left out; those that were given stay.

    Args:
        settings: as `training_settings` returns them.
        given: names of settings that differ from the bundle.
        training: `settings_digest`.
        datasets: names.

    Example:
        >>> settings = {"epochs": 3, "optimizer::lr": "@learning_rate", "partner": "$@network"}
        >>> plain_values(settings, ["partner"], "c0ffee", ["camus"])
        {'epochs': 3, 'partner': '$@network', 'training': 'c0ffee', 'datasets': ['camus']}
    """
    shown = {*given}
    plain = {
        name: value
        for name, value in settings.items()
        if name in shown or not str(value).startswith(("@", "$", "%", "['@"))
    }
    return {**plain, "training": training, "datasets": list(datasets)}


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that identify a training.

    Example:
        >>> settings_digest({"epochs": 3, "loss": "ce"}) == settings_digest({"loss": "ce", "epochs": 3})
        True
    """
    return digest(json.dumps(dict(settings), sort_keys=True))[:16]


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say in one line which settings differ; empty if none does.

    Example:
        >>> changes({"epochs": 3, "loss": "ce"}, {"epochs": 4})
        "epochs: 3 then, 4 now, loss: 'ce' then, not set now"
    """
    names = [name for name in {**then, **now} if (name in then, then.get(name)) != (name in now, now.get(name))]
    shown = {name: name.replace("code of .", f"code of {PACKAGE}.") for name in names[:SHOWN]}
    parts = [f"{words}: {_shown(then, name)} then, {_shown(now, name)} now" for name, words in shown.items()]
    return ", ".join([*parts, *([f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else [])])


def _shown(settings: Mapping[str, Any], name: str) -> str:
    text = repr(settings[name]) if name in settings else "not set"
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."
