"""Identify content by digests, and trainings by all settings that change their result."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import Enum
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch

from .command import PACKAGE
from .own_code import code_of_configuration, dotted_name

__all__ = [
    "SPEED",
    "WITHOUT_EFFECT",
    "changes",
    "digest",
    "fingerprint",
    "flattened",
    "hashed",
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
REFERENCE = re.compile(r"[@%](#+|\w+)(?:(?:#|::)(\w+))?")  # an entry, or an entry of a block; # leads up
NAME = re.compile(rf"(?<![\w.]){PACKAGE}(?=\.\w)")
PLAIN = (  # whose text states them
    *(bool, int, float, str, bytes, range, slice, type(None), type(...), date, PurePath, Enum),
    *(np.generic, np.dtype, np.ndarray, torch.Tensor, torch.dtype, torch.device, torch.memory_format, torch.layout),
)
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
    only the chosen ones count, and those that they refer to. Paths do not count, but what they lead to: the data, the
    initial weights, and the code of components that are not in an installed library. Of this package that is the code
    of the folders `PARTS` (own_code.py).

    Args:
        configuration: of the training, with its overrides.
        data: checksum of the prepared folders.
        initial_weights: path of the weights that the training starts from; None: from scratch.
        processes: that share the training; one is not named.

    Raises:
        FileNotFoundError: if the initial weights are missing.
        ValueError: if a component is a built object (from Python), whose arguments nothing states.

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
        for name, _ in _references(configuration.get(found.pop())):
            if name in configuration and name not in reached and name not in WITHOUT_EFFECT:
                reached.add(name)
                found.append(name)
    content = {name: value for name, value in configuration.items() if name in reached}
    for block, choices in CHOSEN.items():
        given = [content.get(name) for name in choices]
        chosen = [str(name) for name in given if name in content.get(block, ())]
        if chosen and not any(str(name).startswith("$") for name in given):  # an expression may name any
            content[block] = _needed(block, chosen, content)
    _check_plain(content)
    settings = {name: value for name, value in flattened(content).items() if name not in WITHOUT_EFFECT}
    if initial_weights is not None and not Path(initial_weights).is_file():
        fault = "is a folder" if Path(initial_weights).is_dir() else "is missing"
        raise FileNotFoundError(f"{initial_weights} {fault}; --initial_weights expects the path of a model.pt.")
    weights = None if initial_weights is None else fingerprint(initial_weights)
    several = {"processes": processes} if processes > 1 else {}
    code = code_of_configuration(content, configuration.get("imports"), configuration.get("bundle_root"))
    return {**settings, **code, "data": data, "initial_weights": weights, **several}


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
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, np.ndarray | torch.Tensor):
        value = value.tolist()
    if isinstance(value, partial):
        value = [value.func, *value.args, value.keywords]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if not isinstance(value, type):
        value = dotted_name(value) or value
    text = NAME.sub("", str(value).replace("#", "::"))  # MONAI replaces #; a published copy has another name
    return text.lower() == "true" if text.lower() in ("true", "false") else text


def _needed(block: str, chosen: Iterable[str], content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chosen entries of a block and those that references lead to; all if one leads to any of them."""
    entries = content[block]
    kept, others = set[str](), [value for name, value in content.items() if name != block]
    waiting = [*chosen, *(inner for name, inner in _references(others) if name == block and inner in entries)]
    while waiting:
        kept.add(entry := waiting.pop())
        for name, inner in _references(entries[entry]):
            if name.startswith("#") or (name == block and inner not in entries):
                return dict(entries)
            if name == block and inner not in kept:
                waiting.append(inner)
    return {name: value for name, value in entries.items() if name in kept}


def _check_plain(node: Any, name: str = "") -> None:
    """Refuse built objects in a configuration."""
    if isinstance(node, partial):
        node = [node.func, *node.args, node.keywords]
    if isinstance(node, Mapping):
        for key, value in node.items():
            _check_plain(value, f"{name}::{key}" if name else str(key))
    elif isinstance(node, list | tuple | set | frozenset):
        for key, value in enumerate(node):
            _check_plain(value, f"{name}::{key}")
    elif not isinstance(node, PLAIN) and not dotted_name(node):
        raise ValueError(
            f"{name} is a built {type(node).__name__}, whose arguments nothing states, so another training would count "
            "as this one; give its dotted name, or its class and arguments, instead: {_target_: ..., ...}."
        )


def _references(node: Any) -> Iterator[tuple[str, str]]:
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
