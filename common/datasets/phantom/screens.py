"""Phantom screens: the phantom's ultrasound in many screen layouts, annotated with the sector itself.

They train and test the sector finder. Annotation value 1 is the sector, computed from the geometry that drew it, so it
is exact even under text and where the edge is too dark to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from ..files.motion import motion
from ..prepared.source import Frame, Job, Source
from .dataset import CITATION, FOLD_OF_TEN, LICENCE
from .heart import echogenicity, sample_heart
from .screen_overlay import overlay
from .study import DOMAINS, Scanner, jpeg
from .ultrasound import Polar, View, beamform, compress, receive, scan_convert

__all__ = ["SCANNERS", "Layout", "draw_layout", "draw_screen", "phantom_screens"]

Array = NDArray[np.float64]
BEAMS = (384, 224)  # samples along the depth, beams across the angle
NATIVE = (256, 600)  # rows of a screen
SCANNERS = tuple(name for name, scanner in DOMAINS.items() if not scanner.external)  # take turns


@dataclass(frozen=True)
class Layout:
    """Position of the sector on the screen.

    Args:
        shape: of the screen, pixels, (rows, columns).
        scale: mm per pixel.
        apex: where the edges meet, pixels, (row, column); it may be outside the screen or inside the probe.
        half_angle: degrees from the axis to each edge.
        depth: mm from the apex to the outer arc.
        inner: mm from the apex to the face of the probe.
        frame: the sector is cut to these pixels: first row, first column, end of the rows, end of the columns.
        masked: everything outside the sector is black, and the upper corners are cut at 45 degrees (EchoNet-Dynamic).
    """

    shape: tuple[int, int]
    scale: float
    apex: tuple[float, float]
    half_angle: float
    depth: float
    inner: float
    frame: tuple[float, float, float, float]
    masked: bool

    @property
    def sector(self) -> NDArray[np.bool_]:
        """Mark the sector, (rows, columns)."""
        row, column = np.indices(self.shape)
        x, y = (column - self.apex[1]) * self.scale, (row - self.apex[0]) * self.scale
        radius = np.hypot(x, y)
        sector = (np.abs(np.rad2deg(np.arctan2(x, y))) <= self.half_angle) & (radius >= self.inner)
        sector &= (radius <= self.depth) & (row >= self.frame[0]) & (row < self.frame[2])
        sector &= (column >= self.frame[1]) & (column < self.frame[3])
        if self.masked:
            rows, columns = self.shape
            sector &= np.abs(column - columns / 2) < row - 0.1 * rows  # the wedge of the published export
        return np.asarray(sector)


def draw_layout(rows: int, rng: np.random.Generator) -> Layout:
    """Draw a layout: a whole sector on a screen, a tight crop (CAMUS), a zoomed or a masked square (EchoNet)."""
    window = rng.choice(["screen", "tight", "zoomed", "masked"], p=[0.5, 0.15, 0.25, 0.1])
    usual = rng.random() < 0.5
    half_angle = float(rng.choice([37.3, 40.0, 42.5, 45.0]) if usual else rng.uniform(20, 60))
    depth, inner = rng.uniform(100, 215), (0.0 if rng.random() < 0.6 else rng.uniform(2, 25))  # mm
    top = inner * np.cos(np.deg2rad(half_angle))  # the upper corners, mm below the apex
    height, width = depth - top, 2 * depth * np.sin(np.deg2rad(half_angle))  # mm
    if window == "tight":
        scale = height / rows
        shape = rows, max(int(width / scale), 1)
        apex = -top / scale - 0.5, (shape[1] - 1) / 2
        return Layout(shape, scale, apex, half_angle, depth, inner, (0, 0, *shape), masked=False)
    aspect = 1.0 if window == "masked" else float(rng.choice([1.0, 1.25, 4 / 3, 1.5]))
    shape = rows, int(rows * aspect)
    filled = rng.uniform(0.65, 0.97) if window == "screen" else rng.uniform(1.0, 1.35)
    scale = max(height / shape[0], width / shape[1]) / filled
    spare = shape[0] - height / scale, shape[1] - width / scale  # pixels; negative where the sector is cut
    above = rng.uniform(0, 0.6) * spare[0] if spare[0] > 0 else rng.uniform(-0.04, 0.04) * rows
    aside = 0.5 * spare[1] * float(np.clip(rng.normal(0, 0.4), -1, 1))
    apex = above - top / scale, (shape[1] - 1) / 2 + aside
    left, bottom, right = 0.0, float(shape[0]), float(shape[1])
    if rng.random() < 0.2:  # some scanners end the sector with a straight line
        bottom = apex[0] + rng.uniform(0.85, 0.98) * depth / scale
    if rng.random() < 0.1:
        half_width = rng.uniform(0.75, 0.95) * width / scale / 2
        left, right = apex[1] - half_width, apex[1] + half_width
    frame = (0.0, left, bottom, right)
    return Layout(shape, scale, apex, half_angle, depth, inner, frame, masked=bool(window == "masked"))


def _echo(scanner: Scanner, polar: Polar, rng: np.random.Generator) -> Array:
    """Draw scattering strength, dB: a heart, or only tissue as where the probe is held badly."""
    if rng.random() < 0.25:
        field = rng.standard_normal(polar.shape)
        fine, coarse = (sigma * gaussian_filter(field, sigma, mode="wrap") for sigma in (6, 30))  # samples
        return np.asarray(12 * fine + 18 * coarse)
    heart = sample_heart(rng)["ED" if rng.random() < 0.5 else "ES"]
    echo = echogenicity(heart, polar.mesh, polar.to_pixels, scanner.grey.blood, rng)
    return np.asarray(gaussian_filter(echo, 1.0))


def draw_screen(domain: str, number: int, rows: int, frames: int = 1, seed: int = 0) -> Frame:
    """Draw one phantom screen: image, annotation (1 is the sector) and, for clips, motion.

    Args:
        domain: a key of `DOMAINS`, the scanner.
        number: of the screen; each has its own layout and anatomy.
        rows: of the screen, pixels.
        frames: of the clip; the image is its first frame and the motion its standard deviation. 1 gives a still.
        seed: another seed gives another set.

    Example:
        >>> frame = draw_screen("unity_like", number=3, rows=256)
        >>> len(frame.image), np.unique(frame.label).tolist()
        (256, [0, 1])
    """
    layout_rng, setting, screen_rng, speckle = (
        np.random.default_rng(child) for child in np.random.SeedSequence([seed, number]).spawn(4)
    )
    layout, scanner = draw_layout(rows, layout_rng), DOMAINS[domain]
    sector, polar = layout.sector, Polar(layout.depth, layout.half_angle, BEAMS)
    echo = _echo(scanner, polar, setting)
    power, veil = receive(echo, scanner.artefacts, scanner.grey.gain, polar, setting)
    mirrored, quality = bool(setting.random() < 0.5), int(setting.integers(60, 96))
    compressed, screen_seed = bool(setting.random() < 0.5), int(screen_rng.integers(2**32))
    # some scanners show low grey levels as black
    reject = setting.uniform(0.03, 0.2) if setting.random() < 0.4 else 0.0
    drawn_over = not layout.masked and screen_rng.random() < 0.85
    still = beamform(power, polar, scanner.speckle, speckle)
    shown = []
    for index in range(frames):
        # most of the tissue stays where it is from frame to frame
        moved = beamform(power, polar, scanner.speckle, speckle) if frames > 1 else still
        shade = compress(0.6 * still + 0.4 * moved + veil, scanner.grey)
        shade = (shade - reject).clip(0) / (1 - reject)
        image = _scan(shade[:, ::-1] if mirrored else shade, polar, scanner.speckle.smoothing, layout) * sector
        screen = Image.fromarray(image)
        if drawn_over:
            screen = Image.fromarray(overlay(image, sector, np.random.default_rng(screen_seed)))
            _sweep(screen, sector, index / frames)
        if compressed and not layout.masked:
            screen = jpeg(screen, quality)
        shown.append(np.asarray(screen.convert("L")))
    return Frame(shown[0], sector.astype(np.uint8), None, motion(np.stack(shown)) if frames > 1 else None)


def _scan(shade: Array, polar: Polar, smoothing: float, layout: Layout) -> NDArray[np.uint8]:
    rows, columns = layout.shape
    left, top = (-layout.apex[1] - 0.5) * layout.scale, (-layout.apex[0] - 0.5) * layout.scale  # mm
    view = View(left, top, columns * layout.scale, rows * layout.scale, max(rows, columns))
    image = Image.fromarray((255 * scan_convert(shade, polar, smoothing, view) + 0.5).astype(np.uint8))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))


def _sweep(screen: Image.Image, sector: NDArray[np.bool_], phase: float) -> None:
    """Blank the gap that moves along the ECG; the rest of the overlay stands still."""
    rows, columns = sector.shape
    strip = np.zeros_like(sector)
    strip[int(0.84 * rows) :, int(phase * columns) : int((phase + 0.03) * columns)] = True
    screen.paste(0 if screen.mode == "L" else (0, 0, 0), mask=Image.fromarray(strip & ~sector))


def phantom_screens(size: int, patients: int = 1000, seed: int = 0) -> Source:
    """Draw phantom screens of the training scanners in turn, each in its own layout.

    Args:
        size: pixels a side of the prepared screens; the drawn ones have 2 to 4.7 times as many rows.
        patients: number of screens.
        seed: of everything.

    Raises:
        ValueError: if there are fewer than 10 screens, which leave a fold empty.
    """
    if patients < 10:
        raise ValueError(f"{patients} phantom screens leave a fold empty; at least 10 are needed.")
    rows = np.clip(size * np.random.default_rng(seed).uniform(2, 4.7, patients), *NATIVE).astype(int).tolist()
    jobs = [
        Job(
            id=f"screen_{number:04d}",
            item={
                "dataset": "screens",
                "patient": f"screen_{number:04d}",
                "view": None,
                "phase": None,
                "fold": FOLD_OF_TEN[number % 10],
            },
            read=partial(draw_screen, SCANNERS[number % len(SCANNERS)], number, rows[number], 1, seed),
        )
        for number in range(patients)
    ]
    return Source(
        name="screens",
        jobs=jobs,
        licence=LICENCE,
        citation=CITATION,
        label_sets={"screens": [["background"], ["sector"]]},
        facts={"patients": patients, "seed": seed},
    )
