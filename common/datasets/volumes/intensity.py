"""What a network sees of the values of a volume: a window, standardised."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ..prepared.layout import folder_paths, read_datalist, read_provenance
from .layout import VOLUMES, pooled_intensity

__all__ = [
    "STANDARDISED",
    "Intensity",
    "intensity_of",
    "is_standardised",
    "shared_fact",
    "stated_normalisation",
    "stated_window",
]


STANDARDISED = "standardised"  # in provenance.json: by its reader, each volume by itself


class Intensity:
    """Clip values to a window, subtract a mean and divide by a standard deviation (z-score).

    Args:
        window: lowest and highest value; None clips nothing.
        mean: of the values, such as that of the training fold inside the window.
        sd: standard deviation, likewise.
        standardised: whether these are the values of volumes in hundredths of their own standard deviation
            (function `standardised` of the module `volume`), as of MRI without a unit.

    Raises:
        ValueError: if the window is empty, or the standard deviation is not a positive number.

    Example:
        >>> import torch
        >>> Intensity([-200, 200], mean=50.0, sd=100.0)(torch.tensor([-1000, 50, 150], dtype=torch.int16))
        tensor([-2.5000,  0.0000,  1.0000])
        >>> print(Intensity([-200, 200], mean=50.0, sd=100.0))
        (value clipped to -200 to 200, minus 50.0) / 100.0
    """

    def __init__(self, window: Sequence[float] | None, mean: float, sd: float, standardised: bool = False) -> None:
        if window is not None and not (len(window) == 2 and window[0] < window[1]):
            raise ValueError(f"window is {list(window)}, expected the lowest and the highest value.")
        if not (0 < sd < math.inf and math.isfinite(mean)):
            raise ValueError(f"mean is {mean} and sd {sd}, expected finite numbers and sd above 0.")
        self.window, self.mean, self.sd, self.standardised = window, mean, sd, bool(standardised)

    @property
    def normalisation(self) -> dict[str, Any]:
        """Window, mean and sd, as the record of weights states them; and that volumes are standardised, if they are."""
        own = {STANDARDISED: True} if self.standardised else {}
        return {"window": self.window, "mean": self.mean, "sd": self.sd, **own}

    @property
    def outside(self) -> int:
        """The value that pads a volume: the lowest of the window, or the mean without a window."""
        return round(self.mean if self.window is None else self.window[0])

    @property
    def padding(self) -> float:
        """What the network sees of `outside`."""
        return (self.outside - self.mean) / self.sd

    def __str__(self) -> str:
        clipped = "" if self.window is None else f" clipped to {self.window[0]} to {self.window[1]}"
        return f"(value{clipped}, minus {self.mean}) / {self.sd}"

    def __call__(self, values: Tensor) -> Tensor:
        """Standardise values of any dtype and shape; float32."""
        values = values.float()
        if self.window is not None:
            values = values.clamp_(*self.window)
        return values.sub_(self.mean).div_(self.sd)


def intensity_of(
    normalisation: Mapping[str, Any] | None, folders: str | Path | Iterable[str | Path] | None = None
) -> Intensity:
    """Return the intensity that the record of weights states: window, mean and sd.

    Args:
        normalisation: window, mean and sd; None: unknown, an error.
        folders: prepared folders whose volumes are standardised so; None: volumes as a scanner writes them.

    Raises:
        ValueError: if the normalisation is unknown; if the folders were clipped to a narrower window, so that what lies
            between both is lost; if only one of both is of standardised volumes; or as for `Intensity` and
            `stated_window`.
    """
    if normalisation is None:
        raise ValueError(
            "nothing says how the values of the volumes were standardised: the weights have no record. State "
            '--normalisation "{window: [LOW, HIGH], mean: MEAN, sd: SD}".'
        )
    intensity = Intensity(**normalisation)
    if folders is not None and is_standardised(folders) != intensity.standardised:
        there, here = ("standardised one by one", "are not") if intensity.standardised else ("as they were", "are")
        raise ValueError(
            f"the network was trained on volumes {there}, and these {here} standardised; prepare them by the same "
            "command, or choose other weights."
        )
    clipped = None if folders is None else stated_window(folders)
    low, high = (-math.inf, math.inf) if intensity.window is None else intensity.window
    if clipped is not None and (clipped[0] > low or clipped[1] < high):
        window = None if intensity.window is None else list(intensity.window)
        remedy = "without a window" if window is None else f"with the window {window}"
        raise ValueError(
            f"the volumes were clipped to the window {clipped} when they were prepared, the network was trained with "
            f"{window or 'none'}; prepare them {remedy}."
        )
    return intensity


def stated_normalisation(folders: str | Path | Iterable[str | Path]) -> dict[str, Any]:
    """Return window, and mean and standard deviation of the training fold, of prepared folders of volumes.

    Raises:
        ValueError: if a folder holds no volumes, they were prepared with different windows, or the training fold is
            of one value.
    """
    own = {STANDARDISED: True} if is_standardised(folders) else {}
    return {"window": stated_window(folders), **(pooled_intensity(read_datalist(folders, "training")) or {}), **own}


def is_standardised(folders: str | Path | Iterable[str | Path]) -> bool:
    """Return whether the volumes of prepared folders were standardised one by one.

    Raises:
        ValueError: if a folder holds no volumes, or some were and others were not.
    """
    return bool(shared_fact(folders, STANDARDISED))


def stated_window(folders: str | Path | Iterable[str | Path]) -> list[int] | None:
    """Return the window that prepared folders of volumes share, likewise; None: nothing is clipped."""
    window: list[int] | None = shared_fact(folders, "window")
    return window


def shared_fact(folders: str | Path | Iterable[str | Path], name: str) -> Any:
    """Return a fact of the provenance of prepared folders of volumes.

    Raises:
        ValueError: if a folder holds no volumes, or the folders differ in it.
    """
    stated = {folder: read_provenance(folder) for folder in folder_paths(folders)}
    if other := [str(folder) for folder, facts in stated.items() if facts.get("kind") != VOLUMES]:
        raise ValueError(f"{other} hold no volumes; prepare a folder of volumes, or choose a bundle for pictures.")
    values = [facts.get(name) for facts in stated.values()]
    if any(value != values[0] for value in values):
        got = ", ".join(f"{folder} {value}" for folder, value in zip(stated, values, strict=True))
        raise ValueError(f"the folders differ in their {name} ({got}); prepare them alike.")
    return values[0]
