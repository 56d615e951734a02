"""The phantom: simulated apical four-chamber frames of simulated patients and four simulated scanners.

It is the embedded data of this project: every bundle trains, evaluates and is tested on it without a download. It holds
no real image. Its scores show that the code works and how methods compare under a controlled domain shift; they have
no clinical meaning.

References:
    I. Islam et al., MELBA 2026, doi 10.59275/j.melba.2026-3bfa (loss of Dice between real datasets).
    S. Leclerc et al., IEEE TMI 38(9):2198-2210, 2019, doi 10.1109/TMI.2019.2900516 (statistics of the anatomy).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from ...contours import fill
from ...spelling import did_you_mean
from ..views import PHASES
from .heart import Heart, echogenicity, offset, sample_heart
from .ultrasound import Artefacts, Grey, Polar, Speckle, View, beamform, compress, receive, scan_convert

__all__ = ["DOMAINS", "Geometry", "PhantomFrame", "Protocol", "Scanner", "Study", "examine", "jpeg", "render"]

SIZES = (32, 1024)  # pixels along a side


@dataclass(frozen=True)
class Geometry:
    """Position of the sector in the image.

    Args:
        window: "sector" crops tightly to the sector (CAMUS), "screen" keeps a 4:3 screen round it (Unity), "crop" keeps
            the central 80 % of a square screen and blackens its upper corners (EchoNet).
        angles: opening angles, degrees, with equal chance.
        reach: depth below the mitral annulus, mm, (mean, standard deviation) over patients.
        native: pixels along each side of the stored frame if that is coarser than what is asked for, else None.
    """

    window: Literal["sector", "screen", "crop"]
    angles: tuple[float, ...]
    reach: tuple[float, float]
    native: int | None


@dataclass(frozen=True)
class Protocol:
    """Where the annotators of a centre draw, relative to the anatomy (CAMUS).

    Args:
        endocardium: mm outwards.
        wall: annotated thickness of the myocardium over the anatomical one.
        mitral: mm by which the mitral plane is moved towards the apex.
    """

    endocardium: float
    wall: float
    mitral: float


@dataclass(frozen=True)
class Scanner:
    """One domain: a machine, its settings and its annotators.

    Args:
        geometry: position of the sector in the image.
        speckle: resolution.
        grey: grey map.
        artefacts: what the physics and the patient add.
        protocol: where the annotators draw.
        jpeg: range of JPEG quality the frames were stored with, or None.
        external: a clinic without training data: all of its patients are test patients.
    """

    geometry: Geometry
    speckle: Speckle
    grey: Grey
    artefacts: Artefacts
    protocol: Protocol
    jpeg: tuple[int, int] | None
    external: bool = False


# camus_like matches CAMUS in grey levels, speckle and geometry. No source quantifies the difference between vendors or
# centres, so the others are designed to cost the LV Dice that a U-Net loses between the real datasets, 0.08 to 0.21
# (Islam et al., 2026); docs/phantom.md reports the measured values.
DOMAINS: Mapping[str, Scanner] = MappingProxyType(
    {
        "camus_like": Scanner(
            Geometry(window="sector", angles=(*[74.6] * 17, 59.6, 64.6, 89.6), reach=(44.0, 16.0), native=None),
            Speckle(pulse=1.2, beam=1.6, looks=2, smoothing=0.0),
            Grey(dynamic_range=52.0, myocardium=0.41, blood=-13.0, contrast=0.0, gain=5.5),
            Artefacts(haze=-3.0, floor=-14.0, attenuation=0.0, shadow=4.0, dropout=3.0, clutter=4.0),
            Protocol(endocardium=0.0, wall=1.0, mitral=0.0),
            jpeg=None,
        ),
        "unity_like": Scanner(
            Geometry(window="screen", angles=(75.0, 80.0, 85.0, 90.0), reach=(67.0, 12.0), native=None),
            Speckle(pulse=1.8, beam=1.8, looks=4, smoothing=0.6),
            Grey(dynamic_range=56.0, myocardium=0.40, blood=-17.0, contrast=0.8, gain=3.0),
            Artefacts(haze=-2.0, floor=-20.0, attenuation=8.0, shadow=7.0, dropout=6.0, clutter=4.0),
            Protocol(endocardium=-2.0, wall=0.8, mitral=1.5),
            jpeg=None,
        ),
        "echonet_like": Scanner(
            Geometry(window="crop", angles=(80.0, 85.0, 90.0), reach=(56.0, 9.0), native=112),
            Speckle(pulse=2.0, beam=2.2, looks=2, smoothing=0.0),
            Grey(dynamic_range=50.0, myocardium=0.34, blood=-17.0, contrast=0.6, gain=3.0),
            Artefacts(haze=-6.0, floor=-22.0, attenuation=5.0, shadow=5.0, dropout=7.0, clutter=3.0),
            Protocol(endocardium=-1.2, wall=0.8, mitral=2.0),
            jpeg=(60, 80),
        ),
        # a narrow sector, strong compounding, a long grey scale, and annotators who draw the cavity out to the
        # compacted wall, trabeculae included
        "clinic_like": Scanner(
            Geometry(window="screen", angles=(65.0, 70.0, 75.0), reach=(58.0, 10.0), native=None),
            Speckle(pulse=1.0, beam=2.6, looks=6, smoothing=0.4),
            Grey(dynamic_range=60.0, myocardium=0.48, blood=-16.0, contrast=0.3, gain=3.0),
            Artefacts(haze=-6.0, floor=-17.0, attenuation=12.0, shadow=8.0, dropout=6.0, clutter=6.0),
            Protocol(endocardium=1.0, wall=1.1, mitral=1.0),
            jpeg=(75, 90),
            external=True,
        ),
    }
)


@dataclass(frozen=True)
class PhantomFrame:
    """One frame of the phantom.

    Args:
        image: grey values 0 to 255, uint8, (rows, columns); 0 outside the sector.
        label: uint8, (rows, columns); 0 background, 1 LV cavity, 2 LV myocardium, 3 left atrium.
        spacing: mm per pixel, (row, column).
        sector: marks the ultrasound, bool, (rows, columns).
    """

    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    spacing: tuple[float, float]
    sector: NDArray[np.bool_]


@dataclass(frozen=True)
class Study:
    """A patient and the settings of the examination; `examine` draws them.

    Args:
        scanner: the domain.
        hearts: at "ED" and "ES".
        depth: of the sector, mm.
        half_angle: of the sector, degrees.
        window: the rectangle that the image shows, mm: left, top, width, height.
        entropy: seed of what differs between frames.
        setting: generator of what is the same in all frames; every frame takes a copy.
    """

    scanner: Scanner
    hearts: Mapping[str, Heart]
    depth: float
    half_angle: float
    window: tuple[float, float, float, float]
    entropy: tuple[int, ...]
    setting: np.random.Generator

    def reaches(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Mark the places (x, y), mm, that are in the sector."""
        return (np.hypot(x, y) <= self.depth) & (np.abs(np.rad2deg(np.arctan2(x, y))) <= self.half_angle)

    def draw(self, heart: Heart, instant: int, view: View) -> PhantomFrame:
        """Draw what `view` shows of a heart; frames of the same `instant` have the same speckle."""
        stored = min(view.size, self.scanner.geometry.native or view.size)
        polar = Polar(self.depth, self.half_angle, (stored + 128, stored // 2 + 64))  # fine enough for the speckle
        sector = self.reaches(*view.mesh)
        rng = np.random.default_rng(np.random.SeedSequence(self.entropy, spawn_key=(2 + instant,)))
        image = _image(self.scanner, heart, polar, view, deepcopy(self.setting), rng)
        return PhantomFrame(image, _annotate(self.scanner.protocol, heart, sector, view), view.spacing, sector)


def render(domain: str, patient: int, phase: Literal["ED", "ES"], size: int = 256, seed: int = 0) -> PhantomFrame:
    """Draw one square frame. The same arguments give the same frame; the anatomy does not depend on `size`.

    Args:
        domain: a key of `DOMAINS`.
        patient: number of the patient, 0 or more; each domain has its own patients.
        phase: "ED" or "ES"; both show the same patient under the same settings.
        size: pixels along each side.
        seed: another seed is another population.

    Example:
        >>> frame = render("camus_like", patient=0, phase="ED", size=64)
        >>> frame.image.shape, np.unique(frame.label).tolist()
        ((64, 64), [0, 1, 2, 3])
    """
    if phase not in PHASES:
        raise ValueError(f"expected a phase of {list(PHASES)}, got {phase!r}.")
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"expected a size of {SIZES[0]} to {SIZES[1]} pixels, got {size}.")
    study = examine(domain, patient, seed)
    return study.draw(study.hearts[phase], PHASES.index(phase), View(*study.window, size))


def examine(domain: str, patient: int, seed: int = 0) -> Study:
    """Draw a patient, set angle and depth for the heart, and place the image round the sector.

    Args:
        domain: a key of `DOMAINS`.
        patient: number of the patient, 0 or more; each domain has its own patients.
        seed: another seed is another population.

    Raises:
        ValueError: if an argument is not one of those above.

    Example:
        >>> sorted(examine("unity_like", patient=3).hearts)
        ['ED', 'ES']
    """
    if domain not in DOMAINS:
        raise ValueError(f"domain is {domain!r}; the phantom has {list(DOMAINS)}.{did_you_mean(domain, DOMAINS)}")
    if patient < 0 or seed < 0:
        raise ValueError(f"expected a patient and a seed of 0 or more, got {patient} and {seed}.")
    entropy = (seed, zlib.crc32(domain.encode()), patient)
    anatomy, setting = (np.random.default_rng(child) for child in np.random.SeedSequence(entropy).spawn(2))
    hearts, geometry = sample_heart(anatomy), DOMAINS[domain].geometry
    half_angle = float(setting.choice(geometry.angles)) / 2
    reach = geometry.reach[0] + geometry.reach[1] * float(np.clip(setting.standard_normal(), -2, 2))
    depth = float(np.clip(hearts["ED"].mitral[1] + reach, 100, 215))  # mm; CAMUS has 88 to 218
    margin, shift = setting.uniform(0.02, 0.06), setting.uniform(-0.03, 0.03)  # of the screen: above, sideways
    screen = depth / (0.95 - margin)  # mm; 5 % stay black below the sector
    if geometry.window == "sector":
        width = 2 * depth * float(np.sin(np.deg2rad(half_angle)))
        window = (-width / 2, 0.0, width, depth)
    elif geometry.window == "screen":
        width = screen * 4 / 3
        window = ((shift - 0.5) * width, -margin * screen, width, screen)
    else:
        side = 0.8 * screen
        window = ((shift - 0.5) * side, (0.1 - margin) * screen, side, side)
    return Study(DOMAINS[domain], hearts, depth, half_angle, window, entropy, setting)


def _image(
    scanner: Scanner, heart: Heart, polar: Polar, view: View, setting: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw the image; `setting` is the same for both phases, `rng` draws what differs: the speckle."""
    echo = echogenicity(heart, polar.mesh, polar.to_pixels, scanner.grey.blood, setting)  # dB
    for axis, blur in enumerate((0.7 / polar.step[0], 0.5 / polar.step[1])):  # mm, degrees: no border is sharp
        echo = gaussian_filter1d(echo, blur, axis=axis, truncate=2.5)
    power, veil = receive(echo, scanner.artefacts, scanner.grey.gain, polar, setting)
    intensity = beamform(power, polar, scanner.speckle, rng) + veil
    stored = replace(view, size=min(view.size, scanner.geometry.native or view.size))
    shade = scan_convert(compress(intensity, scanner.grey), polar, scanner.speckle.smoothing, stored)
    image = (255 * shade + 0.5).astype(np.uint8)
    black = image == 0
    if scanner.geometry.window == "crop":
        # the diagonal mask of EchoNet-Dynamic's published export: a wedge below (0.6 size, 0)
        row, column = np.indices(image.shape)
        limit = stored.size // 2 + stored.size // 10
        black |= (row + column <= limit) | (column - row >= limit)
    if scanner.jpeg:
        image = np.array(jpeg(Image.fromarray(image), int(setting.integers(*scanner.jpeg))))
    image[black] = 0
    return np.asarray(Image.fromarray(image).resize((view.size, view.size), Image.Resampling.BILINEAR))


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Return an image as JPEG stores it."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def _annotate(protocol: Protocol, heart: Heart, sector: NDArray[np.bool_], view: View) -> NDArray[np.uint8]:
    """Annotate as the centre does: the left atrium ends with the sector, the LV may leave it as in CAMUS."""
    x, y = view.mesh

    def inside(contour: NDArray[np.float64]) -> NDArray[np.bool_]:
        return fill(view.to_pixels(contour), (view.size, view.size))

    thickness = np.linalg.norm(heart.epicardium - heart.endocardium, axis=1)
    epicardium = inside(offset(heart.endocardium, protocol.wall * thickness))
    both = np.concatenate([heart.endocardium, heart.left_atrium[1:]])  # round both cavities, clockwise
    cavities = inside(offset(both, protocol.endocardium))
    above = (x - heart.mitral[0]) * heart.up[0] + (y - heart.mitral[1]) * heart.up[1] > protocol.mitral
    label = np.zeros((view.size, view.size), np.uint8)
    label[epicardium & above] = 2
    label[cavities & above & epicardium] = 1
    label[cavities & ~above & sector] = 3
    return label
