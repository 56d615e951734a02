"""Weights that a training starts from: made for the same classes and the same network."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..label_sets import LabelSets
from .architecture import CODE, check_code
from .weights import check_fit, load_weights
from .weights_record import contradictions, read_record

__all__ = ["check_place", "initial_weights"]

LOGGER = logging.getLogger(__name__)
OF_IMAGES = ("normalisation", "spacing", "image_size")


def check_place(path: str | Path | None, folder: str | Path) -> None:
    """Refuse initial weights in the folder of the training that starts from them: it would set them aside.

    Args:
        path: of the weights; None: the training starts from scratch.
        folder: of the training.

    Raises:
        ValueError: if the weights lie in it.
    """
    if path is not None and Path(path).resolve().parent == Path(folder).resolve():
        raise ValueError(
            f"{path} lies in the folder of the training that starts from it; choose another --run_name or --output_dir."
        )


def initial_weights(
    path: str | Path | None, stated: Mapping[str, Any], network: nn.Module, label_sets: LabelSets
) -> tuple[dict[str, Tensor] | None, str | None]:
    """Read weights to start from, and refuse those of other classes or of another network.

    Weights of the same classes in another order would fit, and exchange the classes in silence; only the record beside
    them shows it. Weights without a record are accepted, with a line in the log.

    Args:
        path: of a state dict, or of a checkpoint that contains one; None: start from scratch.
        stated: what the record of the weights must not contradict: classes, network, activation, architecture. The same
            weights serve any image size; another one, another spacing or window of volumes, and arguments of the
            network that change no tensor, are only a warning.
        network: that the weights are for; not changed.
        label_sets: of the training images. If they are complete, another activation is only a warning: measured, it
            cost one to three Dice points. A class that is not annotated would be read in a way that nothing trained.

    Returns:
        The state dict and the digest of its file; None and None without a path.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the weights were trained with other classes or another network, or another code of it, if their
            logits are read in another way, or if they do not fit or are unreadable.
    """
    if path is None:
        return None, None
    weights, digest = load_weights(path, "--initial_weights")
    trained = read_record(path)
    images = {name: pair for name, pair in _images(trained, stated).items() if pair[0] != pair[1]}
    compared = {name: value for name, value in stated.items() if name not in OF_IMAGES}
    wrong = contradictions(trained, compared)
    own, theirs = wrong.pop("architecture", {}), trained.get("architecture", {})
    differing = [name for name in {**theirs, **own} if own and theirs.get(name) != own.get(name)]
    arguments = [name for name in differing if name != CODE]
    built = ", ".join(f"{name} {theirs.get(name)}, not {own.get(name)}" for name in arguments)
    if not label_sets.leaves_open() and (other := wrong.pop("activation", None)):
        read = trained["activation"]
        LOGGER.warning("%s was trained with logits read by a %s; this loss reads them by a %s", path, read, other)
    if wrong:
        named = " and ".join(f"{name} {trained[name]}, not {value}" for name, value in wrong.items())
        settings = " and ".join(f"--{'loss' if name == 'activation' else name}" for name in wrong)
        raise ValueError(
            f"weights of {path} were trained with {named}; use other --initial_weights, or set {settings}."
        )
    check_code(theirs)
    remedy = "use other --initial_weights, or set --network or --classes."
    if "networks" in theirs:
        built, remedy = "two networks that predict together", "use those of one (--predict_with student or partner)."
    check_fit(weights, network, path, f"Trained with {built}; {remedy}" if built else remedy.capitalize())
    if built:
        LOGGER.warning("%s fits, but was trained with %s", path, built)
    for name, (there, here) in images.items():
        remedy = f", where structures have other sizes; set --image_size {there}" if name == "image_size" else ""
        LOGGER.warning("%s was trained on images with %s %s; this training has %s%s", path, name, there, here, remedy)
    if "classes" not in trained:
        LOGGER.warning("%s has no record: its classes and their order cannot be checked", path)
    return weights, digest


def _images(trained: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return facts of the images of weights, and of those of a training; without those that either leaves open.

    Mean and standard deviation differ between any two sets of images.
    """
    pairs = {"spacing": (trained.get("spacing", ...), stated.get("spacing", ...))}
    if _within(*pairs["spacing"]):
        pairs = {}
    sizes = (trained.get("image_size"), stated.get("image_size"))
    if all(isinstance(size, int) for size in sizes):  # sides of a picture, not of a patch
        pairs["image_size"] = sizes
    there, here = trained.get("normalisation"), stated.get("normalisation")
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        pairs["window"] = (there["window"], here["window"])
        pairs["standardised"] = (there.get("standardised", False), here.get("standardised", False))
    return {name: pair for name, pair in pairs.items() if ... not in pair}


def _within(there: Any, here: Any) -> bool:
    """Return whether the spacing of a training lies within that of the initial weights, if they state a range."""
    if not isinstance(there, Mapping) or here is None or here is ...:
        return False
    middle = here["pixdim"] if isinstance(here, Mapping) else here
    return all(
        low <= side <= high for low, side, high in zip(there["min_pixdim"], middle, there["max_pixdim"], strict=True)
    )
