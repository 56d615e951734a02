"""Find end-diastole and end-systole from the area of the left-ventricle cavity in every frame of a clip.

No electrocardiogram is needed: end-diastole is the largest area of a beat, end-systole the smallest, as in CAMUS. Areas
are smoothed first because segmentations jump from frame to frame; frames are extremes of the smoothed curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks, savgol_filter

__all__ = ["Beat", "find_beats", "smooth"]

WINDOW = 0.2  # s, smoothing; systole lasts about 0.3 s
SHORTEST_BEAT = 0.3  # s; 200 beats a minute
PROMINENCE = 0.3  # of the range of the areas; a smaller peak is noise
FULL = 0.6  # of the range of the areas, which end-diastole exceeds; a clip that begins in systole begins below it
UNTIMED_WINDOW = 7  # frames, smoothing where the frame rate is unknown
UNTIMED_BEAT = 8  # frames; likewise


@dataclass(frozen=True)
class Beat:
    """A beat of a clip.

    Args:
        diastole: frame of end-diastole, from 0.
        systole: frame of end-systole.
        whole: False if the clip shows only the half beat between the two frames.
    """

    diastole: int
    systole: int
    whole: bool


def smooth(areas: NDArray[np.float64], frame_rate: float | None = None) -> NDArray[np.float64]:
    """Interpolate gaps (NaN) linearly and smooth with a parabola (Savitzky and Golay, 1964).

    Args:
        areas: (frames,), any unit; NaN where the cavity was not measurable. The result is NaN if all are.
        frame_rate: frames per second; None if unknown.
    """
    values = np.asarray(areas, dtype=np.float64)
    known = np.isfinite(values)
    if not known.any():
        return values
    filled = np.interp(np.arange(len(values)), np.flatnonzero(known), values[known])
    window = UNTIMED_WINDOW if frame_rate is None else round(WINDOW * frame_rate)
    window = min(window, len(filled)) // 2 * 2 - 1  # odd
    return np.asarray(savgol_filter(filled, window, 2)) if window > 3 else filled


def find_beats(areas: NDArray[np.float64], frame_rate: float | None = None) -> list[Beat]:
    """Find the beats of a clip: whole ones from one end-diastole to the next, otherwise the best half beat.

    Args:
        areas: of the cavity, (frames,), any unit; NaN where it was not measurable.
        frame_rate: frames per second; None if unknown.

    Returns:
        Whole beats in order; without any, one half beat between the largest and the smallest area; an empty list if
        fewer than two frames are measurable, or the area never changes.

    Example:
        >>> areas = 30 + 10 * np.cos(2 * np.pi * np.arange(100) / 40)  # 1 beat a second at 40 frames per second
        >>> find_beats(areas, frame_rate=40)
        [Beat(diastole=0, systole=20, whole=True), Beat(diastole=40, systole=60, whole=True)]
    """
    curve = smooth(areas, frame_rate)
    if np.isfinite(areas).sum() < 2 or not np.ptp(areas[np.isfinite(areas)]) > 0:
        return []
    apart = UNTIMED_BEAT if frame_rate is None else max(1, round(SHORTEST_BEAT * frame_rate))
    least = PROMINENCE * np.ptp(curve)
    ended = np.pad(curve, 1, constant_values=curve.min() - 1)  # a clip may begin or end at end-diastole
    tops = find_peaks(ended, distance=apart, prominence=least)[0] - 1
    tops = tops[curve[tops] - curve.min() >= FULL * np.ptp(curve)]
    beats = []
    for diastole, following in pairwise(tops):
        systole = int(diastole + curve[diastole:following].argmin())
        beats.append(Beat(int(diastole), systole, whole=True))
    return beats or [Beat(int(curve.argmax()), int(curve.argmin()), whole=False)]
