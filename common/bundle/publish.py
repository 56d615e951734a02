"""The published form of a bundle: self-contained, so the model zoo, `monai.bundle.load` and MONAI Label can read it.

Each workflow becomes one JSON file. The part of `common` that the configurations reach is copied into the bundle's own
`scripts` package, unchanged: its imports are relative. The prefix of the package is rewritten in configurations only.
"""

from __future__ import annotations

import ast
import configparser
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from ..command import PACKAGE

__all__ = ["LEFT_OUT", "publish", "reached"]

SCRIPTS = "scripts"
ROOT = Path(__file__).parents[1]
COPIED = ("LICENSE", "docs", "models", "configs/metadata.json")
LEFT_OUT = ("bundle.yaml", "experiments.yaml", "report.yaml", "pseudo_label.yaml")  # of use in this project only
NAME = re.compile(rf"\b{PACKAGE}((?:\.\w+)+)")
PREFIX = re.compile(rf"\b{PACKAGE}(?=\.\w)")


def _strings(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)
    elif isinstance(node, str):
        yield node


def _file(module: str) -> Path | None:
    """Return the file of the longest prefix of a dotted name that is a module of this package."""
    parts = module.split(".")[1:]
    while parts:
        path = ROOT.joinpath(*parts)
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
        parts = parts[:-1]
    return None


def _imports(path: Path) -> Iterator[str]:
    """Yield the dotted names of this package that a file imports; they are written as relative imports."""
    package = [PACKAGE, *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            yield from (".".join([part for part in parts if part] + [name.name]) for name in node.names)


def reached(configuration: Any) -> list[Path]:
    """List the files of this package that a configuration needs, directly or through imports.

    Args:
        configuration: parsed configuration.

    Raises:
        ValueError: if it names something of this package that does not exist.
    """
    names = [PACKAGE + match for text in _strings(configuration) for match in NAME.findall(text)]
    found: set[Path] = set()
    while names:
        name = names.pop()
        path = _file(name)
        if path is None:
            raise ValueError(f"{name} is not a module of {PACKAGE}.")
        for file in (path, *(parent / "__init__.py" for parent in path.parents if parent.is_relative_to(ROOT))):
            if file not in found:
                found.add(file)
                names += _imports(file)
    return sorted(found)


def _renamed(node: Any) -> Any:
    """Return a parsed configuration in which targets and expressions name the copied package."""
    if isinstance(node, dict):
        return {key: _renamed(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(value) for value in node]
    return PREFIX.sub(SCRIPTS, node) if isinstance(node, str) else node


def _renamed_logging(path: Path) -> str:
    """Return the logging configuration for the loggers of the copied package."""
    parser = configparser.RawConfigParser()
    parser.read(path, encoding="utf-8")
    for section in parser.sections():
        if parser.get(section, "qualname", fallback=None) == PACKAGE:
            parser.set(section, "qualname", SCRIPTS)
    text = io.StringIO()
    parser.write(text, space_around_delimiters=False)
    return text.getvalue()


def publish(bundle: Path, out: Path) -> list[Path]:
    """Write the published form of a bundle.

    Args:
        bundle: folder of the bundle, with its complete configurations.
        out: folder to make; its name is the bundle's.

    Returns:
        The files of this package that were copied.

    Raises:
        FileExistsError: if `out` exists.
    """
    if out.exists():
        raise FileExistsError(f"{out} exists; remove it, or publish into another folder.")
    workflows = {
        path.stem: ConfigParser.load_config_file(path)
        for path in sorted(bundle.glob("configs/*.yaml"))
        if path.name not in LEFT_OUT
    }
    files = reached(list(workflows.values()))
    (out / "configs").mkdir(parents=True)
    for name in COPIED:
        source, target = bundle / name, out / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*"))
        else:
            shutil.copyfile(source, target)
    for name, configuration in workflows.items():
        text = json.dumps({**_renamed(configuration), "bundle_root": "."}, indent=4, ensure_ascii=False)
        (out / "configs" / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    logging = _renamed_logging(bundle / "configs" / "logging.conf")
    (out / "configs" / "logging.conf").write_text(logging, encoding="utf-8")
    for file in files:
        target = out / SCRIPTS / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        if (data := file.with_suffix(".yaml")).is_file():  # what a module reads lies beside it under its name
            shutil.copyfile(data, target.with_suffix(".yaml"))
    return files
