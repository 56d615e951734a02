"""Spacing of the network's images, from that of the prepared ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

__all__ = ["network_spacing"]


def network_spacing(data: Sequence[Mapping[str, Any]], image_size: int) -> list[tuple[float, float] | None]:
    """Return mm per pixel, (row, column), of images after their resize to the network's square.

    Args:
        data: items of a datalist.
        image_size: rows and columns of the network's images.

    Returns:
        One for each item; None where its spacing is unknown.
    """
    found: list[tuple[float, float] | None] = []
    for item in data:
        spacing = item.get("spacing")
        if spacing is None:
            found.append(None)
            continue
        with Image.open(item["image"], formats=["PNG"]) as image:  # reads the header alone
            columns, rows = image.size
        found.append((spacing[0] * rows / image_size, spacing[1] * columns / image_size))
    return found
