"""The record of weights: what everybody who uses them has to know, in a file beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
import yaml

from ..atomic import write_text
from ..identity import digest, settings_digest
from ..losses.contract import ACTIVATIONS

__all__ = [
    "NORMALISATION",
    "SEEN",
    "WeightsRecord",
    "check_own",
    "contradictions",
    "read_record",
    "recorded_digest",
    "weights_record",
    "write_record",
]

NORMALISATION = "grey value / 255"  # of the network's images, in training and in use
SEEN = 12  # hexadecimal digits of an image that a training has seen
NOTHING = type(None)
KINDS: dict[str, tuple[type, ...]] = {
    "activation": (str,),
    "classes": (list,),
    "datasets": (list,),
    "hidden": (dict,),
    "image_size": (int, list),  # sides of a patch of a volume
    "network": (str,),
    "loss": (str,),
    "predict_with": (str,),
    "architecture": (dict,),
    "normalisation": (str, dict),
    "renamed": (dict,),
    "seen": (dict,),
    "spacing": (list, dict, NOTHING),
    "training": (str, NOTHING),
    "weights": (str,),
}
OF_TRAINING = ("model.pt", "last.pt")  # weights that a training writes
BY_HAND = {
    "classes": '--classes "[background, ...]"',
    "image_size": "--image_size PIXELS",
    "activation": "--activation softmax (classes exclude each other) or sigmoid (one sigmoid per class)",
    "network": "--network NAME (with --networks::NAME::ARGUMENT VALUE where its arguments differ)",
}
BY_HAND_OF_VOLUMES = {
    "normalisation": '--normalisation "{window: [LOW, HIGH], mean: MEAN, sd: SD}"',
    "spacing": '--spacing "[X, Y, Z]" (mm)',
}


class WeightsRecord(dict[str, Any]):
    """What weights say about themselves; asking for a fact that they do not state is an error that names it.

    Args:
        facts: name -> value.
        weights: their path.

    Example:
        >>> facts = {"classes": ["background", "lv"], "network": "unet", "activation": "softmax"}
        >>> WeightsRecord(facts, Path("w.pt"))["image_size"]
        Traceback (most recent call last):
        ...
        ValueError: w.pt has no record that says its image_size (w.json). State what it lacks: --image_size PIXELS.
    """

    def __init__(self, facts: Mapping[str, Any], weights: Path) -> None:
        super().__init__(facts)
        self.weights = weights

    def __missing__(self, name: str) -> Any:
        options = BY_HAND | BY_HAND_OF_VOLUMES if name in BY_HAND_OF_VOLUMES else BY_HAND
        lacking = ", ".join(option for fact, option in options.items() if fact not in self)
        path = record_path(self.weights)
        raise ValueError(
            f"{self.weights} has no record that says its {name} ({path.name}). State what it lacks: {lacking}."
        )


def record_path(checkpoint: Path) -> Path:
    """Return the path of the record of weights; a training writes one for `model.pt` and `last.pt`."""
    return checkpoint.with_name("model.json") if checkpoint.name == "last.pt" else checkpoint.with_suffix(".json")


def write_record(checkpoint: Path, record: Mapping[str, Any], content: bytes) -> None:
    """Write the record of weights, `model.json` for `model.pt`.

    Args:
        checkpoint: path of the weights.
        record: of them.
        content: of their file, whose digest the record states as `weights`.
    """
    stated = {**record, "weights": digest(content)[:16]}
    write_text(record_path(checkpoint), json.dumps(stated, indent=1) + "\n")


def recorded_digest(checkpoint: Path) -> str | None:
    """Return the first 16 digits of the SHA-256 that the record of weights states; None if it states none.

    The record beside `last.pt` is that of `model.pt`.
    """
    if checkpoint.name == "last.pt":
        return None
    return read_record(checkpoint).get("weights")


def read_record(checkpoint: str | Path, volumes: bool | None = None) -> WeightsRecord:
    """Read the record of weights; empty if they have none.

    Args:
        checkpoint: path of the weights.
        volumes: whether their images have to be volumes (normalised by window, mean and standard deviation), or must
            not be; None: either.

    Raises:
        FileNotFoundError: if the weights are missing; the message explains how to get them.
        ValueError: if the record is damaged or impossible, or the images of the training were normalised differently.
    """
    weights = Path(checkpoint)
    if not weights.is_file():
        raise FileNotFoundError(
            f"{weights} is missing. Train first, or choose other weights with --checkpoint PATH or --run_name NAME; "
            "those of a bundle are found by --bundle_root FOLDER."
        )
    path = record_path(weights)
    if not path.is_file():
        return WeightsRecord({}, weights)
    again = "copy it again with its weights"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # cut off, or edited by hand
        raise ValueError(f"{path} is not readable JSON ({error}); {again}.") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path} is not a record of weights: expected names with values, got {record!r}; {again}.")
    for name, kinds in KINDS.items():
        if name in record and type(record[name]) not in kinds:
            got = repr(record[name])
            raise ValueError(f"{path} is damaged: expected {name} to be {kinds[0].__name__}, got {got}; {again}.")
    if damage := _impossible(record):
        raise ValueError(f"{path} is damaged: {damage}; {again}.")
    other = record.get("normalisation", NORMALISATION)
    if _normalised_otherwise({"normalisation": other}, volumes):
        if volumes and not isinstance(other, dict):
            raise ValueError(
                f"{weights} was trained on pictures (normalisation {other}), not on volumes; use other weights."
            )
        raise ValueError(f"{weights} was trained with normalisation {other}, not {NORMALISATION}; use other weights.")
    if weights.name in OF_TRAINING and (settings := _settings(weights.parent)) is not None:
        check_own(weights, record, settings)
    if weights.name in OF_TRAINING and (wrong := contradictions(record, _trained_with(weights.parent))):
        said = ", ".join(f"{name} {record[name]}, not {value}" for name, value in wrong.items())
        raise ValueError(f"{path} says {said} as config.yaml beside it: one was edited; {again}.")
    return WeightsRecord(record, weights)


def check_own(weights: Path, record: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse weights in the folder of a training that another one wrote.

    Args:
        weights: path of `model.pt`.
        record: beside it; one that states no training is not checked.
        settings: that identify the training of the folder.

    Raises:
        ValueError: if the record states another training.
    """
    if record.get("training") not in (None, own := settings_digest(settings)):
        raise ValueError(
            f"{weights} is of another training than its folder ({record_path(weights).name}: {record['training']}, "
            f"last.pt: {own}); copy model.pt and model.json of this training back, or put the two into another folder."
        )


def _settings(folder: Path) -> dict[str, Any] | None:
    """Return the settings in the checkpoint of a training, whose tensors are not read; None if it is not readable."""
    try:
        found = torch.load(folder / "last.pt", map_location="cpu", weights_only=True, mmap=True)
        return dict(found["settings"])
    except Exception:  # missing, or one of half a dozen types that torch raises
        return None


def _trained_with(folder: Path) -> dict[str, Any]:
    """Return what the configuration of a training, if there is one, says in plain values about its weights."""
    try:
        found = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):  # no training, or a configuration that is cut off
        return {}
    plain = {"classes": list, "image_size": int, "network": str, "loss": str}
    content = found if isinstance(found, dict) else {}
    if content.get("predict_with") == "partner" and content.get("partner") != "@network":
        content["network"] = content.get("partner")
    return {
        name: content[name]
        for name, kind in plain.items()
        if type(content.get(name)) is kind and not str(content[name]).startswith(("$", "@"))
    }


def contradictions(record: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stated values that a record contradicts; None is not stated.

    Example:
        >>> contradictions({"classes": ["background", "lv"], "image_size": 64}, {"image_size": 32, "network": "unet"})
        {'image_size': 32}
    """
    given = {name: value for name, value in stated.items() if value is not None}
    return {name: value for name, value in given.items() if name in record and record[name] != value}


def weights_record(checkpoint: str | Path, stated: Mapping[str, Any], volumes: bool | None = None) -> WeightsRecord:
    """Read the record of weights, and check what a run states about them.

    Args:
        checkpoint: path of the weights, `<stem>.pt`; a training writes `<stem>.json` beside it.
        stated: settings of the run that the record must not contradict; None is not stated.
        volumes: as for `read_record`.

    Returns:
        The record, with what the run states.

    Raises:
        FileNotFoundError: as for `read_record`.
        ValueError: as for `read_record`, or if a stated value is impossible or contradicts the record.

    Example:
        >>> from tempfile import mkdtemp
        >>> weights = Path(mkdtemp()) / "model.pt"
        >>> _ = weights.write_bytes(b"abc")
        >>> write_record(weights, {"activation": "sigmoid", "image_size": 160}, b"abc")
        >>> weights_record(weights, {"activation": None, "image_size": 160, "network": "unet"})
        {'activation': 'sigmoid', 'image_size': 160, 'weights': 'ba7816bf8f01cfea', 'network': 'unet'}
    """
    record = read_record(checkpoint, volumes)
    if wrong := contradictions(record, stated):
        trained = ", ".join(f"{name} {record[name]}, not {value}" for name, value in wrong.items())
        right = " ".join(f"--{name} {_word(record[name])}" for name in wrong if record[name] is not None)
        use = f"use {right}, " if right else ""
        raise ValueError(
            f"{record.weights} was trained with {trained}; leave the setting out, {use}or choose other weights "
            "(--checkpoint PATH)."
        )
    given = {name: value for name, value in stated.items() if value is not None and name not in record}
    configured = _trained_with(record.weights.parent) if record.weights.name in OF_TRAINING else {}
    if wrong := contradictions(configured, given):
        said = ", ".join(f"{name} {configured[name]}, not {value}" for name, value in wrong.items())
        raise ValueError(f"config.yaml beside {record.weights} says {said}; correct it, or choose other weights.")
    mistake = _impossible(given)
    if not mistake and (other := _normalised_otherwise(given, volumes)):
        mistake = f"expected normalisation to be {other}, got {given['normalisation']!r}"
    if mistake:
        raise ValueError(f"{mistake}, by hand; correct it, or choose other weights (--checkpoint PATH).")
    return WeightsRecord(record | given, record.weights)


def _normalised_otherwise(facts: Mapping[str, Any], volumes: bool | None) -> str:
    """Return which normalisation is expected, if facts state another; empty if they do not.

    Example:
        >>> _normalised_otherwise({"normalisation": "z-score"}, volumes=False)
        'grey value / 255'
        >>> _normalised_otherwise({"normalisation": {"window": None, "mean": 0.0, "sd": 1.0}}, volumes=True)
        ''
    """
    stated = facts.get("normalisation")
    if volumes and isinstance(stated, str):
        return "window, mean and sd"
    return (
        NORMALISATION
        if stated not in (None, NORMALISATION) and not (isinstance(stated, dict) and volumes is not False)
        else ""
    )


def _impossible(facts: Mapping[str, Any]) -> str:
    """Say which fact no weights can have; empty for none.

    Example:
        >>> _impossible({"activation": "softmax", "image_size": 0})
        'expected image_size to be a whole number from 1 on, or three, the sides of a patch of a volume, got 0'
    """
    for name, (possible, expected) in POSSIBLE.items():
        if facts.get(name) is not None and not possible(facts[name]):
            return f"expected {name} to be {expected}, got {facts[name]!r}"
    outputs = facts.get("architecture", {}).get("out_channels")
    if type(outputs) is int and "classes" in facts and outputs != len(facts["classes"]):
        return f"expected {outputs} classes, as many as its network has out_channels, got {facts['classes']}"
    return ""


def _are_classes(value: Any) -> bool:
    names = list(value) if isinstance(value, list | tuple) else []
    strings = all(isinstance(name, str) and name for name in names)
    return strings and len(names) > 1 and names[0] == "background" and len(set(names)) == len(names)


def _is_size(value: Any) -> bool:
    sides = value if isinstance(value, list | tuple) and len(value) == 3 else [value]
    return all(isinstance(one, Integral) and int(one) > 0 for one in sides)


def _is_normalisation(value: Any) -> bool:
    keys = set(value) - {"standardised"} if isinstance(value, dict) else None
    return isinstance(value, str) or keys == {"window", "mean", "sd"}


def _is_seen(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else [None]
    return all(isinstance(one, str) and len(one) % SEEN == 0 for one in parts)


def _is_spacing(value: Any) -> bool:
    if isinstance(value, dict):
        triples = [value.get(name) for name in ("min_pixdim", "pixdim", "max_pixdim")]
        plain = len(value) == 3 and all(isinstance(one, list) and len(one) == 3 and _is_spacing(one) for one in triples)
        return plain and all(low <= middle <= high for low, middle, high in zip(*triples, strict=True))
    numbers = value if isinstance(value, list | tuple) else [value]
    return bool(numbers) and all(type(one) in (int, float) and 0 < one < math.inf for one in numbers)


POSSIBLE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "activation": (lambda value: value in ACTIVATIONS, " or ".join(ACTIVATIONS)),
    "classes": (_are_classes, "'background' and the names of structures, each once"),
    "image_size": (_is_size, "a whole number from 1 on, or three, the sides of a patch of a volume"),
    "normalisation": (_is_normalisation, f"{NORMALISATION!r} or window, mean and sd"),
    "seen": (_is_seen, f"joined digests of images, {SEEN} digits each"),
    "spacing": (_is_spacing, "positive numbers, in mm, or their pixdim with min_pixdim and max_pixdim"),
}


def _word(value: Any) -> str:
    """Write a value as a word of a command line."""
    return f'"{value}"' if isinstance(value, list | dict) or " " in str(value) else str(value)
