"""The record of weights: what everybody who uses them has to know, in a file beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..atomic import write_text

__all__ = ["contradictions", "read_record", "weights_record", "write_record"]

KINDS = {"activation": str, "classes": list, "image_size": int, "network": str, "loss": str}


def write_record(checkpoint: Path, record: Mapping[str, Any]) -> None:
    """Write the record of weights: `model.json` for `model.pt`."""
    write_text(checkpoint.with_suffix(".json"), json.dumps(dict(record), indent=1) + "\n")


def read_record(checkpoint: Path) -> dict[str, Any]:
    """Read the record of weights; empty if they have none.

    Raises:
        ValueError: if the record is damaged.
    """
    path = checkpoint.with_suffix(".json")
    if not path.is_file():
        return {}
    again = "copy it again with its weights"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # cut off, or edited by hand
        raise ValueError(f"{path} is not readable JSON ({error}); {again}.") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path} is not a record of weights: expected names with values, got {record!r}; {again}.")
    for name, kind in KINDS.items():
        if name in record and type(record[name]) is not kind:
            got = repr(record[name])
            raise ValueError(f"{path} is damaged: expected {name} to be {kind.__name__}, got {got}; {again}.")
    return record


def contradictions(record: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stated values that a record contradicts; None is not stated.

    Example:
        >>> contradictions({"classes": ["background", "lv"], "image_size": 64}, {"image_size": 32, "network": "unet"})
        {'image_size': 32}
    """
    given = {name: value for name, value in stated.items() if value is not None}
    return {name: value for name, value in given.items() if name in record and record[name] != value}


def weights_record(checkpoint: str | Path, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Read the record of weights, and check what a run states about them.

    Args:
        checkpoint: path of the weights, `<stem>.pt`; a training writes `<stem>.json` beside it.
        stated: settings of the run that the record must not contradict; None is not stated.

    Returns:
        The record, with what the run states.

    Raises:
        FileNotFoundError: if the weights are missing; the message explains how to get them.
        ValueError: if a stated value contradicts the record, the record is damaged, or neither says how logits are read
            (`activation`).

    Example:
        >>> from tempfile import mkdtemp
        >>> weights = Path(mkdtemp()) / "model.pt"
        >>> weights.touch()
        >>> write_record(weights, {"activation": "sigmoid", "image_size": 160})
        >>> weights_record(weights, {"activation": None, "image_size": 160})
        {'activation': 'sigmoid', 'image_size': 160}
    """
    weights = Path(checkpoint)
    if not weights.is_file():
        raise FileNotFoundError(
            f"{weights} is missing. Train first with the same --loss, --network, --label_dropout and --seed, "
            "or choose other weights with --checkpoint PATH."
        )
    record = read_record(weights)
    if wrong := contradictions(record, stated):
        trained = ", ".join(f"{name} {record[name]}, not {value}" for name, value in wrong.items())
        right = " ".join(f"--{name} {_word(record[name])}" for name in wrong)
        raise ValueError(f"{weights} was trained with {trained}; use {right}, or other weights (--checkpoint PATH).")
    record |= {name: value for name, value in stated.items() if value is not None}
    if "activation" not in record:
        raise ValueError(
            f"{weights} has no record that says how to read its logits ({weights.stem}.json). Add --activation softmax "
            "(classes exclude each other) or --activation sigmoid (one sigmoid per class, as AdaptiveBCELoss)."
        )
    return record


def _word(value: Any) -> str:
    """Write a value as a word of a command line."""
    return f'"{value}"' if isinstance(value, list) else str(value)
