"""Components that a workflow chooses by name, such as its loss: the chosen one has to exist."""

from __future__ import annotations

import pydoc
from collections.abc import Iterator, Mapping
from typing import Any

from monai.bundle import ComponentLocator, ConfigComponent, ConfigParser

from ..command import PACKAGE
from ..spelling import nearest

__all__ = ["check_batched", "check_chosen"]


ON_BATCHES = (  # of MONAI's transforms, those that ask for no axes
    *("Compose", "OneOf", "RandomOrder", "SomeOf", "Identity", "Identityd", "Lambda", "Lambdad"),
    *("EnsureType", "EnsureTyped", "CastToType", "CastToTyped", "ToTensor", "ToTensord", "ToDevice", "ToDeviced"),
    *("DeleteItemsd", "SelectItemsd", "CopyItemsd", "FlattenSubKeysd", "DataStats", "DataStatsd"),
    *("ShiftIntensity", "ShiftIntensityd", "ScaleIntensityRange", "ScaleIntensityRanged"),
    *("ThresholdIntensity", "ThresholdIntensityd", "MapLabelValue", "MapLabelValued"),
)
APPLIED = ("monai.transforms.", f"{PACKAGE}.transforms.")  # what they contain is applied to what they get


def check_chosen(config: Mapping[str, Any], choices: Mapping[str, str], found: bool = True) -> None:
    """Refuse a choice that its block does not have, or whose code is not there.

    Args:
        config: configuration of a workflow, with its overrides.
        choices: setting that names an entry of a block -> that block.
        found: whether its code is looked for, too.

    Raises:
        ValueError: names the setting, and what is there.

    Example:
        >>> losses = {"mine": {"_target_": "torch.nn.L1Los"}}
        >>> check_chosen({"loss": "mine", "losses": losses}, {"loss": "losses"})
        Traceback (most recent call last):
        ...
        ValueError: losses::mine is torch.nn.L1Los, but torch.nn has no L1Los. Did you mean L1Loss?
    """
    for setting, block in choices.items():
        name, entries = config.get(setting), config.get(block)
        if not isinstance(name, str) or name.startswith(("$", "@", "%")) or not isinstance(entries, Mapping):
            continue  # computed, or taken from the weights
        if name not in entries:
            there = f"expected one of {', '.join(entries)}" if entries else f"but {block} is empty"
            raise ValueError(f"--{setting} is {name}, {there}.")
        if found:
            _check_target(f"{block}::{name}", entries[name])


def check_batched(config: Mapping[str, Any]) -> None:
    """Refuse transforms of single images where a training transforms whole batches: their axes would be others.

    Raises:
        ValueError: names the transform.

    Example:
        >>> check_batched({"augmentation": {"_target_": "RandFlipd", "keys": ["image", "label"]}})
        Traceback (most recent call last):
        ...
        ValueError: augmentation gets whole batches (B, C, *spatial), but RandFlipd takes one image (C, *spatial); ...
    """
    for name in ("augmentation", "train::preprocessing"):
        for path in _transforms(ConfigParser(dict(config)).get(name)):
            if not path.startswith("monai.transforms."):
                continue
            last = getattr(pydoc.locate(path), "__name__", path)  # for an alias, too
            if last not in ON_BATCHES:
                raise ValueError(
                    f"{name} gets whole batches (B, C, *spatial), but {last} takes one image (C, *spatial); use "
                    f"the transforms of {PACKAGE}.transforms, or one of your own that takes batches."
                )


def _transforms(component: Any) -> Iterator[str]:
    """Yield the paths of a component and of those within it, as far as they are written out.

    Components of the user may give single images to what they contain.
    """
    if isinstance(component, Mapping):
        target = component.get("_target_")
        path = _path(component) if isinstance(target, str) and not target.startswith("$") else ""
        if callable(target):  # from Python, the class itself
            path = f"{target.__module__}.{getattr(target, '__name__', '')}"
        yield from [path] if path else []
        component = list(component.values()) if path.startswith(APPLIED) or "_target_" not in component else ()
    for item in component if isinstance(component, list | tuple) else ():
        yield from _transforms(item)


def _path(component: Mapping[str, Any]) -> str:
    """Return the dotted path of the class or function of a component, as MONAI finds it."""
    return str(ConfigComponent(dict(component), locator=ComponentLocator()).resolve_module_name())


def _check_target(name: str, component: Any) -> None:
    """Refuse a component, or one within it, whose class or function is not found."""
    if isinstance(component, Mapping):
        target = component.get("_target_")
        if isinstance(target, str) and not target.startswith("$"):
            path = _path(component)
            if pydoc.locate(path) is None:
                raise ValueError(f"{name} is {target}, but {_missing(path)}")
    items = component.items() if isinstance(component, Mapping) else ()
    for key, value in enumerate(component) if isinstance(component, list) else items:
        _check_target(f"{name}::{key}", value)


def _missing(path: str) -> str:
    """Say which part of a dotted path is not found, and what is nearest to it."""
    above, _, last = path.rpartition(".")
    if above and (found := pydoc.locate(above)) is not None:
        close = nearest(last, dir(found), cutoff=0.5)
        return f"{above} has no {last}.{f' Did you mean {close}?' if close else ''}"
    return _missing(above) if above else f"{last} is missing; is its folder in PYTHONPATH?"
