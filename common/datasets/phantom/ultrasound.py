"""From scattering strength to an ultrasound frame: speckle in polar coordinates, log compression, scan conversion.

Speckle is a complex Gaussian field, multiplied by the amplitude of the tissue and convolved with the pulse along the
beam and the beam profile across it. The beam width is constant in angle, so arcs widen with depth as in a real sector.

References:
    R. F. Wagner et al., IEEE Trans. Sonics Ultrason. 30(3):156-163, 1983 (statistics of speckle).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates

__all__ = [
    "Artefacts",
    "Grey",
    "Polar",
    "Speckle",
    "View",
    "beamform",
    "compress",
    "depth_gain",
    "noise",
    "receive",
    "scan_convert",
]

Array = NDArray[np.float64]
FWHM = 2.3548  # full width at half maximum of a Gaussian over its standard deviation
NEAR_FIELD = 1.2  # mm: narrowest detail near the probe


@dataclass(frozen=True)
class Speckle:
    """Resolution of a scanner.

    Args:
        pulse: length of the pulse along the beam, mm at half maximum.
        beam: width of the beam, degrees at half maximum.
        looks: independent frequencies or angles averaged (compounding); fewer is grainier.
        smoothing: standard deviation of the smoothing of the displayed image, mm.
    """

    pulse: float
    beam: float
    looks: int
    smoothing: float


@dataclass(frozen=True)
class Grey:
    """Mapping of echo to grey level.

    Args:
        dynamic_range: dB between black and white.
        myocardium: grey level of average myocardium, 0 to 1.
        blood: echo of blood, dB relative to myocardium.
        contrast: slope of an S-curve about mid-grey; 0 leaves the grey levels as they are.
        gain: spread of the overall gain between patients, dB.
    """

    dynamic_range: float
    myocardium: float
    blood: float
    contrast: float
    gain: float


@dataclass(frozen=True)
class Artefacts:
    """Effects of the physics and the patient, all in dB.

    Args:
        haze: near-field haze at the probe relative to myocardium; it halves every 18 mm and varies between patients.
        floor: electronic noise at full depth relative to myocardium; depth gain raises it by 6 dB from the probe on.
        attenuation: loss over 100 mm that the operator has not compensated.
        shadow: mean strength of the shadows of ribs and lung.
        dropout: loss at the edges of the sector.
        clutter: strength of the reverberation rings under the probe.
    """

    haze: float
    floor: float
    attenuation: float
    shadow: float
    dropout: float
    clutter: float


@dataclass(frozen=True)
class Polar:
    """A grid of beams: rows run along the depth, columns across the angle.

    Args:
        depth: mm.
        half_angle: degrees from the probe's axis to the last beam.
        shape: (samples, beams).
    """

    depth: float
    half_angle: float
    shape: tuple[int, int]

    @cached_property
    def radius(self) -> Array:
        """Distance from the probe, mm, (samples, 1)."""
        return np.linspace(0, self.depth, self.shape[0])[:, None]

    @cached_property
    def angle(self) -> Array:
        """Angle from the probe's axis, degrees, positive to the right, (1, beams)."""
        return np.linspace(-self.half_angle, self.half_angle, self.shape[1])[None]

    @property
    def step(self) -> tuple[float, float]:
        """Distance between neighbours, (mm, degrees)."""
        return self.depth / (self.shape[0] - 1), 2 * self.half_angle / (self.shape[1] - 1)

    @cached_property
    def mesh(self) -> tuple[Array, Array]:
        """Position (x, y) of every grid point, mm, each (samples, beams)."""
        angle = np.deg2rad(self.angle)
        return self.radius * np.sin(angle), self.radius * np.cos(angle)

    def to_pixels(self, points: Array) -> Array:
        """Convert (x, y), mm, (points, 2), to (sample, beam).

        Example:
            >>> Polar(100.0, 45.0, (101, 91)).to_pixels(np.array([[0.0, 50.0]]))
            array([[50., 45.]])
        """
        x, y = points.T
        step = self.step
        angle = np.rad2deg(np.arctan2(x, y))
        return np.stack([np.hypot(x, y) / step[0], (angle + self.half_angle) / step[1]], axis=1)


@dataclass(frozen=True)
class View:
    """The rectangle, mm, that a square image of `size` pixels shows.

    Args:
        left: x of the left edge, mm.
        top: y of the top edge, mm.
        width: mm.
        height: mm.
        size: pixels along each side.
    """

    left: float
    top: float
    width: float
    height: float
    size: int

    @property
    def spacing(self) -> tuple[float, float]:
        """Mm per pixel, (row, column)."""
        return self.height / self.size, self.width / self.size

    @cached_property
    def mesh(self) -> tuple[Array, Array]:
        """Position (x, y) of the pixel centres, mm, (1, size) and (size, 1)."""
        centre = np.arange(self.size, dtype=np.float64) + 0.5
        row, column = self.spacing
        return self.left + column * centre[None], self.top + row * centre[:, None]

    def to_pixels(self, points: Array) -> Array:
        """Convert (x, y), mm, (points, 2), to (row, column); pixel centres have whole numbers."""
        row, column = self.spacing
        return np.stack([(points[:, 1] - self.top) / row - 0.5, (points[:, 0] - self.left) / column - 0.5], axis=1)


def depth_gain(artefacts: Artefacts, polar: Polar, rng: np.random.Generator) -> Array:
    """Draw the gain, dB, (samples, beams): loss with depth, drop-out at the edges, two shadows, reverberation rings."""
    radius, edge = polar.radius, polar.angle / polar.half_angle
    gain: Array = -artefacts.attenuation * (radius - 70) / 100 - artefacts.dropout * edge**4  # 70 mm: mid-heart
    for _ in range(2):
        centre, width, start = rng.uniform(-1.1, 1.1), rng.uniform(0.08, 0.25), rng.uniform(10, 60)  # start: mm
        strength = min(artefacts.shadow * rng.exponential(1.0), 14)  # dB
        gain -= strength * np.exp(-(((edge - centre) / width) ** 2)) / (1 + np.exp(-(radius - start) / 6))
    period = rng.uniform(4, 7)  # mm between the rings
    gain += artefacts.clutter * np.cos(2 * np.pi * radius / period) * np.exp(-radius / 12)
    return gain


def noise(artefacts: Artefacts, polar: Polar, rng: np.random.Generator) -> Array:
    """Return the power of near-field haze and electronic noise, 1 in average myocardium, (samples, 1)."""
    floor = artefacts.floor + 6 * (polar.radius / polar.depth - 1)
    haze = artefacts.haze + 5 * float(np.clip(rng.standard_normal(), -1.5, 1.5)) - polar.radius / 6
    return np.asarray(10 ** (floor / 10) + 10 ** (haze / 10))


def receive(
    echo: Array, artefacts: Artefacts, gain: float, polar: Polar, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Add gain and noise to what the tissue scatters.

    Two thirds of haze and noise have their own speckle, the rest is a veil: blood is then less grainy than muscle.

    Args:
        echo: scattering strength, dB relative to average myocardium, (samples, beams).
        artefacts: their strengths.
        gain: spread of the overall gain between patients, dB.
        polar: the grid of `echo`.
        rng: generator of this patient.

    Returns:
        Power to be beamformed, (samples, beams), and intensity to be added to the result, (samples, 1).
    """
    echo = echo + depth_gain(artefacts, polar, rng)
    echo += gain * float(np.clip(rng.standard_normal(), -2, 2))
    clutter = noise(artefacts, polar, rng)
    return 10 ** (echo / 10) + 0.8 * clutter, 0.4 * clutter


def beamform(power: Array, polar: Polar, speckle: Speckle, rng: np.random.Generator) -> Array:
    """Compute the detected signal.

    Args:
        power: scattering strength, 1 in average myocardium, (samples, beams).
        polar: the grid of `power`.
        speckle: resolution of the scanner.
        rng: draws the scatterers.

    Returns:
        Intensity, (samples, beams); its mean is 1 where `power` is 1 and uniform.

    Example:
        >>> polar = Polar(100.0, 40.0, (256, 192))
        >>> speckle = beamform(np.ones(polar.shape), polar, Speckle(1.2, 1.8, 1, 0.0), np.random.default_rng(0))
        >>> float(speckle.std() / speckle.mean()).__round__(1)  # fully developed speckle of one look
        1.0
    """
    # real and imaginary part of every look
    field = rng.standard_normal((2 * speckle.looks, *polar.shape), dtype=np.float32) * np.sqrt(power).astype(np.float32)
    sigma = speckle.pulse / FWHM / polar.step[0], speckle.beam / FWHM / polar.step[1]
    for axis, width in enumerate(sigma, start=1):
        field = gaussian_filter1d(field, width, axis=axis, mode="reflect", truncate=3)
    return np.asarray(np.square(field).mean(axis=0) / (_energy(sigma[0]) * _energy(sigma[1])))


def _energy(sigma: float) -> float:
    """Return the fraction of the power of white noise that passes a Gaussian filter of unit sum."""
    offsets = np.arange(-int(3 * sigma + 0.5), int(3 * sigma + 0.5) + 1)
    kernel = np.exp(-(offsets**2) / (2 * sigma**2))
    return float(np.square(kernel / kernel.sum()).sum())


def compress(intensity: Array, grey: Grey) -> Array:
    """Convert intensity, 1 in average myocardium, to grey level, 0 to 1, by log compression and the grey map.

    Example:
        >>> grey = Grey(dynamic_range=50.0, myocardium=0.4, blood=-12.0, contrast=0.0, gain=0.0)
        >>> compress(np.array([1.0, 0.1, 1e-9, 1e9]), grey).round(2).tolist()
        [0.4, 0.2, 0.0, 1.0]
    """
    level = 10 * np.log10(intensity + 1e-9)  # -90 dB is black in any grey map
    shade: Array = np.clip(grey.myocardium + level / grey.dynamic_range, 0, 1)
    return shade + grey.contrast * np.sin(2 * np.pi * (shade - 0.5)) / (2 * np.pi)


def scan_convert(shade: Array, polar: Polar, smoothing: float, view: View) -> Array:
    """Resample beams onto the square image: grey level 0 to 1, (size, size), 0 outside the sector.

    The polar image is smoothed to the size of a pixel first, to avoid aliasing; the edge of the sector is one pixel
    wide.

    Args:
        shade: grey level 0 to 1, (samples, beams).
        polar: its grid.
        smoothing: standard deviation of the scanner's own smoothing, mm.
        view: the image.
    """
    pixel = float(np.sqrt(np.prod(view.spacing)))  # mm
    sigma = np.hypot(0.35 * pixel, smoothing)  # mm; a pixel integrates over about +-0.35 of its width
    shade = gaussian_filter1d(shade, sigma / polar.step[0], axis=0, truncate=2.5)
    sigma = np.hypot(0.35 * max(pixel, NEAR_FIELD), smoothing)
    for octave in range(5):  # a millimetre spans more beams near the probe
        near, far = polar.depth * 2.0 ** np.array([-octave - 1, -octave])  # mm
        band = slice(*np.searchsorted(polar.radius[:, 0], [near, far * 1.001]))
        degrees = np.rad2deg(sigma / ((near + far) / 2))
        shade[band] = gaussian_filter1d(shade[band], degrees / polar.step[1], axis=1, truncate=2.5)
    x, y = view.mesh
    radius, angle = np.hypot(x, y), np.rad2deg(np.arctan2(x, y))
    where = np.stack([radius / polar.step[0], (angle + polar.half_angle) / polar.step[1]])
    image: Array = map_coordinates(shade, where, order=1, mode="nearest")
    inside = np.minimum(polar.depth - radius, np.deg2rad(polar.half_angle - np.abs(angle)) * radius)  # mm to the edge
    image *= np.clip(inside / pixel, 0, 1)
    return image
