"""Draw bands above and below a picture, never over it: titles, names of classes, a scale bar, lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..palette import colour

__all__ = ["caption_band", "legend_band", "sides_band"]

GROUND, LETTERS, FAINT = (0, 0, 0), (235, 235, 235), (170, 170, 170)
SIZE, LINE, MARGIN, SWATCH = 15, 22, 10, 11  # pixels
BARS = (100, 50, 20, 10, 5)  # mm, lengths of a scale bar

Picture = NDArray[np.uint8]


def caption_band(lines: Sequence[str], width: int) -> Picture:
    """Draw lines of text, wrapped between words to `width` pixels, (height, width, 3); of height 0 without lines.

    Example:
        >>> caption_band([], 300).shape, caption_band(["frame 12"], 300).shape
        ((0, 300, 3), (32, 300, 3))
    """
    rows = [row for line in lines for row in _wrap(line, width - 2 * MARGIN)]
    picture = Image.new("RGB", (width, len(rows) * LINE + MARGIN if rows else 0), GROUND)
    pen = ImageDraw.Draw(picture)
    for number, row in enumerate(rows):
        pen.text((MARGIN, MARGIN // 2 + number * LINE), row, LETTERS, _font())
    return np.asarray(picture).reshape(-1, width, 3)


def sides_band(left: str, middle: str, right: str, width: int) -> Picture:
    """Draw what lies at the left and at the right of a picture, and between them its title, (height, width, 3).

    The title is left out where it does not fit.

    Example:
        >>> sides_band("R", "axial", "L", 200).shape
        (32, 200, 3)
    """
    picture = Image.new("RGB", (width, LINE + MARGIN), GROUND)
    pen = ImageDraw.Draw(picture)
    for words, x, anchor in ((left, MARGIN, "la"), (middle, width / 2, "ma"), (right, width - MARGIN, "ra")):
        room = width - (4 * MARGIN + 2 * _font().getlength(left + right))
        if words != middle or _font().getlength(words) <= room:
            pen.text((x, MARGIN // 2), words, LETTERS, _font(), anchor=anchor)
    return np.asarray(picture)


def legend_band(names: Sequence[str], width: int, mm: float | None) -> Picture:
    """Draw the names of the classes beside their colours, and a scale bar, in as many rows as needed.

    Args:
        names: of the classes, as they are shown, background first.
        width: pixels.
        mm: width of a pixel of the picture; None draws no bar. The band is (height, width, 3).
    """
    entries = list(names[1:])
    needed = [SWATCH + 6 + _font().getlength(words) for words in entries]
    length = bar = 0.0
    if mm is not None:
        length = next((length for length in BARS if length / mm <= width / 5), BARS[-1])
        bar = length / mm
        needed.append(_font().getlength(f"{length} mm") + MARGIN + bar)
    places, row, x = [], 0, float(MARGIN)
    for extent in needed:
        if x > MARGIN and x + extent + MARGIN > width:
            row, x = row + 1, float(MARGIN)
        places.append((x, MARGIN // 2 + row * LINE))
        x += extent + 2 * MARGIN
    picture = Image.new("RGB", (width, (row + 1) * LINE + MARGIN // 2), GROUND)
    pen = ImageDraw.Draw(picture)
    for index, (words, (x, y)) in enumerate(zip(entries, places, strict=False), start=1):  # the last may be the bar's
        pen.rectangle([x, y + 3, x + SWATCH, y + 3 + SWATCH], colour(index))
        pen.text((x + SWATCH + 6, y), words, FAINT, _font())
    if bar:
        right, y = width - MARGIN, places[-1][1]
        pen.line([(right - bar, y + 9), (right, y + 9)], LETTERS, 2)
        for end in (right - bar, right):
            pen.line([(end, y + 4), (end, y + 14)], LETTERS, 2)
        pen.text((right - bar - MARGIN, y), f"{length} mm", FAINT, _font(), anchor="ra")
    return np.asarray(picture)


def _wrap(line: str, width: float) -> list[str]:
    if _font().getlength(line) <= width:
        return [line]
    rows = [""]
    for word in line.split():
        longer = f"{rows[-1]} {word}".strip()
        if rows[-1] and _font().getlength(longer) > width:
            rows.append(word)
        else:
            rows[-1] = longer
    return rows


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    # matplotlib ships it: the same on every machine, with ², ± and Greek
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", SIZE)
