"""The architecture of a network with its arguments, as plain values that stand in the record of its weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from torch import Tensor, nn

from ..command import PACKAGE
from ..networks import MeanOfNetworks
from ..own_code import own_code
from .weights import check_fit, load_weights
from .weights_record import weights_record

__all__ = ["architecture_of", "build_network", "check_code", "check_explicit_network", "network_of", "with_weights"]

OTHERS = "Use other weights (--checkpoint PATH)"
DROPOUT = "_dropout_"  # of the training: networks that are built to be used have none
CODE = "_code_"  # of a network in the user's own files: file -> digest, as it was trained


def architecture_of(
    factory: Any, dropout: Mapping[str, Any] | None = None, together: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Describe what a factory builds.

    Args:
        factory: a class, or `functools.partial` of it with keyword arguments: an entry of `networks` with
            `_mode_: callable`.
        dropout: `rate` and `layers` of the dropout that a training adds (`place_dropout`).
        together: `partner`, another factory, and `activation`: what both build predicts together (`MeanOfNetworks`).

    Returns:
        `_target_`, the shortest address of the class (it begins with a dot within this package, whose name differs
        between copies), its arguments, `_dropout_` if the training has it, and `_code_`, the digests of the files, if
        they are the user's own.

    Raises:
        ValueError: if the network is already built, or an argument is not a plain value.

    Example:
        >>> architecture_of(partial(nn.Conv2d, in_channels=1, out_channels=2, kernel_size=(3, 1)))
        {'_target_': 'torch.nn.Conv2d', 'in_channels': 1, 'out_channels': 2, 'kernel_size': [3, 1]}
    """
    if together:
        both = [architecture_of(one, dropout) for one in (factory, together["partner"])]
        return {"_target_": _address(MeanOfNetworks), "networks": both, "activation": together["activation"]}
    if not callable(factory) or isinstance(factory, nn.Module):
        raise ValueError(
            f"the network {type(factory).__name__} is built already; add `_mode_: callable` to its entry of networks."
        )
    component, arguments = (factory.func, factory.keywords) if isinstance(factory, partial) else (factory, {})
    plain = {}
    for name, value in arguments.items():
        try:
            plain[name] = json.loads(json.dumps(value))  # lists for tuples, as in the record
        except TypeError:
            raise ValueError(
                f"the argument {name} of {component.__qualname__} is {value!r}, which a record of weights cannot hold; "
                "expected numbers, text, lists or mappings."
            ) from None
    placed = {DROPOUT: dict(dropout)} if dropout and dropout["rate"] else {}
    address = _address(component)
    code = {} if address.startswith(".") else own_code(address)
    return {"_target_": address, **plain, **placed, **({CODE: code} if code else {})}


def _address(component: Any) -> str:
    parts, name = component.__module__.split("."), component.__qualname__
    prefixes = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    module = next((one for one in prefixes if getattr(sys.modules.get(one), name, None) is component), prefixes[-1])
    own = module == PACKAGE or module.startswith(f"{PACKAGE}.")
    return f"{module.removeprefix(PACKAGE) if own else module}.{name}"


def build_network(architecture: Mapping[str, Any]) -> nn.Module:
    """Build a network from its architecture, without the dropout of its training.

    Records come with weights from elsewhere: only subclasses of `torch.nn.Module` are built.

    Raises:
        ValueError: if the class is missing, is not a network, or does not take the arguments; or if its code is not
            that of the training.

    Example:
        >>> build_network({"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 1})
        Linear(in_features=2, out_features=1, bias=True)
    """
    check_code(architecture)
    arguments = _arguments(architecture)
    for name, value in arguments.items():
        if isinstance(value, list) and all(isinstance(one, dict) and "_target_" in one for one in value):
            arguments[name] = [build_network(one) for one in value]
    target = str(arguments.pop("_target_", ""))
    try:
        found = resolve_name(f"{PACKAGE}{target}" if target.startswith(".") else target)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"the record of the weights names the network {target!r}, which is not here ({error})."
        ) from error
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ValueError(f"the record of the weights names {target!r} as their network; expected a torch.nn.Module.")
    try:
        return found(**arguments)
    except Exception as error:
        raise ValueError(f"{target} cannot be built as the record of the weights says: {error}") from error


def check_code(architecture: Mapping[str, Any]) -> None:
    """Refuse a network in the user's own files whose code is not that of the training.

    Raises:
        ValueError: names the file.

    Example:
        >>> check_code({"_target_": "mine.Net", "_code_": {"mine.py": "ba7816bf8f01cfea"}})
        Traceback (most recent call last):
        ...
        ValueError: mine.py is missing, code of mine.Net; restore it as it was in training, or train again.
    """
    then, target = architecture.get(CODE) or {}, str(architecture.get("_target_"))
    now = own_code(target) if then else {}
    for file in then:
        if then[file] != now.get(file):
            wrong = "changed since the training" if file in now else "is missing"
            raise ValueError(f"{file} {wrong}, code of {target}; restore it as it was in training, or train again.")


def _arguments(architecture: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in architecture.items() if name not in (DROPOUT, CODE)}


def network_of(record: Mapping[str, Any], networks: Mapping[str, Any], given: Sequence[str] = ()) -> nn.Module:
    """Build the network that weights are for: as their record says, or by hand if it does not say so.

    Args:
        record: of the weights.
        networks: name -> factory.
        given: names of the settings below `networks` that a run states, such as "networks::unet::channels".

    Raises:
        ValueError: if a stated setting contradicts the record, or neither has the network; or if the code of the
            network is not that of the training.
    """
    name, recorded = record["network"], record.get("architecture")
    if recorded is None:
        if name not in networks:
            raise ValueError(f"--network: expected one of {', '.join(networks)}, got {name!r}.")
        network = networks[name]
        return network if isinstance(network, nn.Module) else network()
    check_code(recorded)
    architecture = _arguments(recorded)
    for setting in given:
        _, own, *rest = setting.replace("#", "::").split("::")
        here = _at(architecture_of(networks[own]), rest) if own == name else ""
        there = _at(architecture, rest)
        if own != name or there != here:
            trained = f"network {name}" if own != name else f"{'::'.join(rest)} {there}"
            raise ValueError(
                f"the weights were trained with {trained}, not --{setting} {here}; leave it out. {OTHERS}."
            )
    if name in networks and _arguments(architecture_of(networks[name])) == architecture:
        return networks[name]()  # type: ignore[no-any-return]
    return build_network(architecture)


def _at(node: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        node = node.get(part) if isinstance(node, Mapping) else node[int(part)] if isinstance(node, list) else None
    return node


def with_weights(network: nn.Module, weights: Mapping[str, Tensor], path: str | Path) -> nn.Module:
    """Load a state dict into a network and return it.

    Raises:
        ValueError: if names or shapes differ; the message names the first.
    """
    check_fit(weights, network, path, f"{OTHERS}, or state their --network, --networks::NAME::ARGUMENT and --classes.")
    network.load_state_dict(weights)
    return network


def check_explicit_network(checkpoint: str | Path, stated: Mapping[str, Any], network: nn.Module) -> None:
    """Refuse weights for which a configuration spells out other facts, or that MONAI's loader cannot read.

    Args:
        checkpoint: path of the weights.
        stated: what the configuration says about them.
        network: as the configuration builds it.

    Raises:
        FileNotFoundError: if the weights are missing.
        ValueError: names what differs.
    """
    record = weights_record(checkpoint, stated)
    remedy = (
        "evaluate.yaml and measure.yaml build the network as the weights say; here, state --network_def::ARGUMENT VALUE"
    )
    if "architecture" in record:
        there, here = (str(one).splitlines() for one in (build_network(record["architecture"]), network))
        if differ := next((pair for pair in zip_longest(there, here, fillvalue="nothing") if len(set(pair)) > 1), None):
            trained, given = map(str.strip, differ)
            raise ValueError(f"{checkpoint} was trained with another network: {trained}, not {given}; {remedy}.")
    weights, _ = load_weights(checkpoint)
    check_fit(weights, network, checkpoint, f"{OTHERS}; {remedy}.")
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    if content.get("model", content).keys() != weights.keys():
        raise ValueError(
            f"{checkpoint} holds its weights within a checkpoint or under other names, where MONAI's loader does not "
            f'look; write them with torch.save({PACKAGE}.engines.load_weights("{checkpoint}")[0], "model.pt").'
        )
