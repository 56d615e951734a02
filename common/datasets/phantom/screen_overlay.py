"""What a scanner writes over its screen: text, logo, ECG, depth ticks, focus mark, grey and colour bars, panels.

Everything is invented: names are random syllables and numbers are random. It hides the outline of the sector as real
screens do, so the sector finder can be trained and tested without the screen of a patient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ...contours import bounding_box

__all__ = ["overlay"]

TINTS = ((255, 255, 255), (255, 226, 178), (196, 224, 255), (214, 255, 214))  # grey, sepia, blue, green: of white
INKS = ((255, 255, 255), (200, 200, 200), (255, 230, 90), (90, 255, 120), (110, 190, 255))
SYLLABLES = ("ba", "do", "fi", "ka", "lo", "mi", "na", "po", "ru", "sa", "te", "vu")


def overlay(image: NDArray[np.uint8], sector: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a scanner's screen around a grey ultrasound image: RGB, (rows, columns, 3).

    Each part of the screen appears with some probability. Most of it is outside the sector; the ECG and, on a narrow
    screen, text and ticks cross it.

    Args:
        image: grey values, (rows, columns), at least 96 pixels a side.
        sector: marks the ultrasound, (rows, columns); everything else becomes background.
        rng: generator of what is drawn, where and in which colour.

    Example:
        >>> sector = np.tri(128, dtype=bool)
        >>> overlay(np.full((128, 128), 90, np.uint8), sector, np.random.default_rng(0)).shape
        (128, 128, 3)
    """
    rows, columns = image.shape
    tint = np.array(TINTS[0 if rng.random() < 0.6 else rng.integers(len(TINTS))])
    ultrasound = image[:, :, None] * tint // 255
    canvas = Image.fromarray(np.where(sector[:, :, None], ultrasound, _background(rng)).astype(np.uint8))
    down, across = bounding_box(sector)
    screen = _Screen(ImageDraw.Draw(canvas), rows, columns, down.start, across.start, down.stop, across.stop, rng)
    parts = {  # probability of each, in drawing order
        screen.panel: 0.15,
        screen.bars: 0.5,
        screen.text: 0.85,
        screen.logo: 0.4,
        screen.ticks: 0.6,
        screen.focus: 0.4,
        screen.ecg: 0.5,
    }
    for part, chance in parts.items():
        if rng.random() < chance:
            part()
    return np.asarray(canvas)


def _background(rng: np.random.Generator) -> NDArray[np.int64]:
    kind = rng.random()
    if kind < 0.65:
        return np.zeros(3, np.int64)
    return rng.integers(1, 13, 3) if kind < 0.9 else np.full(3, rng.integers(20, 200))


def _pick(choices: tuple[tuple[int, int, int], ...], rng: np.random.Generator) -> tuple[int, int, int]:
    return choices[rng.integers(len(choices))]


def _name(rng: np.random.Generator) -> str:
    return "".join(rng.choice(SYLLABLES, 3)).upper()


def _lines(rng: np.random.Generator) -> list[str]:
    number = rng.integers(0, 100, 8).tolist()
    lines = [
        f"{_name(rng)}, {_name(rng)}",
        f"ID {number[0]:02d}{number[1]:02d}{number[2]:02d}",
        f"20{number[0] % 25:02d}-{1 + number[1] % 12:02d}-{1 + number[2] % 28:02d}",
        f"{number[3] % 24:02d}:{number[4] % 60:02d}",
        f"MI {number[5] / 60:.1f}  TI {number[6] / 60:.1f}",
        f"{10 + number[7] % 12} cm",
        f"{30 + number[0] % 50} Hz",
        f"HR {50 + number[1] % 60} bpm",
        f"Gain {number[2]} %",
        f"{_name(rng).title()} Hospital",
        f"{1 + number[3] % 4}.{number[4] % 10} MHz",
    ]
    return [lines[index] for index in rng.permutation(len(lines))[: rng.integers(1, 6)]]


@dataclass(frozen=True)
class _Screen:
    """A screen to draw on; the sector ends before row `bottom` and column `right`."""

    draw: ImageDraw.ImageDraw
    rows: int
    columns: int
    top: int
    left: int
    bottom: int
    right: int
    rng: np.random.Generator

    def text(self) -> None:
        for corner in range(4):
            if self.rng.random() < 0.4:
                continue
            height = max(7, round(self.rows * self.rng.uniform(0.02, 0.04)))
            text = "\n".join(_lines(self.rng))
            font = ImageFont.load_default(height)
            left, top, right, bottom = self.draw.multiline_textbbox((0, 0), text, font=font)
            margin = self.rng.integers(0, 1 + height, 2)
            x = margin[0] if corner % 2 == 0 else self.columns - right - margin[0]
            y = margin[1] if corner < 2 else self.rows - bottom - margin[1]
            self.draw.multiline_text((int(x - left), int(y - top)), text, fill=_pick(INKS, self.rng), font=font)

    def logo(self) -> None:
        size = self.rows * self.rng.uniform(0.03, 0.08)
        x, y = self.rng.choice([0.03, 0.85]) * self.columns, self.rng.uniform(0.02, 0.15) * self.rows
        if self.rng.random() < 0.5:
            self.draw.ellipse((x, y, x + 1.5 * size, y + size), fill=_pick(INKS, self.rng))
        corners = self.rng.uniform((x, y), (x + size, y + size), (5, 2))
        self.draw.polygon([(float(a), float(b)) for a, b in corners], fill=_pick(INKS, self.rng))

    def ecg(self) -> None:
        beat, height = self.rng.uniform(0.15, 0.5) * self.columns, self.rng.uniform(0.04, 0.12) * self.rows
        x = np.arange(self.columns * self.rng.uniform(0, 0.15), self.columns * self.rng.uniform(0.8, 1))
        phase = x / beat % 1
        waves = ((0.15, 0.03, 0.15), (0.28, 0.012, -0.15), (0.3, 0.01, 1.0), (0.33, 0.012, -0.25), (0.55, 0.05, 0.3))
        lead = sum(size * np.exp(-(((phase - centre) / width) ** 2) / 2) for centre, width, size in waves)
        y = self.rows * self.rng.uniform(0.86, 0.98) - height * lead
        ink = INKS[3] if self.rng.random() < 0.6 else _pick(INKS, self.rng)
        self.draw.line(np.stack([x, y], axis=1).ravel().tolist(), fill=ink, width=max(1, self.rows // 300))

    def ticks(self) -> None:
        gap, length = int(self.rng.integers(1, 12)), max(2, self.columns // 80)
        sides = (min(self.right - 1 + gap, self.columns - 1 - length), max(self.left - gap - length, 0))
        x = sides[self.rng.random() < 0.3]
        ink, steps = _pick(INKS[:3], self.rng), int(self.rng.integers(8, 33))  # ticks a sector's depth
        for step in range(steps + 1):
            y = self.top + step * (self.bottom - 1 - self.top) / steps
            self.draw.line((x, y, x + length * (1 if step % 5 else 2), y), fill=ink)

    def focus(self) -> None:
        size = max(3, self.rows // 50)
        x = (self.left + self.right - 1) / 2 + self.rng.normal(0, 0.03) * self.columns
        y = self.top + self.rng.uniform(-1.5, 0.5) * size
        self.draw.polygon([(x - size / 2, y - size), (x + size / 2, y - size), (x, y)], fill=_pick(INKS, self.rng))
        if self.rng.random() < 0.5:  # the probe's orientation mark beside the apex
            mark = "VPSM"[self.rng.integers(4)]
            self.draw.text((x + 3 * size, self.top), mark, fill=_pick(INKS, self.rng))

    def bars(self) -> None:
        width, height = max(4, self.columns // 50), round(self.rows * self.rng.uniform(0.15, 0.5))
        x = 2 if self.rng.random() < 0.3 else self.columns - 3 - width
        y = round(self.rows * self.rng.uniform(0.05, 0.4))
        coloured = self.rng.random() < 0.3
        for step in range(height):
            level = round(255 * (1 - step / height))
            ink = (level, abs(2 * level - 255) // 2, 255 - level) if coloured else (level,) * 3
            self.draw.line((x, y + step, x + width, y + step), fill=ink)

    def panel(self) -> None:
        level, share = int(self.rng.integers(20, 200)), self.rng.uniform(0.3, 1)
        corner = (self.columns, share * self.top) if self.rng.random() < 0.5 else (share * self.left, self.rows)
        self.draw.rectangle((0, 0, *corner), fill=(level,) * 3)
