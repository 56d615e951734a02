"""Read weights: the bytes once, so that a training which replaces the file cannot mix two states."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..identity import digest
from .weights_record import record_path, recorded_digest

__all__ = ["check_fit", "load_weights"]

NESTED = ("network", "model", "state_dict")  # where checkpoints of this and other projects keep the weights
WAITS = (0.1, 0.3, 0.6, 0.0)  # seconds until record and weights are read again
PARALLEL = "module."  # prefix of the names in a network that was wrapped for several devices


def load_weights(path: str | Path, option: str = "--checkpoint") -> tuple[dict[str, Tensor], str]:
    """Read a state dict and the digest of its file.

    Weights within a checkpoint (under "network", "model" or "state_dict") are taken out, and the prefix "module." of
    wrapped networks is removed.

    Args:
        path: of the weights.
        option: that chose the path, named as the remedy.

    Returns:
        The state dict, on the CPU, and the SHA-256 of the file, hexadecimal.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is not readable, holds something else than one state dict of finite numbers, or is
            not the file that the record beside it describes.

    Example:
        >>> from tempfile import mkdtemp
        >>> path = Path(mkdtemp()) / "model.pt"
        >>> torch.save({"state_dict": {"module.weight": torch.ones(1)}}, path)
        >>> load_weights(path)[0]
        {'weight': tensor([1.])}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {option} expects the path of weights, such as a model.pt.")
    content, own = _read(path, option)
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # torch raises half a dozen types, and advises to load the file without the safeguard
        reason = "torch did not save it, it is cut off, or it holds more than tensors"
        raise ValueError(f"{path} is not readable as weights ({reason}); give other weights ({option} PATH).") from None
    while isinstance(found, Mapping) and (inner := [key for key in NESTED if isinstance(found.get(key), Mapping)]):
        if len(inner) > 1:
            raise ValueError(
                f"{path} holds several networks ({', '.join(inner)}); save the state dict of one, and give that file "
                f"({option} PATH)."
            )
        found = found[inner[0]]
    tensors = isinstance(found, Mapping) and all(isinstance(value, Tensor) for value in found.values())
    if not tensors or not found:
        held = f"the keys {', '.join(map(str, found))[:200]}" if isinstance(found, Mapping) else type(found).__name__
        raise ValueError(f"{path} holds no weights but {held}; expected a state dict ({option} PATH).")
    if all(str(name).startswith(PARALLEL) for name in found):
        found = {name.removeprefix(PARALLEL): value for name, value in found.items()}
    if spoilt := [name for name, value in found.items() if not torch.isfinite(value).all()]:
        kind = "NaN" if torch.isnan(found[spoilt[0]]).any() else "infinite numbers"
        more = f" and {len(spoilt) - 1} more tensors" if len(spoilt) > 1 else ""
        raise ValueError(
            f"{path} holds {kind} in {spoilt[0]}{more}: its training diverged; give other weights ({option} PATH)."
        )
    return dict(found), own


def _read(path: Path, option: str) -> tuple[bytes, str]:
    """Return the bytes of weights and their digest; refuse those that their record does not describe."""
    for wait in WAITS:  # a training writes the record first
        content, stated = path.read_bytes(), recorded_digest(path)
        own = digest(content)
        if stated in (None, own[:16]):
            return content, own
        time.sleep(wait)
    raise ValueError(
        f"{path} is not the file that its record describes ({record_path(path).name}: {stated}, not {own[:16]}). "
        "Copy both files again from one training, or resume the training if it was killed while it wrote them; "
        f"or choose other weights ({option} PATH)."
    )


def check_fit(weights: Mapping[str, Tensor], network: nn.Module, path: str | Path, remedy: str) -> None:
    """Refuse weights whose names or shapes differ from those of a network.

    Args:
        weights: state dict.
        network: that it is for.
        path: of the weights, for the message.
        remedy: the end of the message.

    Raises:
        ValueError: names the first tensor that differs.
    """
    both = (weights, network.state_dict())
    found, expected = ({name: tuple(value.shape) for name, value in own.items()} for own in both)
    names = list({**expected, **found})
    if differ := [name for name in names if expected.get(name) != found.get(name)]:
        first = differ[0]
        there, here = (str(shapes.get(first, "missing")) for shapes in (found, expected))
        raise ValueError(
            f"{path} does not fit this network: {len(differ)} of {len(names)} tensors differ, the first is {first}: "
            f"{there} in the weights, {here} in the network. {remedy}"
        )
