"""What was given to the workflow that MONAI is initialising: its configuration files, and the overrides."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from monai.bundle import ConfigParser, ConfigWorkflow, create_workflow, run
from monai.fl.client import ClientAlgo
from monai.utils import ensure_tuple

from ..configuration import callers, plain_form
from .changed import changed_settings, check_changes, is_known

__all__ = [
    "accept",
    "check_accepted",
    "further_names",
    "given_overrides",
    "is_run",
    "main_file",
    "run_ids",
    "with_overrides",
]

CONFIGS = "configs"  # folder of the workflows of a bundle
OWN_ARGUMENTS = frozenset(inspect.signature(ConfigWorkflow).parameters) - {"override"}
OF_ROUND = "train::trainer::max_epochs"  # set by clients of federated learning, again before each round
_accepted: WeakKeyDictionary[ConfigWorkflow, dict[str, Any]] = WeakKeyDictionary()  # configurations that were checked


def given_overrides() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the joined configuration files of the workflow that is being initialised, and its overrides.

    `monai.bundle.run` (also behind the command line) and `create_workflow` still have both at hand. A `ConfigWorkflow`
    has already joined them: what differs from the files in the folder of its configuration was given.

    Returns:
        Configuration and overrides; both empty without a workflow.

    Raises:
        ValueError: if a `ConfigWorkflow` was given a setting that its files do not know.
    """
    if (arguments := _arguments()) is not None:
        given = {name: value for name, value in arguments["_args"].items() if name not in OWN_ARGUMENTS}
        return dict(ConfigParser.load_config_files(arguments["config_file"])), plain_form(given)
    workflow = _workflow()
    return _compared(workflow) if workflow is not None else ({}, {})


def further_names() -> list[str]:
    """Return the names, of the top level, in files outside the folder `configs` of a bundle, such as that of a run.

    Example:
        >>> further_names()  # no workflow is running
        []
    """
    if (arguments := _arguments()) is not None:
        files = arguments["config_file"]
        listed = files.split(",") if isinstance(files, str) else ensure_tuple(files)
        own = [ConfigParser.load_config_file(one) for one in listed if Path(one).absolute().parent.name != CONFIGS]
        return [name for file in own for name in file]
    workflow = _workflow()
    return [] if workflow is None or workflow.config_root_path.absolute().name == CONFIGS else [*workflow.parser.get()]


def main_file() -> dict[str, Any]:
    """Return the largest configuration file of the workflow that is being initialised; empty if there is only one.

    Raises:
        ValueError: if it replaces what a file before it sets.
    """
    arguments = _arguments()
    files = [] if arguments is None else arguments["config_file"]
    listed = files.split(",") if isinstance(files, str) else ensure_tuple(files)
    if len(listed) < 2:
        return {}
    read = [dict(ConfigParser.load_config_file(one)) for one in listed]
    main = max(read, key=len)
    for name, file in zip(listed, read[: read.index(main)], strict=False):
        if replaced := [f"--{setting}" for setting in file if setting in main]:
            raise ValueError(
                f"{name} comes before {listed[read.index(main)]}, which replaces its {', '.join(replaced)}; "
                "give it after that."
            )
    return main


def is_run() -> bool:
    """Return whether `monai.bundle.run` initialises the workflow: it runs it at once and returns nothing.

    Example:
        >>> is_run()  # no workflow is running
        False
    """
    return any(frame.f_code is run.__code__ for frame in callers())


def accept() -> None:
    """Remember that the settings of the workflow that is being initialised were checked."""
    if (workflow := _workflow()) is not None:
        _accepted[workflow] = plain_form(workflow.parser.get())


def check_accepted() -> None:
    """Refuse to run a workflow whose settings were not checked, or changed since; its `initialize` checks them.

    Raises:
        ValueError: names what changed.
    """
    if (workflow := _workflow()) is None:
        return
    if workflow not in _accepted:
        raise ValueError("the settings were not checked: leave out --init_id, or call initialize() before run().")
    if changed := [name for name, _ in changed_settings([_accepted[workflow]], plain_form(workflow.parser.get()))]:
        raise ValueError(f"--{changed[0]} was changed after initialize(), which checks it: call initialize() again.")


def run_ids() -> set[str]:
    """Return the names that the workflow that is being initialised runs."""
    workflow = _workflow()
    return set() if workflow is None else {workflow.run_id, workflow.init_id, workflow.final_id}


def with_overrides(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with overrides, as MONAI sets them.

    Example:
        >>> with_overrides({"rate": {"first": 1}}, {"rate::first": 2})
        {'rate': {'first': 2}}
    """
    parser = ConfigParser(deepcopy(dict(config)))
    for name, value in overrides.items():
        parser.set(deepcopy(value), name)
    return {name: value for name, value in parser.get().items() if name != parser.meta_key}


def _arguments() -> dict[str, Any] | None:
    """Return the variables of `create_workflow`, if it is running."""
    for frame in callers():
        if frame.f_code is create_workflow.__code__ and frame.f_locals["config_file"] is not None:
            return frame.f_locals
    return None


def _workflow() -> ConfigWorkflow | None:
    for frame in callers():
        if isinstance(workflow := frame.f_locals.get("self"), ConfigWorkflow):
            return workflow
    return None


def _compared(workflow: ConfigWorkflow) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the file that a workflow was made from, and what differs from it."""
    config = {name: value for name, value in workflow.parser.get().items() if name != workflow.parser.meta_key}
    folder = workflow.config_root_path
    paths = [path for path in sorted(folder.iterdir()) if path.suffix in (".yaml", ".yml", ".json")]
    read = [ConfigParser.load_config_file(path) for path in paths]
    files = [dict(file) for file in read if file and isinstance(file, Mapping) and file.keys() <= config.keys()]
    if not files:
        return {}, {}
    base = max(files, key=len)
    given: dict[str, Any] = {}
    federated = any(isinstance(frame.f_locals.get("self"), ClientAlgo) for frame in callers())
    for name, value in changed_settings(files, plain_form(config)):
        if federated and name == OF_ROUND:
            continue
        knows = [file for file in files if is_known(file, name)]
        if knows:
            given |= {name: value} if base in knows else {}
        else:  # of a further file, in another folder
            check_changes(base, config, {name: value}, run_ids())
            ConfigParser(base).set(value, name)
    return base, given
