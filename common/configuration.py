"""Configurations of bundles: check overrides, and resolve them as the runner would.

MONAI's runner silently adds an unknown override to the configuration: `--epoch 3` would train the default number of
epochs.
"""

from __future__ import annotations

import inspect
import numbers
import pydoc
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from fire.parser import DefaultParseValue
from monai.bundle import ComponentLocator, ConfigComponent, ConfigParser

from .spelling import nearest

__all__ = [
    "callers",
    "check_overrides",
    "evaluated",
    "given_settings",
    "given_words",
    "make_plain",
    "plain_form",
    "resolve",
    "running",
    "switch",
    "without_password",
]


def check_overrides(config: Mapping[str, Any], overrides: Mapping[str, Any], choices: Mapping[str, str]) -> None:
    """Refuse overrides that a configuration does not know.

    Args:
        config: parsed configuration.
        overrides: setting -> value, as on the command line.
        choices: setting that names an entry of a block -> that block.

    Raises:
        ValueError: for an unknown setting, an unknown choice, or a value of another kind than the default: text for a
            number, one value for names with values.
    """
    given = {name.replace("#", "::") for name, value in overrides.items() if _is_component(value)}
    added = given & {f"{block}::{overrides.get(setting)}" for setting, block in choices.items()}
    for name, value in overrides.items():
        if name.replace("#", "::") in added or _joins(config, name, value):
            continue  # the chosen entry itself, or one that is used as a whole
        default = _get(config, name, overrides)
        if isinstance(default, bool) and not _is_computed(value):
            try:
                switch(value)
            except ValueError as error:
                raise ValueError(f"--{name}: {error}") from None
        elif type(default) in (int, float) and not _is_number(value):
            raise ValueError(f"--{name}: expected a number, like its default {default!r}, got {value!r}.")
        elif _is_mapping(default) and not isinstance(value, Mapping) and not _is_computed(value):
            raise ValueError(f'--{name}: expected names with values, --{name} "{{name: value}}", got {value!r}.')
        elif default is None and "::" in name and str(value).lower() in ("yes", "no", "on", "off"):
            raise ValueError(f"--{name}: {value!r} would be text, which counts as true; write true or false.")
        elif isinstance(value, bool) and "::" not in name and (default is None or type(default) is str):
            raise ValueError(f"--{name}: expected text, a number or nothing, got {value!r}.")
        if name in choices and f"{choices[name]}::{value}" not in added:
            entries = overrides.get(choices[name], config[choices[name]])
            if not isinstance(value, str) or value not in entries:
                raise ValueError(f"--{name}: expected one of {', '.join(entries)}, got {value!r}.")


def given_settings(words: Sequence[str]) -> dict[str, Any]:
    """Return the settings among the words of a command line, as MONAI's runner reads them.

    Example:
        >>> given_settings(["--epochs=3", "--images", "{a: 8}", "--resume"])
        {'epochs': 3, 'images': {'a': 8}, 'resume': True}
    """
    return {name: DefaultParseValue(word) for name, word in given_words(words).items()}


def given_words(words: Sequence[str]) -> dict[str, str]:
    """Return the settings among the words of a command line as they were typed; of several, the last one.

    Example:
        >>> given_words(["--run_name=1e3", "--resume"])
        {'run_name': '1e3', 'resume': 'True'}

    Raises:
        ValueError: if data are given twice: both are wanted.
    """
    given: dict[str, str] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            continue  # a sub-command, or its argument
        name, equals, value = word[2:].partition("=")
        if not equals:
            value = left.pop(0) if left and not left[0].startswith("--") else "True"
        name = name.replace("-", "_")
        if name == "data" and name in given:
            raise ValueError("--data is given twice; several folders are a list: --data \"['a', 'b']\".")
        given[name] = value
    return given


def callers() -> Iterator[FrameType]:
    """Yield the frames of the functions that led here, the nearest first."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        yield frame


def running() -> dict[str, Any]:
    """Return the configuration that MONAI is resolving, with its overrides; as a component, of the whole workflow.

    MONAI gives a component no access to the configuration that it is part of. Its parser is the `self` of a caller,
    from the command line and from Python alike.

    Raises:
        RuntimeError: if no configuration is being resolved.

    Example:
        >>> parser = ConfigParser({"epochs": 3, "own": {"_target_": f"{__name__}.running"}})
        >>> parser.update({"epochs": 5})
        >>> parser.get_parsed_content("own")["epochs"]
        5
    """
    parser = _parser()
    return {name: _copied(value) for name, value in parser.get().items() if name != parser.meta_key}


def _parser() -> ConfigParser:
    for frame in callers():
        if isinstance(parser := frame.f_locals.get("self"), ConfigParser):
            return parser
    raise RuntimeError("no configuration is being resolved; use this as a component of one.")


def _copied(node: Any) -> Any:
    """Copy nested values, but not the objects in them."""
    if isinstance(node, dict):
        return {name: _copied(value) for name, value in node.items()}
    return [_copied(value) for value in node] if isinstance(node, list | tuple) else node


def plain_form(node: Any) -> Any:
    """Return nested values with numbers of Python for those of NumPy, and names for imported classes and functions.

    From Python, settings may be such objects. JSON and YAML cannot write them, and the text of a function is another
    in each process. The words true and false become booleans: MONAI's runner leaves them as text, which is true to
    Python.

    Example:
        >>> plain_form({"seed": np.int64(3), "sizes": [np.int8(4), "five"], "counter": {"_target_": pydoc.locate}})
        {'seed': 3, 'sizes': [4, 'five'], 'counter': {'_target_': 'pydoc.locate'}}
        >>> plain_form({"nesterov": "false"})
        {'nesterov': False}
    """
    if isinstance(node, str) and node.lower() in ("true", "false"):
        return switch(node)
    if type(node) is dict:
        plain = {name: plain_form(value) for name, value in node.items()}
        return {**plain, "_target_": _importable(node["_target_"])} if "_target_" in node else plain
    if type(node) in (list, tuple):
        return type(node)(plain_form(value) for value in node)
    return node.item() if isinstance(node, np.number | np.bool_) else node


def _importable(target: Any) -> Any:
    """Return the dotted name of a class or function, if that leads to it in other processes, too."""
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    if not callable(target) or module in (None, "__main__") or pydoc.locate(f"{module}.{name}") is not target:
        return target
    return f"{module}.{name}"


def make_plain() -> None:
    """Put the configuration that MONAI is resolving into its plain form, as far as it is not yet resolved.

    As a component it changes the configuration that it is part of.

    Example:
        >>> own = {"_target_": f"{__name__}.make_plain"}
        >>> parser = ConfigParser({"seed": np.int64(3), "own": own})
        >>> parser.get_parsed_content("own")
        >>> parser.get_parsed_content("seed"), parser["seed"]
        (3, 3)
    """
    parser = _parser()
    parser.config = plain_form(parser.config)
    for item in parser.ref_resolver.items.values():
        item.update_config(plain_form(item.get_config()))


def resolve(config_file: str | Path, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as the runner would run it.

    Args:
        config_file: complete configuration of a workflow.
        overrides: setting -> value, as on the command line.

    Raises:
        ValueError: for what `check_overrides` refuses.
    """
    config = ConfigParser.load_config_file(str(config_file))
    choices = {"loss": "losses", "network": "networks"}
    check_overrides(config, overrides, {name: block for name, block in choices.items() if block in config})
    parser = ConfigParser(config)
    parser.update(pairs=dict(overrides))
    return dict(parser.get())


def switch(value: bool | str) -> bool:
    """Return the value of a switch: MONAI's runner leaves `true` and `false` on the command line as strings.

    Raises:
        ValueError: if it is neither true nor false.

    Example:
        >>> switch("true"), switch("False"), switch(True)
        (True, False, True)
    """
    if str(value).lower() not in ("true", "false"):
        raise ValueError(f"expected true or false, got {value!r}.")
    return str(value).lower() == "true"


def evaluated(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in which expressions at the top level have their values, as far as those are plain.

    As a component it evaluates the configuration that it is part of.

    Args:
        settings: flattened, of the configuration that is being resolved.

    Example:
        >>> rates = {"_target_": f"{__name__}.evaluated", "settings": {"rate": "$0.1 * @scale", "x": 3}}
        >>> ConfigParser({"scale": 2, "rate": "$0.1 * @scale", "own": rates}).get_parsed_content("own")
        {'rate': 0.2, 'x': 3}
    """
    parser = _parser()
    names = [name for name, value in settings.items() if "::" not in name and str(value).startswith("$")]
    values = {name: parser.get_parsed_content(name) for name in names}
    return {
        **settings,
        **{name: value for name, value in values.items() if isinstance(value, bool | int | float | str)},
    }


def without_password(text: str) -> str:
    """Remove user names, passwords and tokens from the addresses in a text; JSON remains JSON.

    Example:
        >>> without_password("no answer from http://me:secret@server:5000/path")
        'no answer from http://server:5000/path'
    """
    text = re.sub(r"(?<=://)[^/\s]*@", "", text)
    value = r"(?:(?!\\*\")[^&\s])+"  # a quote ends it, with the backslashes that escape it in JSON
    return re.sub(rf"(?i)\b(password|passwd|token|secret)={value}", r"\1=***", text)


def _get(config: Mapping[str, Any], name: str, overrides: Mapping[str, Any]) -> Any:
    """Return the value of a nested id (a#b#c or a::b::c), None for an argument that a component may get."""
    parts = name.replace("#", "::").split("::")
    node: Any = config
    for position, part in enumerate(parts):
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        else:
            parents, below = parts[:position], parts[position + 1 :]
            given = {key.replace("#", "::"): value for key, value in overrides.items()}
            target = given.get("::".join([*parents, "_target_"]))
            arguments = (
                _arguments({**node, "_target_": target or node.get("_target_")}) if isinstance(node, dict) else []
            )
            if not below and (arguments is None or part in arguments):
                return None
            known = list(dict.fromkeys([*node, *(arguments or [])])) if isinstance(node, dict) else []
            close = nearest(part, known, cutoff=0.5)
            hint = f" Did you mean --{'::'.join([*parents, close, *below])}?" if close else ""
            if not parents:
                known = [key for key, value in config.items() if not isinstance(value, dict | list)]
            shown = [key for key in known if not key.startswith("_")]
            listed = f" {'::'.join(parents) or 'Plain settings'}: {', '.join(shown)}." if shown else ""
            raise ValueError(f"--{name} is not a setting of this bundle.{hint}{listed}")
    return node


def _joins(config: Mapping[str, Any], name: str, value: Any) -> bool:
    """Return whether a reference joins a block of references, such as what a training keeps; not if it is misspelt."""
    block, _, entry = name.replace("#", "::").partition("::")
    entries = config.get(block)
    if not isinstance(entries, dict) or not entries or not all(map(_is_reference, [value, *entries.values()])):
        return False
    close = nearest(entry, entries)
    return re.fullmatch(r"\w+", entry) is not None and entry not in entries and (close is None or close in entry)


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("@")


def _arguments(component: dict[str, Any]) -> list[str] | None:
    """Return the arguments that a component may get; None if it takes any, or cannot be inspected."""
    target = component["_target_"]
    if isinstance(target, str):
        target = pydoc.locate(str(ConfigComponent(component, locator=ComponentLocator()).resolve_module_name()))
    elif not callable(target):  # from Python, it is the class or function itself
        return []
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):  # not found, or without a signature
        return None
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return None
    return [*(one.name for one in parameters), "_disabled_", "_requires_", "_mode_", "_desc_"]


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict) and "_target_" not in value


def _is_component(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def _is_computed(value: Any) -> bool:
    return _is_component(value) or (isinstance(value, str) and value.startswith(("$", "@", "%")))


def _is_number(value: Any) -> bool:
    flag = isinstance(value, bool)  # one without a value is True
    return _is_computed(value) or (isinstance(value, numbers.Real) and not flag)
