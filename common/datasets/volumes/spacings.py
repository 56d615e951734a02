"""The spacing of the volumes that a network is trained on: one for all, or a range where every volume keeps its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..prepared.layout import read_datalist
from .intensity import shared_fact

__all__ = ["Spacing", "stated_spacing", "wanted_spacing"]

Spacing: TypeAlias = Sequence[float] | Mapping[str, Sequence[float]] | None
MARGIN = 0.1  # of the range to either side, as augmentation scales volumes


def stated_spacing(folders: str | Path | Iterable[str | Path]) -> list[float] | dict[str, list[float]] | None:
    """Return the spacing, mm per voxel (x, y, z), that prepared folders of volumes share.

    Where each volume keeps its own: the median of the training fold (`pixdim`), and the range within which a network
    that is trained on it sees volumes as they are (`min_pixdim`, `max_pixdim`), named as in MONAI's `Spacing`. None: it
    is not known.

    Raises:
        ValueError: if a folder holds no volumes, or they were prepared with different spacings.
    """
    shared: list[float] | None = shared_fact(folders, "spacing")
    items = [] if shared else read_datalist(folders, "training")
    if shared or not items or not all(item.get("spacing") for item in items):
        return shared
    own = np.array([item["spacing"] for item in items])
    parts = {
        "pixdim": np.median(own, axis=0),
        "min_pixdim": own.min(axis=0) * (1 - MARGIN),
        "max_pixdim": own.max(axis=0) * (1 + MARGIN),
    }
    return {name: value.round(4).tolist() for name, value in parts.items()}


def wanted_spacing(own: Sequence[float], trained: Spacing) -> tuple[float, ...]:
    """Return the spacing at which a network sees a volume, as MONAI's `Spacing` does.

    Args:
        own: of the volume, mm along (x, y, z).
        trained: as `stated_spacing` states it.

    Example:
        >>> trained = {"pixdim": [4, 4, 2.5], "min_pixdim": [3, 3, 2], "max_pixdim": [5, 5, 3]}
        >>> wanted_spacing((3.5, 3.5, 2.2), trained), wanted_spacing((1.0, 3.5, 6.0), trained)
        ((3.5, 3.5, 2.2), (4, 3.5, 2.5))
        >>> wanted_spacing((1.0, 1.0, 1.0), [2, 2, 2]), wanted_spacing((1.0, 1.0, 1.0), None)
        ((2, 2, 2), (1.0, 1.0, 1.0))
    """
    if trained is None:
        return tuple(own)
    if not isinstance(trained, Mapping):
        return tuple(trained)
    limits: Any = zip(own, *(trained[name] for name in ("pixdim", "min_pixdim", "max_pixdim")), strict=True)
    return tuple(side if low <= side <= high else middle for side, middle, low, high in limits)
