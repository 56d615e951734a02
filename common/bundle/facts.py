"""Facts that a workflow states once: what follows them cannot be another on its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..command import PACKAGE
from .changed import is_block, is_same, references

__all__ = ["check_facts"]

OF_WEIGHTS = ("loaded", "record")
FACTS = frozenset(  # of the data and of the weights, at the top of a workflow
    (
        *(
            "data",
            "fold",
            "renamed",
            "label_sets",
            "labels",
            "training_labels",
            "training_data",
            "validation_data",
            "validation_labels",
            "items",
        ),
        *("epochs", "activation", "classes", "image_size", "image_shape"),
        *("normalisation", "intensity", "spacing", "window"),
        *OF_WEIGHTS,
    )
)
WHOLE = ("intensity", "image_shape", "training_labels", "window")  # facts that are what others make of them
OF_DATA = ("normalisation", "spacing")  # the prepared data have them; the record of a training says so
IN_OUR_COMPONENTS = frozenset(("dataset",))  # data that a loader of another kind may be given
FREE = ("_target_", "keys")  # of the preprocessing that the weights were trained with


def check_facts(file: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuse changes of arguments that a workflow takes from its facts, and of facts that it takes from its data.

    Such an argument refers to facts and to nothing else, such as "@classes" or "$list(@label_sets)"; a fold that is
    written out, such as that of a training, is a fact too, and so is all that is written out where images are prepared
    for weights. A component of another kind may be put in the place of one, and a value that a condition chooses may be
    another.

    Args:
        file: configuration of the workflow.
        config: it, with further files and overrides.

    Raises:
        ValueError: names the argument, what it follows, and the setting to use instead.

    Example:
        >>> file = {"classes": ["background", "lv"], "metric": {"classes": "@classes"}}
        >>> check_facts(file, {**file, "metric": {"classes": ["lv", "background"]}})
        Traceback (most recent call last):
        ...
        ValueError: --metric::classes follows classes; set --classes instead.
    """
    for name in OF_DATA:
        if _is_of_data(file, name) and not is_same(file[name], config.get(name)):
            raise ValueError(f"--{name} says how the data are prepared, and the record would repeat it; leave it out.")
    for name, stated, given in _contradictions(file, config):
        if not (facts := references(stated)):
            says = "the weights were trained so" if _is_prepared(name) else f"the result would say so of {given!r}"
            raise ValueError(f"--{name} is {stated} here, and {says}; leave it out.")
        fact = facts[0]
        if isinstance(stated, str) and stated == f"@{fact}" and is_same(given, config.get(fact)):
            continue  # the same in other words
        value = file.get(fact)
        if "trained" in [*references(value), *(file if fact in OF_WEIGHTS else ())]:
            raise ValueError(f"--{name} follows the weights; leave it out.")
        remedy = "leave it out" if is_block(value) or str(value).startswith(("$", "@")) else f"set --{fact} instead"
        raise ValueError(f"--{name} follows {fact}; {remedy}.")


def _is_of_data(file: Mapping[str, Any], name: str) -> bool:
    """Return whether a workflow takes a fact from its data: that of a training writes it into its record."""
    record = file.get("record", {})
    return name in file and "_target_" not in record and record.get(name) == f"@{name}"


def _contradictions(file: Any, config: Any, name: str = "", ours: bool = True) -> Iterator[tuple[str, Any, Any]]:
    """Yield the arguments that follow facts in a file and are others in a configuration: name, stated, given."""
    if isinstance(file, list) and isinstance(config, list):
        file, config = dict(enumerate(file)), dict(enumerate(config))
    if name in WHOLE and not is_same(file, config) and not (isinstance(file, Mapping) and isinstance(config, Mapping)):
        yield name, file, config
    elif isinstance(file, Mapping) and isinstance(config, Mapping):
        if "_target_" in file:
            ours = _is_ours(file["_target_"])
            if not _is_ours(config.get("_target_")) and not is_same(file["_target_"], config.get("_target_")):
                return
        for key in file:
            if key in config:
                yield from _contradictions(file[key], config[key], f"{name}::{key}" if name else str(key), ours)
    elif "::" in name and not name.rpartition("::")[2].isdigit() and not is_same(file, config):
        used = set(references(file)) if isinstance(file, str) else set()
        literal = name.endswith("::fold") and isinstance(file, str) and not file.startswith("$")
        chosen = isinstance(file, str) and " if " in file  # a default, such as the windows of a network
        follows = used <= FACTS | (IN_OUR_COMPONENTS if ours else set()) and not chosen
        if follows and (used or literal or _is_prepared(name)):
            yield name, file, config


def _is_prepared(name: str) -> bool:
    first, *_, last = name.split("::")
    return first == "preprocessing" and last not in FREE


def _is_ours(target: object) -> bool:
    return str(target).startswith(f"{PACKAGE}.")
