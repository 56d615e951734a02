"""Drawn MRI of left atria with four pulmonary veins: two scanners.

Axes are (x, y, z) = RAS: towards the patient's right, front and head; lengths are mm, and the origin is the middle of
the field. The annotation is an ellipsoid with a round stump of each vein, cut flat; the veins go on into the lungs
without annotation, as in the Left Atrium Segmentation Challenge 2018. Sizes are of adults, by eye; no patient's data
were used. Values are standardised as the reader of that challenge does (`standardised`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from ..volumes.volume import standardised

__all__ = ["ATRIUM_SCANNERS", "FIELD", "AtriumShape", "DrawnAtrium", "draw_atrium"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

FIELD = np.array([[-64, 64], [-48, 48], [-48, 48]], float)  # mm, of the volume
VEINS = ((1, 0.4), (1, -0.45), (-1, 0.4), (-1, -0.45))  # side and height of their directions
BEYOND = 60  # mm from the centre: where veins end
WALL = 2.5  # mm
LUNG, MUSCLE, BLOOD, OTHER_BLOOD, SCAR = 12, 62, 125, 112, 165  # grey values before the scanner


@dataclass(frozen=True)
class AtriumScanner:
    """How a scanner shows an atrium.

    Args:
        noise: standard deviation of the noise of each of two channels, grey values.
        blur: standard deviation of the point spread, mm.
        bias: range of the sensitivity of the coils, fraction.
        gamma: exponent of the grey scale.
    """

    noise: float
    blur: float
    bias: float
    gamma: float


ATRIUM_SCANNERS = {
    "atrium_a": AtriumScanner(noise=9, blur=1.0, bias=0.25, gamma=1.0),
    "atrium_b": AtriumScanner(noise=17, blur=1.9, bias=0.7, gamma=0.75),
}


class AtriumShape(NamedTuple):
    """An atrium in its own axes, mm from its centre.

    Args:
        semi: semi-axes of the ellipsoid.
        directions: unit vectors of the veins from the centre, (4, 3).
        radii: of the veins.
        reach: from the centre to the ends of the stumps.
    """

    semi: Array
    directions: Array
    radii: Array
    reach: Array

    def inside(self, points: Array, thicker: float = 0.0) -> Mask:
        """Return whether points, mm, (..., 3), lie in the ellipsoid, `thicker` mm larger."""
        return np.asarray(np.square(points / (self.semi + thicker)).sum(axis=-1) <= 1)

    def in_veins(self, points: Array, reach: Array) -> Mask:
        """Return whether points, mm, (..., 3), lie in a vein, from the centre to `reach`, mm, of each."""
        along = points @ self.directions.T
        square = np.square(points).sum(axis=-1)[..., None] - np.square(along)
        return np.asarray(((along >= 0) & (along <= reach) & (square <= np.square(self.radii))).any(axis=-1))


class DrawnAtrium(NamedTuple):
    """A volume: image, int16, and annotation values, uint8, both (x, y, z) in RAS; mm per voxel; what was drawn."""

    image: NDArray[np.int16]
    label: NDArray[np.uint8]
    spacing: tuple[float, float, float]
    shape: AtriumShape


def _shape(rng: np.random.Generator) -> AtriumShape:
    semi = rng.uniform([32, 22, 28], [39, 27, 33])
    side, height = np.array(VEINS).T
    vectors = np.stack([side, rng.uniform(-0.55, -0.25, 4), height + rng.uniform(-0.06, 0.06, 4)], axis=1)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    wall = 1 / np.linalg.norm(directions / semi, axis=1)
    return AtriumShape(semi, directions, rng.uniform(5, 7.5, 4), wall + rng.uniform(8, 14, 4))


def draw_atrium(scanner: str, patient: int, seed: int = 0, spacing: float = 2.0) -> DrawnAtrium:
    """Draw the MRI of one patient, left atrium annotated (`ATRIUM_LABELS`).

    Args:
        scanner: one of `ATRIUM_SCANNERS`.
        patient: number of the patient; differs between scanners.
        seed: of everything.
        spacing: mm per voxel, along each axis.

    Raises:
        ValueError: for another scanner, or a spacing that shows no vein.

    Example:
        >>> atrium = draw_atrium("atrium_a", patient=0, spacing=4.0)
        >>> atrium.image.shape, np.unique(atrium.label).tolist()
        ((32, 24, 24), [0, 1])
    """
    if scanner not in ATRIUM_SCANNERS:
        raise ValueError(f"expected a scanner among {list(ATRIUM_SCANNERS)}, got {scanner!r}.")
    if not 0.5 <= spacing <= 8:
        raise ValueError(f"expected a spacing from 0.5 to 8 mm per voxel, got {spacing}.")
    rng = np.random.default_rng([seed, list(ATRIUM_SCANNERS).index(scanner), patient])
    grain = rng.spawn(1)[0]  # numbers a voxel: the anatomy must not depend on the spacing
    counts = np.round((FIELD[:, 1] - FIELD[:, 0]) / spacing).astype(int)
    axes = [low + (np.arange(count) + 0.5) * spacing for low, count in zip(FIELD[:, 0], counts, strict=True)]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    shape = _shape(rng)
    turn = Rotation.from_euler("xyz", rng.uniform(-10, 10, 3), degrees=True)
    centre = rng.uniform(-4, 4, 3)
    points = (places - centre) @ turn.as_matrix()  # in the axes of the atrium
    label = shape.inside(points) | shape.in_veins(points, shape.reach)
    grey = _surroundings(places, rng)
    grey[shape.inside(points, WALL)] = MUSCLE
    grey[_scars(points, rng) & shape.inside(points, WALL)] = SCAR
    grey[label | shape.in_veins(points, np.full(4, BEYOND))] = BLOOD
    image = _scanned(grey, places, ATRIUM_SCANNERS[scanner], spacing, rng, grain)
    return DrawnAtrium(standardised(image), label.astype(np.uint8), (spacing,) * 3, shape)


def _surroundings(places: Array, rng: np.random.Generator) -> Array:
    """Return grey values of lungs, muscle, and the blood of ventricle, right atrium and aorta."""
    x, y, z = np.moveaxis(places, -1, 0)
    grey = np.full(x.shape, float(MUSCLE))
    for side in (-1, 1):
        lung = np.square((x - side * 72) / 34) + np.square((y + 16) / 40) + np.square(z / 90) <= 1
        grey[lung] = LUNG
    for centre, semi in (([-14, 46, -30], [34, 24, 28]), ([46, 30, -6], [20, 22, 30])):
        near, size = centre + rng.uniform(-4, 4, 3), semi * rng.uniform(0.9, 1.1, 3)
        grey[np.square((places - near) / size).sum(axis=-1) <= 1] = OTHER_BLOOD
    aorta = rng.uniform([-26, -42, 9], [-14, -38, 12])
    grey[np.hypot(x - aorta[0], y - aorta[1]) <= aorta[2]] = OTHER_BLOOD
    return grey


def _scars(points: Array, rng: np.random.Generator) -> Mask:
    """Return where late enhancement brightens the wall: balls around directions from the centre."""
    found: Mask = np.zeros(points.shape[:-1], bool)
    for _ in range(rng.integers(2, 6)):
        direction = rng.standard_normal(3)
        found |= np.square(points - 28 * direction / np.linalg.norm(direction)).sum(axis=-1) <= rng.uniform(5, 10) ** 2
    return found


def _scanned(
    grey: Array,
    places: Array,
    scanner: AtriumScanner,
    spacing: float,
    rng: np.random.Generator,
    grain: np.random.Generator,
) -> Array:
    """Return what the scanner shows: blurred, brighter near the coils, with Rician noise."""
    tilt = rng.standard_normal(3)
    slope = places @ (tilt / np.linalg.norm(tilt)) / FIELD.max()  # about -1 to 1
    shown = 150 * (gaussian_filter(grey, scanner.blur / spacing) / 150) ** scanner.gamma
    real, imaginary = scanner.noise * grain.standard_normal((2, *grey.shape))
    return np.asarray(np.hypot(shown * (1 + scanner.bias / 2 * slope) + real, imaginary))
