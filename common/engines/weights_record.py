"""The record of weights: what everybody who uses them has to know, in a file beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..atomic import write_text

__all__ = ["weights_record", "write_record"]


def write_record(checkpoint: Path, record: Mapping[str, Any]) -> None:
    """Write the record of weights: `model.json` for `model.pt`."""
    write_text(checkpoint.with_suffix(".json"), json.dumps(dict(record), indent=1) + "\n")


def weights_record(checkpoint: str | Path, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Read the record of weights, and check what a run states about them.

    Args:
        checkpoint: path of the weights, `<stem>.pt`; a training writes `<stem>.json` beside it.
        stated: settings of the run that the record must not contradict; None is not stated.

    Returns:
        The record, with what the run states.

    Raises:
        FileNotFoundError: if the weights are missing; the message explains how to get them.
        ValueError: if a stated value contradicts the record, or neither says how logits are read (`activation`).

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
            "or choose other weights with --checkpoint PATH; those of a bundle are found by --bundle_root FOLDER."
        )
    path = weights.with_suffix(".json")
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:  # cut off, or edited by hand
        raise ValueError(f"{path} is not readable JSON ({error}); copy it again with its weights.") from error
    given = {name: value for name, value in stated.items() if value is not None}
    if wrong := {name: value for name, value in given.items() if name in record and record[name] != value}:
        trained = ", ".join(f"{name} {record[name]}, not {value}" for name, value in wrong.items())
        right = " ".join(f"--{name} {_word(record[name])}" for name in wrong)
        raise ValueError(f"{weights} was trained with {trained}; use {right}, or other weights (--checkpoint PATH).")
    record |= given
    if "activation" not in record:
        raise ValueError(
            f"{weights} has no record that says how to read its logits ({path.name}). Add --activation softmax "
            "(classes exclude each other) or --activation sigmoid (one sigmoid per class, as AdaptiveBCELoss)."
        )
    return record


def _word(value: Any) -> str:
    """Write a value as a word of a command line."""
    return f'"{value}"' if isinstance(value, list) else str(value)
