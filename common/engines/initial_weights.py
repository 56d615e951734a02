"""Weights that a training starts from: made for the same classes and the same network."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .weights_record import contradictions, read_record

__all__ = ["check_initial_weights"]

LOGGER = logging.getLogger(__name__)
COMPARED = ("classes", "network")  # the same weights serve any image size


def check_initial_weights(weights: str | Path | None, record: Mapping[str, Any], network: nn.Module) -> None:
    """Refuse weights of other classes or of another network before a training starts from them.

    Weights of the same classes in another order would fit, and exchange the classes in silence; only the record beside
    them shows it. Weights without a record are accepted, with a line in the log.

    Args:
        weights: path of a state dict, or of a checkpoint that contains one as "network"; None: start from scratch.
        record: of the training that starts: activation, classes, network.
        network: that the weights are loaded into.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the weights were trained with other classes or another network, do not fit, or are unreadable.
    """
    if weights is None:
        return
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; --initial_weights expects the path of a model.pt.")
    trained = read_record(path)
    if wrong := contradictions(trained, {name: record[name] for name in COMPARED}):
        named = " and ".join(f"{name} {trained[name]}, not {value}" for name, value in wrong.items())
        settings = " and ".join(f"--{name}" for name in wrong)
        raise ValueError(
            f"weights of {path} were trained with {named}; use other --initial_weights, or set {settings}."
        )
    _check_tensors(path, network)
    if "classes" not in trained:
        LOGGER.warning("%s has no record: its classes and their order cannot be checked", path)
    elif contradictions(trained, {"activation": record["activation"]}):
        LOGGER.warning(
            "%s was trained with logits read by a %s; this loss reads them by a %s",
            *(path, trained["activation"], record["activation"]),
        )


def _check_tensors(path: Path, network: nn.Module) -> None:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found = {name: tuple(value.shape) for name, value in content.get("network", content).items()}
    except Exception as error:  # torch raises half a dozen types for a file that it did not write
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path} is not readable as weights ({reason}); use other --initial_weights.") from error
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    names = list({**expected, **found})
    if differ := [name for name in names if expected.get(name) != found.get(name)]:
        first = differ[0]
        there, here = (str(shapes.get(first, "missing")) for shapes in (found, expected))
        raise ValueError(
            f"{path} does not fit this network: {len(differ)} of {len(names)} tensors differ, the first is {first}: "
            f"{there} in the weights, {here} in the network. Use other weights, or set --network or --classes."
        )
