"""The phantom's annotations as the curves that an annotator would draw, and the volumes of these curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.datasets.phantom.heart import Heart, offset
from common.datasets.phantom.study import Protocol

__all__ = ["Tracing", "chords", "disc_volume", "trace"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tracing:
    """Open curves of one centre's annotator, (points, 2), (x, y), mm; the mitral plane closes each, straight.

    Args:
        endocardium: from the septal end of the mitral plane over the apex to the lateral end.
        epicardium: likewise.
        left_atrium: from the lateral end round the roof to the septal end; the sector may cut it.
    """

    endocardium: Array
    epicardium: Array
    left_atrium: Array

    @property
    def axis(self) -> Array:
        """Long axis of the LV: apex, then middle of the mitral plane, (2, 2)."""
        middle = self.endocardium[[0, -1]].mean(axis=0)
        apex = self.endocardium[np.linalg.norm(self.endocardium - middle, axis=1).argmax()]
        return np.stack([apex, middle])


def trace(protocol: Protocol, heart: Heart) -> Tracing:
    """Trace a heart as a centre's annotators do; filled, the curves are the phantom's label."""
    ventricle = heart.endocardium
    thickness = np.linalg.norm(heart.epicardium - ventricle, axis=1)
    epicardium = offset(ventricle, protocol.wall * thickness)
    both = offset(np.concatenate([ventricle, heart.left_atrium[1:]]), protocol.endocardium)  # closed: ends as it starts

    def height(points: Array) -> Array:
        """Return mm above the annotated mitral plane."""
        above: Array = (points - heart.mitral) @ heart.up - protocol.mitral
        return above

    first, last = _above(height(both[: len(ventricle)]))
    atrium = np.concatenate([_part(both, last, len(both) - 1), _part(both, 0, first)[1:]])
    atrium -= height(atrium).clip(0)[:, None] * heart.up  # the shoulders beside the annulus end at the plane, too
    return Tracing(_part(both, first, last), _part(epicardium, *_above(height(epicardium))), atrium)


def _above(height: Array) -> tuple[float, float]:
    """Return the fractional indices where numbers first rise above zero and last sink below, else the ends."""

    def rise(row: Array) -> float:
        index = int((row > 0).argmax())
        return index - float(row[index] / (row[index] - row[index - 1])) if index else 0.0

    return rise(height), len(height) - 1 - rise(height[::-1])


def _part(curve: Array, first: float, last: float) -> Array:
    """Return the part of a curve between two fractional indices, with both ends."""
    place = np.concatenate([[first], np.arange(np.floor(first) + 1, np.ceil(last)), [last]])
    part: Array = np.stack([np.interp(place, np.arange(len(curve)), column) for column in curve.T], axis=1)
    return part


def chords(curve: Array, axis: Array, along: Array) -> Array:
    """Measure across the long axis.

    Args:
        curve: closed by a straight line, (points, 2), (x, y), any unit.
        axis: apex and middle of the mitral plane, (2, 2).
        along: where, from the apex (0) to the mitral plane (1), (chords,).

    Returns:
        Outermost crossings with the curve, (chords, 2, 2): on each chord first the end left on the screen if the apex
        is above the mitral plane. NaN where the line misses the curve.

    Example:
        >>> square = np.array([[-1.0, 0.0], [-1.0, 4.0], [1.0, 4.0], [1.0, 0.0]])
        >>> chords(square, np.array([[0.0, 0.0], [0.0, 4.0]]), np.array([0.5])).tolist()
        [[[-1.0, 2.0], [1.0, 2.0]]]
    """
    apex, length = axis[0], np.linalg.norm(axis[1] - axis[0])
    down = (axis[1] - axis[0]) / length
    across = np.array([down[1], -down[0]])
    place, aside = (curve - apex) @ down / length, (curve - apex) @ across
    next_place, next_aside = np.roll(place, -1), np.roll(aside, -1)
    crossed = (place <= along[:, None]) != (next_place <= along[:, None])
    fraction = (along[:, None] - place) / np.where(next_place == place, 1, next_place - place)
    crossing = np.where(crossed, aside + fraction * (next_aside - aside), np.nan)
    ends = np.stack([np.nanmin(crossing, axis=1), np.nanmax(crossing, axis=1)], axis=1)
    points: Array = apex + along[:, None, None] * length * down + ends[:, :, None] * across
    return points


def disc_volume(tracing: Tracing) -> float:
    """Return the volume of the cavity, ml, by 20 discs of one view (monoplane Simpson).

    Example:
        >>> angle = np.linspace(0, np.pi, 200)  # half an ellipse, 80 mm long and 60 mm wide: half a spheroid
        >>> half = np.stack([-30 * np.cos(angle), -80 * np.sin(angle)], axis=1)
        >>> round(disc_volume(Tracing(half, half, half))), round(2 / 3 * np.pi * 30**2 * 80 / 1000)
        (151, 151)
    """
    ends = chords(tracing.endocardium, tracing.axis, (np.arange(20) + 0.5) / 20)
    diameter = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    length = np.linalg.norm(tracing.axis[1] - tracing.axis[0])
    return float(np.pi / 4 * length / 20 * np.square(diameter).sum() / 1000)
