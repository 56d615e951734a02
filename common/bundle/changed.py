"""What further files and overrides change in the configuration of a workflow, and whether it knows that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..configuration import check_overrides

__all__ = ["changed_settings", "check_changes", "is_block", "is_known", "is_same", "references"]

REFERENCE = re.compile(r"[@%](\w+)")
NESTED = re.compile(r"[@%](\w+(?:(?:::|#)\w+)+)")


def references(value: object) -> list[str]:
    """Return the top-level names that a value refers to.

    Example:
        >>> references("$list(@label_sets)"), references({"lr": "@record::rate"})
        (['label_sets'], ['record'])
    """
    return REFERENCE.findall(str(value))


def is_same(one: Any, other: Any) -> bool:
    """Return whether two values of a configuration are the same; MONAI replaces # in one that it has read."""
    return repr(one).replace("#", "::") == repr(other).replace("#", "::")


def is_block(node: Any) -> bool:
    """Return whether a value is a part of a workflow, such as a component, and not plain names with values.

    Example:
        >>> is_block({"ce": {"_target_": "CrossEntropyLoss"}}), is_block({"classes": "@classes"})
        (True, True)
        >>> is_block({"camus": 200}), is_block({})
        (False, False)
    """
    return isinstance(node, Mapping) and any(sign in str(node) for sign in ("_target_", "'@", "'$", "'%"))


def changed_settings(
    files: Sequence[Mapping[str, Any]], config: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a configuration that none of some files has, from the outside in.

    Example:
        >>> file = {"optimizer": {"_target_": "SGD", "lr": 1}, "images": {}, "seed": 0}
        >>> dict(changed_settings([file], {"optimizer": {"_target_": "SGD", "lr": 2}, "images": {"a": 3}, "seed": 0}))
        {'optimizer::lr': 2, 'images': {'a': 3}}
    """
    for key, value in config.items():
        name = f"{above}::{key}" if above else str(key)
        found = [file[key] for file in files if key in file]
        if any(is_same(value, one) for one in found):
            continue
        blocks = [one for one in found if is_block(one)]
        if blocks and isinstance(value, dict):
            yield from changed_settings(blocks, value, name)
        else:
            yield name, value


def is_known(file: Mapping[str, Any], name: str) -> bool:
    """Return whether a configuration has a setting, or a component that may get it."""
    try:
        check_overrides(file, {name: "$"}, {})
    except ValueError:
        return False
    return True


def check_changes(
    file: Mapping[str, Any], config: Mapping[str, Any], changed: Mapping[str, Any], run_ids: Iterable[str] = ()
) -> None:
    """Refuse changes that a workflow does not know, or that make a component one that cannot be built.

    A new name is known if anything refers to it or to what it contains, or if it is a component that joins a block of
    components. An argument of a component is known by the component alone.

    Args:
        file: configuration of a workflow.
        config: it, with the changes.
        changed: setting -> value (`changed_settings`).
        run_ids: names that are run.

    Raises:
        ValueError: for a name that is not known, with the nearest that is; for a value of another kind; for a component
            without its `_target_`.

    Example:
        >>> file = {"rate": 1, "run": ["$@rate"]}
        >>> check_changes(file, {**file, "rat": 2}, {"rat": 2})
        Traceback (most recent call last):
        ...
        ValueError: --rat is not a setting of this bundle. Did you mean --rate? Plain settings: rate.
    """
    used = {*references(config), *run_ids, *_nested(config)}
    new = [name for name in changed if not is_known(file, name)]
    joining = {name for name in new if name.startswith("_") or _is_new(config, name, changed[name], used)}
    check_overrides(file, {name: value for name, value in changed.items() if name not in joining}, {})
    _check_targets(file, config)
    for name, value in changed.items():
        _check_components(name, value)


def _nested(value: object) -> Iterator[str]:
    """Yield the nested names that a value refers to, and those above them."""
    for name in NESTED.findall(str(value)):
        parts = name.replace("#", "::").split("::")
        yield from ("::".join(parts[: count + 1]) for count in range(1, len(parts)))


def _is_new(config: Mapping[str, Any], name: str, value: Any, used: set[str]) -> bool:
    """Return whether a new name is one that is used, or a component that joins a block, such as a further loss."""
    *parents, _ = name.split("::")
    block: Any = config
    for part in parents:
        block = block[int(part) if isinstance(block, list) else part]
    if isinstance(block, Mapping) and "_target_" in block:
        return False
    return name in used or (bool(parents) and isinstance(value, dict) and "_target_" in value)


def _check_components(name: str, value: Any) -> None:
    """Refuse arguments that the components within a value do not have."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in items:
        _check_components(f"{name}::{key}", item)
    if isinstance(value, dict) and "_target_" in value:
        arguments = {f"value::{key}": item for key, item in value.items() if key != "_target_"}
        try:
            check_overrides({"value": {"_target_": value["_target_"]}}, arguments, {})
        except ValueError as error:
            raise ValueError(str(error).replace("--value", f"--{name}")) from None


def _check_targets(file: Any, config: Any, name: str = "") -> None:
    """Refuse a mapping in the place of a component."""
    if not isinstance(file, Mapping) or not isinstance(config, Mapping):
        return
    if "_target_" in file and "_target_" not in config:
        arguments = " and ".join(f"{name}::{key}" for key in config) or f"{name}::ARGUMENT"
        raise ValueError(f"--{name}: expected a component with a _target_; to change its arguments, set {arguments}.")
    for key in file.keys() & config.keys():
        _check_targets(file[key], config[key], f"{name}::{key}" if name else str(key))
