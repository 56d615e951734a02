"""The command line of a bundle run: misspelt settings stop it, and what was run is written down.

MONAI's runner adds an unknown override to the configuration without a word, so `--epoch 3` would train the default
number of epochs.
"""

from __future__ import annotations

import difflib
import inspect
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser
from monai.bundle import run as monai_run

__all__ = ["check_settings", "command_line", "resolve", "save_settings", "switch"]

RUNNER_ARGUMENTS = [name for name in inspect.signature(monai_run).parameters if name != "override"]


def command_line(argv: Sequence[str] | None = None) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Split the command line of `python -m monai.bundle run` into the runner's arguments and the overrides.

    Args:
        argv: the words after the program's name; None takes this process's, if it is such a run.

    Returns:
        The runner's arguments (config_file, ...) and the overrides, or None if this process is something else.

    Example:
        >>> command_line(["run", "--config_file", "train.yaml", "--epochs=3", "--resume"])
        ({'config_file': 'train.yaml'}, {'epochs': 3, 'resume': True})
    """
    if argv is None:
        if Path(sys.argv[0]).parts[-3:] != ("monai", "bundle", "__main__.py"):
            return None
        argv = sys.argv[1:]
    given: dict[str, Any] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            continue  # the sub-command and the run id
        name, equals, value = word[2:].partition("=")
        if not equals:
            value = words.pop(0) if words and not words[0].startswith("--") else "True"
        given[name.replace("-", "_")] = DefaultParseValue(value)
    if path := given.get("args_file"):
        given = {**ConfigParser.load_config_file(path), **given}
    runner = {name: given.pop(name) for name in RUNNER_ARGUMENTS if name in given}
    return runner, given


def _config_files(runner: Mapping[str, Any]) -> list[str]:
    files = runner.get("config_file", [])
    return [part.strip() for part in files.split(",")] if isinstance(files, str) else list(files)


def _get(config: Any, key: str) -> tuple[bool, Any]:
    """Follow a nested id (a#b#c or a::b::c); an argument that a component does not list yet may be added."""
    for part in key.replace("#", "::").split("::"):
        if isinstance(config, list) and part.isdigit() and int(part) < len(config):
            config = config[int(part)]
        elif isinstance(config, dict) and part in config:
            config = config[part]
        else:
            return isinstance(config, dict) and "_target_" in config, None
    return True, config


def check_settings(choices: Mapping[str, str] | None = None, argv: Sequence[str] | None = None) -> None:
    """Stop a run whose overrides the configuration does not know, naming the nearest setting.

    From then on an error that this project raises on purpose ends the run with its message instead of the
    runner's traceback.

    Args:
        choices: setting that names one of several things -> block of the configuration that lists them.
        argv: as for `command_line`.

    Raises:
        SystemExit: for an unknown setting, an unknown choice, or text where the default is a number.
    """
    parsed = command_line(argv)
    if parsed is None:
        return
    sys.excepthook = _report
    runner, overrides = parsed
    config = ConfigParser.load_config_files(_config_files(runner))
    try:
        _check(config, overrides, choices or {})
    except ValueError as error:
        sys.exit(str(error))


def _check(config: Mapping[str, Any], overrides: Mapping[str, Any], choices: Mapping[str, str]) -> None:
    for name, value in overrides.items():
        known, default = _get(config, name)
        if not known:
            close = difflib.get_close_matches(name, config, n=1, cutoff=0.5)
            plain = [key for key, value in config.items() if not isinstance(value, dict | list)]
            hint = f"did you mean --{close[0]}? " if close else ""
            raise ValueError(f"--{name} is not a setting of this bundle; {hint}Plain settings: {', '.join(plain)}.")
        if isinstance(default, bool):
            try:
                switch(value)
            except ValueError as error:
                raise ValueError(f"--{name}: {error}") from None
        elif isinstance(default, int | float) and not _is_number(value):
            raise ValueError(f"--{name} is {value!r}; its default {default!r} is a number.")
        if name in choices and value not in config[choices[name]]:
            raise ValueError(f"--{name} is {value!r}; it is one of {', '.join(config[choices[name]])}.")


def resolve(config_file: str | Path, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as the runner would run it, to be run elsewhere or compared.

    Args:
        config_file: complete configuration of a workflow.
        overrides: setting -> value, as on the command line.

    Raises:
        ValueError: for what `check_settings` stops.
    """
    config = ConfigParser.load_config_file(str(config_file))
    choices = {"loss": "losses", "network": "networks"}
    _check(config, overrides, {name: block for name, block in choices.items() if block in config})
    parser = ConfigParser(config)
    parser.update(pairs=dict(overrides))
    return dict(parser.get())


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith(("$", "@"))  # MONAI computes it
    return isinstance(value, int | float) and not isinstance(value, bool)  # a flag without a value is True


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the root of a chain of errors: MONAI wraps it in the names of components."""
    root = error
    while root.__cause__ is not None and not _raised_here(root):
        root = root.__cause__
    if not _raised_here(root):
        sys.__excepthook__(kind, error, trace)
    print(f"\n{type(root).__name__}: {root}", file=sys.stderr)


def _raised_here(error: BaseException) -> bool:
    frames = list(traceback.walk_tb(error.__traceback__))  # empty for a cause that was never raised
    ours = bool(frames) and frames[-1][0].f_code.co_filename.startswith(str(Path(__file__).parent))
    return ours and isinstance(error, ValueError | OSError | ArithmeticError)


def switch(value: bool | str) -> bool:
    """Read a switch: on the command line MONAI's runner leaves `true` a string, and "false" would count as true.

    Raises:
        ValueError: if it is neither true nor false.

    Example:
        >>> switch("true"), switch("False"), switch(True)
        (True, False, True)
    """
    if str(value).lower() not in ("true", "false"):
        raise ValueError(f"{value!r} is neither true nor false.")
    return str(value).lower() == "true"


def save_settings(folder: str | Path, argv: Sequence[str] | None = None) -> None:
    """Write `config.yaml`: the configuration as run, overrides applied, ready to be run again.

    Args:
        folder: of the run; must exist.
        argv: as for `command_line`.
    """
    parsed = command_line(argv)
    if parsed is None:
        return
    runner, overrides = parsed
    parser = ConfigParser(ConfigParser.load_config_files(_config_files(runner)))
    parser.update(pairs=overrides)
    (Path(folder) / "config.yaml").write_text(yaml.safe_dump(parser.get(), sort_keys=False, width=120))
