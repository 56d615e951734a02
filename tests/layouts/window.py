"""The whole window of a phantom study at the pixel size of a release, and the heart between its two instants."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from common.datasets.phantom.heart import Heart
from common.datasets.phantom.study import PhantomFrame, Study
from common.datasets.phantom.ultrasound import View

__all__ = ["between", "canvas", "draw_window"]


def canvas(study: Study, spacing: tuple[float, float]) -> View:
    """Return the smallest square of pixels that holds the window from its upper left corner on.

    Args:
        study: the patient.
        spacing: mm per pixel, (row, column).
    """
    left, top, width, height = study.window
    size = max(round(height / spacing[0]), round(width / spacing[1]))
    return View(left, top, size * spacing[1], size * spacing[0], size)


def draw_window(study: Study, heart: Heart, instant: int, spacing: tuple[float, float]) -> PhantomFrame:
    """Draw the whole window at a given spacing.

    Args:
        study: the patient.
        heart: one of `study.hearts`, or one between them.
        instant: frames of the same number have the same speckle.
        spacing: mm per pixel, (row, column).
    """
    rows, columns = round(study.window[3] / spacing[0]), round(study.window[2] / spacing[1])
    whole = study.draw(heart, instant, canvas(study, spacing))  # right of or below the window it is cut off
    keep = np.s_[:rows, :columns]
    return PhantomFrame(whole.image[keep], whole.label[keep], spacing, whole.sector[keep])


def between(diastole: Heart, systole: Heart, fraction: float) -> Heart:
    """Contract a heart part of the way: every point of every contour moves on a straight line.

    Args:
        diastole: the patient's heart at "ED".
        systole: the same patient's at "ES".
        fraction: 0 is `diastole`, 1 is `systole`.
    """
    names = [part.name for part in fields(Heart)]
    ends = {name: (getattr(diastole, name), getattr(systole, name)) for name in names}
    return Heart(**{name: (1 - fraction) * first + fraction * last for name, (first, last) in ends.items()})
