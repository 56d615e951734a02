"""The command line of a bundle run: stop at misspelt settings, and save the settings of the run."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from types import TracebackType
from typing import Any

import yaml
from monai.bundle import ConfigParser
from monai.bundle import run as monai_run

from ..atomic import write_text
from ..command import PACKAGE
from ..configuration import check_overrides, given_settings
from ..datasets.prepared.selection import NAMING, check_names

__all__ = ["check_settings", "command_line", "save_settings"]

RUNNER_ARGUMENTS = [name for name in inspect.signature(monai_run).parameters if name != "override"]


def command_line(argv: Sequence[str] | None = None) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Split the command line of `python -m monai.bundle run` into arguments of the runner and overrides.

    Args:
        argv: the words after the name of the program; None takes those of this process, if it is such a run.

    Returns:
        The arguments of the runner (config_file, ...) and the overrides, or None if this process is something else.

    Example:
        >>> command_line(["run", "--config_file", "train.yaml", "--epochs=3", "--resume"])
        ({'config_file': 'train.yaml'}, {'epochs': 3, 'resume': True})
    """
    if argv is None:
        if Path(sys.argv[0]).parts[-3:] != ("monai", "bundle", "__main__.py"):
            return None
        argv = sys.argv[1:]
    given = given_settings(argv)
    if path := given.get("args_file"):
        given = {**ConfigParser.load_config_file(path), **given}
    return {name: given.pop(name) for name in RUNNER_ARGUMENTS if name in given}, given


def _configuration(runner: Mapping[str, Any]) -> dict[str, Any]:
    """Load the configuration files of a run, joined as the runner joins them."""
    files = runner.get("config_file", [])
    names = [part.strip() for part in files.split(",")] if isinstance(files, str) else list(files)
    return dict(ConfigParser.load_config_files(names))


def check_settings(
    choices: Mapping[str, str] | None = None, argv: Sequence[str] | None = None, version: str | None = None
) -> None:
    """Stop a run whose overrides the configuration does not know, and suggest the nearest setting.

    From then on an error that this project raises on purpose ends the run with its message, without the traceback
    of the runner.

    Args:
        choices: setting that names an entry of a block -> that block.
        argv: as for `command_line`.
        version: of this package that the bundle was published with; None: not published.

    Raises:
        ValueError: if another version is loaded: published bundles share `sys.modules["scripts"]`.
        SystemExit: for an unknown setting, an unknown choice, text where the default is a number, or a dataset that is
            not in the data.
    """
    parsed = command_line(argv)
    if parsed is not None:
        sys.excepthook = _report
    if version not in (None, loaded := resolve_name(f"{PACKAGE}:__version__")):
        raise ValueError(
            f"this bundle was published with version {version} of its code, but version {loaded} is loaded "
            f"({Path(__file__).parents[1]}). Use the configuration and code of one published bundle, and a process of "
            "its own for each version."
        )
    if parsed is None:
        return
    runner, overrides = parsed
    config = _configuration(runner)
    try:
        check_overrides(config, overrides, choices or {})
        if named := [name for name in NAMING if name in overrides]:
            parser = ConfigParser(config)
            parser.update(pairs=overrides)
            check_names(parser.get_parsed_content("data"), {name: parser.get_parsed_content(name) for name in named})
    except (ValueError, FileNotFoundError) as error:
        sys.exit(str(error))


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the cause of an error without its wrappers: MONAI wraps it in the names of components."""
    root = error
    while root.__cause__ is not None and not _raised_here(root):
        root = root.__cause__
    if not _raised_here(root):
        sys.__excepthook__(kind, error, trace)
    print(f"\n{type(root).__name__}: {root}", file=sys.stderr)


def _raised_here(error: BaseException) -> bool:
    frames = list(traceback.walk_tb(error.__traceback__))  # empty for a cause that was never raised
    ours = bool(frames) and frames[-1][0].f_code.co_filename.startswith(str(Path(__file__).parents[1]))
    return ours and isinstance(error, ValueError | OSError | ArithmeticError)


def save_settings(folder: str | Path, argv: Sequence[str] | None = None) -> None:
    """Write `config.yaml`: the configuration of the run with its overrides, ready to be run again.

    Args:
        folder: of the run; must exist.
        argv: as for `command_line`.
    """
    parsed = command_line(argv)
    if parsed is None:
        return
    runner, overrides = parsed
    parser = ConfigParser(_configuration(runner))
    parser.update(pairs=overrides)
    write_text(Path(folder) / "config.yaml", yaml.safe_dump(parser.get(), sort_keys=False, width=120))
