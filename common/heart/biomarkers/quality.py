"""Flag measurements that need a second look, each with a short sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .chamber import Chamber
from .cycle import smooth

__all__ = ["axis_flags", "biplane_flags", "clip_flags", "frame_flags"]

SPECK = 0.005  # of a structure's area; smaller pieces are not mentioned
CUT = 3.0  # mm along the border of what the scanner saw
UNLIKE = 0.15  # of the longer of two long axes
LENGTH_CHANGE = 0.35  # of the long axis within a beat; 0.15 ± 0.05 in CAMUS
TILTED = 45.0  # degrees between long axis and upright; 11 ± 8 in CAMUS
JUMP = 0.15  # of the largest area, from the smoothed curve


def frame_flags(
    labels: NDArray[np.integer], names: Sequence[str], spacing: tuple[float, float], seen: NDArray[np.bool_]
) -> list[str]:
    """Check one label map; return sentences, none if nothing is suspicious.

    Args:
        labels: (H, W), positions in `names`.
        names: classes, background first.
        spacing: mm per pixel, (row, column).
        seen: what the scanner saw, the sector, (H, W).

    Example:
        >>> labels = np.zeros((40, 40), int)
        >>> labels[10:20, 10:20] = 1
        >>> labels[30:34, 30:34] = 1
        >>> frame_flags(labels, ["background", "left_atrium"], (1.0, 1.0), labels >= 0)
        ['left atrium: 2 pieces']
    """
    beyond = np.pad(~seen, 1, constant_values=True)
    border = ndimage.binary_dilation(beyond)[1:-1, 1:-1]
    flags = []
    for value, name in enumerate(names[1:], start=1):
        mask, words = labels == value, name.replace("_", " ")
        if not mask.any():
            flags.append(f"{words}: not found")
            continue
        sizes = np.bincount(ndimage.label(mask)[0].ravel())[1:]
        if (pieces := int((sizes > SPECK * sizes.sum()).sum())) > 1:
            flags.append(f"{words}: {pieces} pieces")
        if (mask & border).sum() * min(spacing) > CUT:
            flags.append(f"{words}: cut by the edge of the sector, its size is a lower bound")
    return flags


def axis_flags(ventricle: Chamber) -> list[str]:
    """Check the direction of a left ventricle; in an apical view its apex is up.

    Example:
        >>> axis_flags(Chamber(length=80.0, base=np.array([50.0, 90.0]), apex=np.array([40.0, 10.0])))
        ['left ventricle: its long axis is 83 degrees from upright; is this an apical view?']
    """
    down, across = ventricle.base - ventricle.apex
    tilt = float(np.degrees(np.arctan2(abs(across), down)))
    if not tilt > TILTED:  # nor if it is NaN
        return []
    return [f"left ventricle: its long axis is {tilt:.0f} degrees from upright; is this an apical view?"]


def clip_flags(areas: NDArray[np.float64], frame_rate: float | None, diastole: Chamber, systole: Chamber) -> list[str]:
    """Check a beat of a clip.

    Args:
        areas: of the left-ventricle cavity, (frames,), mm²; NaN where it was not measurable.
        frame_rate: frames per second; None if unknown.
        diastole: cavity at end-diastole.
        systole: cavity at end-systole.
    """
    flags = []
    if missing := int(np.isnan(areas).sum()):
        flags.append(f"left ventricle: not measurable in {missing} of {len(areas)} frames")
    jumps = np.abs(areas - smooth(areas, frame_rate)) > JUMP * np.nanmax(areas, initial=0.0)
    if jumps.any():
        flags.append(f"left ventricle: its area jumps at frames {', '.join(map(str, np.flatnonzero(jumps)))}")
    change = (diastole.length - systole.length) / diastole.length
    if change > LENGTH_CHANGE or change < 0:
        flags.append(f"left ventricle: its long axis changes by {-100 * change:.0f} % in the beat")
    return flags


def biplane_flags(four_chamber: Chamber, two_chamber: Chamber) -> list[str]:
    """Compare the long axes of the two views; if they differ, the shorter is probably foreshortened.

    Example:
        >>> biplane_flags(Chamber(length=90.0), Chamber(length=70.0))
        ['long axes differ by 22 % (90 and 70 mm): the view with the shorter one is probably foreshortened']
    """
    lengths = four_chamber.length, two_chamber.length
    unlike = (max(lengths) - min(lengths)) / max(lengths)
    if not unlike > UNLIKE:  # nor if one is NaN
        return []
    difference = f"long axes differ by {100 * unlike:.0f} % ({lengths[0]:.0f} and {lengths[1]:.0f} mm)"
    return [f"{difference}: the view with the shorter one is probably foreshortened"]
