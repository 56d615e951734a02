"""What was given to the workflow that MONAI is initialising: its configuration files, and the overrides."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow, create_workflow

from ..configuration import callers, check_overrides

__all__ = ["given_overrides"]

OWN_ARGUMENTS = frozenset(inspect.signature(ConfigWorkflow).parameters) - {"override"}
REFERENCE = re.compile(r"[@%](\w+)")


def given_overrides() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the joined configuration files of the workflow that is being initialised, and its overrides.

    `monai.bundle.run` (also behind the command line) and `create_workflow` still have both at hand. A `ConfigWorkflow`
    has already joined them: what differs from the files in the folder of its configuration was given.

    Returns:
        Configuration and overrides; both empty without a workflow.

    Raises:
        ValueError: if a `ConfigWorkflow` was given a setting that its files do not know.
    """
    frames = list(callers())
    for frame in frames:
        if frame.f_code is create_workflow.__code__ and frame.f_locals["config_file"] is not None:
            arguments = frame.f_locals["_args"]
            given = {name: value for name, value in arguments.items() if name not in OWN_ARGUMENTS}
            return _joined(frame.f_locals["config_file"]), given
    for frame in frames:
        if isinstance(workflow := frame.f_locals.get("self"), ConfigWorkflow):
            return _compared(workflow)
    return {}, {}


def _joined(files: Any) -> dict[str, Any]:
    return dict(ConfigParser.load_config_files(files))


def _compared(workflow: ConfigWorkflow) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the file that a workflow was made from, and what differs from it."""
    config = {name: value for name, value in workflow.parser.get().items() if name != workflow.parser.meta_key}
    folder = workflow.config_root_path
    files = [_joined(path) for path in sorted(folder.iterdir()) if path.suffix in (".yaml", ".yml", ".json")]
    files = [file for file in files if file and file.keys() <= config.keys()]
    if not files:
        return {}, {}
    base = max(files, key=len)
    used = {reference for value in _leaves(config) for reference in REFERENCE.findall(str(value))}
    used |= {workflow.run_id, workflow.init_id, workflow.final_id}
    given: dict[str, Any] = {}
    for name, value in _changed(config, files):
        knows = [file for file in files if _knows(file, name)]
        if knows:
            given |= {name: value} if base in knows else {}
        elif name in used or _is_entry(config, name, value):  # of a further file, in another folder
            ConfigParser(base).set(value, name)
        else:
            check_overrides(base, {name: value}, {})
    return base, given


def _leaves(node: Any) -> Iterator[Any]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from _leaves(child)
    if not isinstance(node, dict | list):
        yield node


def _changed(config: Mapping[str, Any], files: list[dict[str, Any]], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the names and values that no file has, from the outside in."""
    for key, value in config.items():
        name = f"{above}::{key}" if above else str(key)
        found = [file[key] for file in files if key in file]
        if any(_same(value, one) for one in found):
            continue
        mappings = [one for one in found if isinstance(one, dict)]
        if mappings and isinstance(value, dict):
            yield from _changed(value, mappings, name)
        else:
            yield name, value


def _same(one: Any, other: Any) -> bool:
    return repr(one).replace("#", "::") == repr(other).replace("#", "::")  # MONAI replaces #


def _knows(file: dict[str, Any], name: str) -> bool:
    try:
        check_overrides(file, {name: "$"}, {})
    except ValueError:
        return False
    return True


def _is_entry(config: Mapping[str, Any], name: str, value: Any) -> bool:
    """Return whether this is a component that was added to a block of components, such as a further loss."""
    *parents, _ = name.split("::")
    block: Any = config
    for part in parents:
        block = block[part]
    return bool(parents) and isinstance(value, dict) and "_target_" in value and "_target_" not in block
