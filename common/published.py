"""The published form of a bundle: self-contained, so the model zoo, `monai.bundle.load` and MONAI Label can read it.

Each workflow becomes one JSON file. The part of `common` that the configurations reach is copied into the bundle's own
`scripts` package, and `common.` becomes `scripts.` in configurations and imports; nothing else changes.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

__all__ = ["LEFT_OUT", "publish", "reached"]

PACKAGE = "common"
SCRIPTS = "scripts"
ROOT = Path(__file__).parent
COPIED = ("LICENSE", "docs", "models", "configs/metadata.json")
LEFT_OUT = ("bundle.yaml", "experiments.yaml", "report.yaml", "pseudo_label.yaml")  # of use in this project only
NAME = re.compile(rf"\b{PACKAGE}((?:\.\w+)+)")


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
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] == PACKAGE)


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


def _rename(text: str) -> str:
    return re.sub(rf"\b{PACKAGE}(?=\.\w)|(?<=^from ){PACKAGE}\b|(?<=qualname=){PACKAGE}\b", SCRIPTS, text, flags=re.M)


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
        text = json.dumps({**configuration, "bundle_root": "."}, indent=4, ensure_ascii=False)
        (out / "configs" / f"{name}.json").write_text(_rename(text) + "\n")
    logging = (bundle / "configs" / "logging.conf").read_text()
    (out / "configs" / "logging.conf").write_text(_rename(logging))
    for file in files:
        target = out / SCRIPTS / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_rename(file.read_text()))
        if (data := file.with_suffix(".yaml")).is_file():  # what a module reads lies beside it under its name
            shutil.copyfile(data, target.with_suffix(".yaml"))
    return files
