"""Refuse a training whose record would be false: it says how its data and logits are really used."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import isclose
from typing import Any

from monai.inferers import Inferer, SimpleInferer, SlidingWindowInferer

from .inferer import BackgroundReferenceInferer, MixedPrecisionInferer

__all__ = ["check_record"]

REMEDIES = {
    "activation": "leave out --{name}",
    "normalisation": "state the normalisation of the data in bundle.yaml, or none",
    "spacing": "state the spacing of the data in bundle.yaml, or none",
}


def check_record(
    record: Mapping[str, Any],
    settings: Mapping[str, Any],
    initial_digest: str | None,
    datasets: Mapping[str, Any],
    inferers: Mapping[str, Inferer],
) -> None:
    """Compare the record of a training, and its identity, with the objects that the training uses.

    What an object does not state, such as the image size of a dataset of your own, is not compared.

    Args:
        record: to be written beside the weights.
        settings: that identify the training.
        initial_digest: SHA-256 of the initial weights that were read; None: from scratch.
        datasets: of the blocks "train" and "validate".
        inferers: likewise.

    Raises:
        ValueError: names what differs, and the setting to leave out.

    Example:
        >>> record = {"activation": "softmax", "classes": ["background", "lv"], "image_size": 64}
        >>> check_record(record, {}, None, {}, {"train": BackgroundReferenceInferer()})
        Traceback (most recent call last):
        ...
        ValueError: train::inferer has activation sigmoid, but the record would say softmax; leave out --train::inferer.
    """
    used = [(f"{name}::dataset", "image_size", getattr(one, "image_size", None)) for name, one in datasets.items()]
    used += [(f"{name}::dataset", "classes", _classes(one)) for name, one in datasets.items()]
    used += [
        (f"{name}::dataset", "normalisation", getattr(one, "normalisation", None)) for name, one in datasets.items()
    ]
    used += [(f"{name}::dataset", "spacing", _spacing(one)) for name, one in datasets.items()]
    used += [(f"{name}::inferer", "activation", _activation(one)) for name, one in inferers.items()]
    for name, fact, value in used:
        stated = list(record[fact]) if fact == "classes" else record.get(fact)
        if fact == "spacing" and (stated is None or isinstance(stated, Mapping)):
            continue  # images of any spacing, or of a range
        if value is not None and not _agree(value, stated):
            remedy = REMEDIES.get(fact, f"set --{fact} instead of --{{name}}::{fact}").format(name=name)
            raise ValueError(f"{name} has {fact} {value}, but the record would say {stated}; {remedy}.")
    if (initial_digest or "")[:16] != (settings.get("initial_weights") or ""):
        raise ValueError("the file of --initial_weights changed while this training started; start it again.")


def _classes(dataset: Any) -> list[str] | None:
    label_sets = getattr(dataset, "label_sets", None)
    return None if label_sets is None else list(label_sets.classes)


def _spacing(dataset: Any) -> list[list[float]] | None:
    """Return the spacings of the images of a dataset, each once; None if it does not state them."""
    spacing = getattr(dataset, "spacing", None)
    return None if spacing is None else [list(one) for one in dict.fromkeys(map(tuple, spacing.tolist()))]


def _agree(value: Any, stated: Any) -> bool:
    """Return whether a dataset is as a record says; spacings are compared within their precision."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        own = stated if isinstance(stated, list | tuple) else [stated] * len(value[0])
        return all(len(one) == len(own) and all(map(partial(isclose, rel_tol=1e-5), one, own)) for one in value)
    return bool(value == stated)


def _activation(inferer: Inferer) -> str | None:
    """Return how an inferer of this project reads logits; None for others."""
    if isinstance(inferer, MixedPrecisionInferer):
        return _activation(inferer.inferer)
    if isinstance(inferer, BackgroundReferenceInferer):
        return "sigmoid"
    return "softmax" if type(inferer) in (SimpleInferer, SlidingWindowInferer) else None
