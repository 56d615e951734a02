"""Draw what was segmented in a volume: three planes through each structure, as radiologists see them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ...atomic import whole_file
from ..caption import caption_band, legend_band, sides_band
from ..drawing import Canvas, draw_anatomy

__all__ = ["largest_sections", "volume_overlay_png"]

SIDE = 360  # pixels of the longest side of what is shown
AROUND = 30.0  # mm that are shown around everything that was segmented
GREYS = (1, 99)  # percentiles that become black and white without a window
GAP = 12  # pixels between planes
# name, what lies at the left and at the right, axes: across (running to the left), upwards, through
PLANES = (("axial", "R", "L", 0, 1, 2), ("coronal", "R", "L", 0, 2, 1), ("sagittal", "A", "P", 1, 2, 0))

Picture = NDArray[np.uint8]


def largest_sections(mask: NDArray[np.bool_]) -> list[int]:
    """Return for each axis where the cross section of a structure at a right angle to it is largest.

    Example:
        >>> mask = np.zeros((4, 4, 4), bool)
        >>> mask[1, 1:3, 1:3] = mask[2, 1, 1] = True
        >>> largest_sections(mask)
        [1, 1, 1]
    """
    axes = range(mask.ndim)
    return [int(mask.sum(axis=tuple(other for other in axes if other != axis)).argmax()) for axis in axes]


def volume_overlay_png(
    image: NDArray[Any],
    labels: NDArray[np.uint8],
    spacing: Sequence[float],
    window: Sequence[float] | None,
    names: Sequence[str],
    caption: Sequence[str],
    out: Path,
) -> Path | None:
    """Write a row of an axial, a coronal and a sagittal plane for each structure; nothing without any structure.

    The planes pass through the largest cross sections of the structure, in true proportions and at one scale. The
    patient's right is at the left, the front on top of the axial and at the left of the sagittal plane. What is shown
    ends 30 mm from everything that was segmented.

    Args:
        image: values, (x, y, z), to the right, to the front and upwards.
        labels: classes, likewise.
        spacing: mm along (x, y, z).
        window: values that are black and white; None: of the volume's own range.
        names: of the classes, as they are shown, background first.
        caption: lines below.
        out: path to write, without suffix; `_overlay.png` is added.
    """
    if not labels.any():
        return None
    found = ndimage.find_objects((labels > 0).view(np.uint8))[0]
    box = tuple(
        slice(max(0, side.start - (more := round(AROUND / length))), min(size, side.stop + more))
        for side, length, size in zip(found, spacing, labels.shape, strict=True)
    )
    image, labels = image[box], labels[box]
    low, high = np.percentile(image, GREYS) if window is None else window
    longest = max(length * size for length, size in zip(spacing, labels.shape, strict=True))
    rows: list[Picture] = []
    for value, name in enumerate(names):
        mask = labels == value
        if value == 0 or not mask.any():
            continue
        places = largest_sections(mask)
        panels: list[Picture] = []
        for plane, left, right, across, up, through in PLANES:
            cut = [slice(None)] * 3
            cut[through] = slice(places[through], places[through] + 1)
            shown, classes = (part[tuple(cut)].squeeze(through)[::-1, ::-1].T for part in (image, labels))
            grey = (255 * ((shown - low) / max(1e-6, high - low)).clip(0, 1)).astype(np.uint8)
            sides = spacing[up], spacing[across]
            size = max(1, round(SIDE * max(sides[0] * grey.shape[0], sides[1] * grey.shape[1]) / longest))
            canvas = Canvas(np.ones(grey.shape, bool), sides, least=size, most=size)
            picture = draw_anatomy(canvas, grey, classes)
            panels.append(np.concatenate([sides_band(left, plane, right, picture.shape[1]), picture]))
        rows += [_beside(panels, name)]
    width = max(row.shape[1] for row in rows)
    below = [legend_band(names, width, longest / SIDE), caption_band(caption, width)]
    picture = np.concatenate([_padded(part, part.shape[0], width) for part in (*rows, *below)])
    path = out.with_name(f"{out.name}_overlay.png")
    with whole_file(path) as partial:
        Image.fromarray(picture).save(partial, compress_level=3)
    return path


def _beside(panels: Sequence[Picture], title: str) -> Picture:
    height = max(len(panel) for panel in panels)
    parts = [_padded(panel, height, panel.shape[1] + GAP) for panel in panels]
    row = np.concatenate(parts, axis=1)[:, :-GAP]
    return np.concatenate([caption_band([title], row.shape[1]), row])


def _padded(picture: Picture, height: int, width: int) -> Picture:
    return np.pad(picture, ((0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0)))
