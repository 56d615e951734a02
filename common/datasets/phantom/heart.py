"""Apical four-chamber hearts drawn from published shape statistics, and how strongly their tissues scatter.

Every length is in mm. A point is (x, y): x to the right of the probe's axis, y the depth below the probe. The septum
and the right heart are on the left of the image, as in CAMUS. The statistics summarise the CAMUS annotations, so the
drawn endocardium is where that protocol traces it: papillary muscles and trabeculae inside the cavity, the
right-ventricular border of the septum inside the myocardium.

References:
    S. Leclerc et al., IEEE TMI 38(9):2198-2210, 2019, doi 10.1109/TMI.2019.2900516.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from ...contours import fill

__all__ = ["Heart", "echogenicity", "offset", "sample_heart", "space_evenly"]

Array = NDArray[np.float64]

# Half width of the LV cavity over its long axis, mean of 250 CAMUS patients, from base to apex: the annulus, 20
# stations in the middles of 20 equal slices, the apex. The spread is 0.04 to 0.06, and 0.02 at the apex; two modes
# carry 78 % of it.
ALONG = np.array([0, *(np.arange(20) + 0.5) / 20, 1])
SEPTAL = {
    "ED": [.17, .161, .230, .254, .265, .267, .261, .251, .241, .234, .230,
           .229, .229, .228, .225, .218, .208, .193, .171, .140, .085, 0],
    "ES": [.17, .196, .243, .258, .266, .264, .256, .243, .228, .215, .205,
           .198, .195, .192, .189, .184, .176, .164, .147, .121, .073, 0],
}  # fmt: skip
LATERAL = {
    "ED": [.21, .242, .272, .293, .309, .320, .327, .332, .333, .332, .329,
           .323, .315, .304, .291, .276, .257, .234, .205, .163, .094, 0],
    "ES": [.21, .226, .245, .256, .264, .270, .275, .278, .278, .276, .273,
           .267, .260, .251, .240, .227, .212, .193, .169, .137, .082, 0],
}  # fmt: skip
WALL = {"ED": np.array([11.0, 11.2, 12.0]), "ES": np.array([12.6, 13.1, 13.8])}  # mm: septal, apical, lateral


@dataclass(frozen=True)
class Heart:
    """One heart at one instant: contours of shape (points, 2), mm, (x, y).

    Args:
        endocardium: LV cavity, from the septal hinge over the apex to the lateral hinge; the mitral plane closes it.
        epicardium: outer border of the LV myocardium, point for point outside `endocardium`.
        left_atrium: from the lateral hinge round the roof to the septal hinge, not yet cut by the sector.
        right_ventricle: cavity, closed.
        right_atrium: cavity, closed.
        atrial_echo: how much brighter than blood the left atrium appears (foreshortening, reverberation), dB.
    """

    endocardium: Array
    epicardium: Array
    left_atrium: Array
    right_ventricle: Array
    right_atrium: Array
    atrial_echo: float

    @property
    def mitral(self) -> Array:
        """Midpoint of the mitral annulus, mm, (2,)."""
        return np.asarray(self.endocardium[[0, -1]].mean(axis=0))

    @property
    def up(self) -> Array:
        """Unit normal of the mitral plane, towards the apex, (2,)."""
        x, y = self.endocardium[-1] - self.endocardium[0]
        return np.asarray(np.array([y, -x]) / np.hypot(x, y))


@dataclass(frozen=True)
class _Pose:
    """Long axis of the LV: length, mm; apex, (x, y), mm; tilt, degrees, negative where the apex is on the left."""

    length: float
    apex: Array
    tilt: float

    @property
    def axis(self) -> Array:
        slope = np.deg2rad(self.tilt)
        return np.array([np.sin(slope), -np.cos(slope)])  # towards the apex

    @property
    def across(self) -> Array:
        x, y = self.axis
        return np.array([-y, x])  # towards the lateral wall

    @property
    def base(self) -> Array:
        return self.apex - self.length * self.axis

    def points(self, along: Array, aside: Array) -> Array:
        """Return the (x, y) of places given in mm from the base along and across the axis."""
        return self.base + along[:, None] * self.axis + aside[:, None] * self.across


def offset(contour: Array, distance: float | Array) -> Array:
    """Move an open contour, (points, 2), mm, along its normals: outwards if it runs clockwise on the screen.

    The distance is in mm, one number or (points,); a negative one moves inwards.

    Example:
        >>> upwards = np.array([[0.0, 2.0], [0.0, 1.0], [0.0, 0.0]])
        >>> offset(upwards, 1.0)[:, 0].tolist()
        [-1.0, -1.0, -1.0]
    """
    # tangents smoothed over 2 points: a wide offset then has no loops
    tangent = gaussian_filter1d(np.gradient(contour, axis=0), 2, axis=0, mode="nearest")
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)
    return np.asarray(contour + np.broadcast_to(distance, len(contour))[:, None] * normal)


def space_evenly(contour: Array, count: int) -> Array:
    """Space `count` points evenly along an open contour (points, 2), from its first point to its last.

    Example:
        >>> space_evenly(np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 1.0]]), 3).tolist()
        [[0.0, 0.0], [1.0, 1.0], [3.0, 1.0]]
    """
    arc = np.concatenate([[0], np.linalg.norm(np.diff(contour, axis=0), axis=1).cumsum()])
    even = np.linspace(0, arc[-1], count)
    return np.stack([np.interp(even, arc, column) for column in contour.T], axis=1)


def sample_heart(rng: np.random.Generator) -> dict[str, Heart]:
    """Draw one patient's heart at end-diastole, "ED", and end-systole, "ES".

    Position, long axis, shape and wall correlate between the instants as in CAMUS; the cavity is smaller at "ES".

    Example:
        >>> hearts = sample_heart(np.random.default_rng(0))
        >>> bool(np.ptp(hearts["ED"].endocardium[:, 1]) > np.ptp(hearts["ES"].endocardium[:, 1]))  # it shortens
        True
    """
    size, side, deep, turn, thick = rng.standard_normal(5).clip(-2.2, 2.2)
    shape = rng.standard_normal(10).clip(-2, 2)
    long, wide = rng.standard_normal(2).clip(-2, 2)
    # CAMUS: L 76.6+-9.1; apex depth 30.4+-6.8, aside -4.4+-7.3; tilt -11.2+-7.6; larger hearts lie deeper
    apex = np.array([-4.4 + 7.3 * side, 30.4 + 6.8 * (0.3 * size + 0.95 * deep)])
    pose = _Pose(76.6 + 9.1 * size, apex, -11.2 + 7.6 * (0.6 * side + 0.8 * turn))
    wall = 1 + 0.15 * thick
    atrium = np.array([45 + 18 * long, 42 + 11 * (0.7 * long + 0.7 * wide)])  # mm: length before the sector cuts, width
    diastole = _heart(rng, "ED", pose, shape, wall, atrium.clip([14, 24]), np.inf)

    # L shrinks to 0.853+-0.053; the apex moves by (2.7, 2.2) mm; the axis straightens by 2.8 degrees; the atrium fills
    apex = apex + rng.normal([2.7, 2.2], [2.0, 2.3])
    pose = _Pose(
        pose.length * (0.853 + 0.053 * float(np.clip(rng.standard_normal(), -2, 2))),
        apex,
        pose.tilt + rng.normal(2.8, 2.5),
    )
    atrium = atrium * rng.normal([1.2, 1.12], [0.08, 0.05])
    shape = (0.8 * shape + 0.6 * rng.standard_normal(10)).clip(-2, 2)
    largest = 0.92 * _area(diastole.endocardium)  # the heart ejects, in CAMUS always
    return {"ED": diastole, "ES": _heart(rng, "ES", pose, shape, wall, atrium.clip([14, 24]), largest)}


def _area(contour: Array) -> float:
    """Return the area of a closed contour, mm² (shoelace formula)."""
    x, y = contour.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _heart(
    rng: np.random.Generator, phase: str, pose: _Pose, shape: Array, wall: float, atrium: Array, largest: float
) -> Heart:
    """Build the contours from ten standard normals `shape`: two modes, six ripples, mitral plane, right heart."""
    endocardium = _endocardium(phase, pose, shape, 1.0)
    if (ratio := largest / _area(endocardium)) < 1:
        endocardium = _endocardium(phase, pose, shape, ratio)
    place = np.linspace(0, 1, len(endocardium))
    thickness = wall * np.interp(place, [0, 0.35, 0.5, 0.65, 1], WALL[phase][[0, 0, 1, 2, 2]])
    hinges = endocardium[[0, -1]]
    lean = 0.5 * pose.tilt + rng.normal(0, 6)  # degrees: between the axis of the LV and the vertical
    left_atrium = _left_atrium(hinges, np.deg2rad(lean), atrium)
    right_ventricle, right_atrium = _right_heart(phase, pose, offset(endocardium, 0.7 * thickness), left_atrium, shape)
    # CAMUS: the atrium is at grey 91 [70, 117] at ED, when it is small and foreshortened, and at 60 at ES
    echo = min(rng.exponential(9.0 if phase == "ED" else 1.5), 18.0)
    return Heart(endocardium, offset(endocardium, thickness), left_atrium, right_ventricle, right_atrium, echo)


def _endocardium(phase: str, pose: _Pose, shape: Array, narrower: float) -> Array:
    along = 1 - np.linspace(1, 0, 48) ** 2  # dense at the apex
    spread = np.interp(along, [0, 0.5, 1], [0.045, 0.045, 0.015])
    width = np.sqrt(0.48) * shape[0]  # first mode: 48 % of the variance
    bend = np.sqrt(0.30) * shape[1] * np.sqrt(2) * np.sin(np.pi * along)  # second mode: 30 %, septo-lateral bending
    rest = np.sqrt(0.22 / 3) * np.cos(np.pi * along[:, None] * np.arange(3)) @ shape[2:8].reshape(3, 2)
    profile: list[Array] = []
    for mean, mode in ((SEPTAL[phase], width - bend), (LATERAL[phase], width + bend)):
        # the square of the half width is straight at a round apex
        half = np.sqrt(PchipInterpolator(ALONG, np.square(mean))(along).clip(0))
        change = spread * (mode + rest[:, len(profile)])
        profile.append(narrower * half * (1 + change / half.clip(0.05)).clip(0.2))
    lean = np.tan(np.deg2rad(4 * shape[8]))  # degrees by which the mitral plane is not perpendicular to the axis
    sides = []
    for half, sign in zip(profile, (-1, 1), strict=True):
        hinge = sign * lean * half[0]
        sides.append(pose.points(pose.length * (hinge + (1 - hinge) * along), sign * pose.length * half))
    contour = np.concatenate([sides[0], sides[1][-2::-1]])
    smooth: Array = gaussian_filter1d(space_evenly(contour, 96), 1.5, axis=0, mode="nearest")
    smooth[[0, -1]] = contour[[0, -1]]
    return smooth


def _left_atrium(hinges: Array, lean: float, atrium: Array) -> Array:
    """Draw an atrium that widens up to 45 % of its length and closes in a round roof."""
    down, aside = np.array([-np.sin(lean), np.cos(lean)]), np.array([np.cos(lean), np.sin(lean)])
    depth = 1 - np.linspace(1, 0, 30) ** 1.8  # dense at the roof
    annulus, full = np.linalg.norm(hinges[1] - hinges[0]) / 2, atrium[1] / 2
    half = np.where(
        depth < 0.45,
        annulus + (full - annulus) * np.sin(np.pi / 2 * depth / 0.45),
        full * np.sqrt(1 - ((depth - 0.45).clip(0) / 0.55) ** 2.4),
    )
    spine = hinges.mean(axis=0) + atrium[0] * depth[:, None] * down
    contour: Array = np.concatenate([spine + half[:, None] * aside, (spine - half[:, None] * aside)[-2::-1]])
    contour[[0, -1]] = hinges[::-1]
    return contour


def _right_heart(phase: str, pose: _Pose, septum: Array, left_atrium: Array, shape: Array) -> tuple[Array, Array]:
    """Draw a wedge beside the septum and an oval beside the atrial septum, sized by eye: CAMUS annotates neither."""
    size = 1 + 0.15 * shape[9]
    top, bottom = 0.72 * pose.length, -2.0  # mm along the axis
    height = np.linspace(bottom, top, 30)
    border = septum[: len(septum) // 2 - 4] - pose.base
    inner = np.interp(height, border @ pose.axis, border @ pose.across)
    width = size * (34 if phase == "ED" else 27)  # mm at the base
    outer = inner - width * np.sqrt((1 - ((height - bottom) / (top - bottom)) ** 1.7).clip(0))
    ventricle: Array = np.concatenate([pose.points(height, inner), pose.points(height, outer)[::-1]])

    radii = size * np.array([17.0, 21.0]) * (1.0 if phase == "ED" else 1.12)  # mm
    middle, leftmost = left_atrium[[0, -1]].mean(axis=0), left_atrium[:, 0].min()
    centre = np.array([leftmost - 5 - radii[0], middle[1] + 3 + radii[1]])  # 5 mm of atrial septum
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    atrium: Array = centre + radii * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return ventricle, atrium


def _ribbon(line: Array, width: float) -> Array:
    """Return the polygon of a line (points, 2) drawn `width` mm wide."""
    return np.concatenate([offset(line, width / 2), offset(line, -width / 2)[::-1]])


def _cloud(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Array:
    """Draw a smooth random field of unit variance, with about `cells` independent values along each side."""
    basis = []
    for count, knots in zip(shape, cells, strict=True):
        weight = np.exp(-((np.linspace(0, knots, count)[:, None] - np.arange(knots + 1)) ** 2) / (2 * 0.6**2))
        basis.append(weight / np.linalg.norm(weight, axis=1, keepdims=True))
    return np.asarray(basis[0] @ rng.standard_normal((cells[0] + 1, cells[1] + 1)) @ basis[1].T)


def echogenicity(
    heart: Heart,
    mesh: tuple[Array, Array],
    to_pixels: Callable[[Array], Array],
    blood: float,
    rng: np.random.Generator,
) -> Array:
    """Paint the scattering strength, in dB relative to average myocardium, (rows, columns).

    Structures are painted one over another, from the body wall to the valves. The septum is brighter than the lateral
    wall (35 grey levels in CAMUS), because scattering depends on the angle between beam and fibres.

    Args:
        heart: the contours.
        mesh: x and y of every grid point, mm, each (rows, columns).
        to_pixels: converts mm (points, 2), (x, y), to (row, column) of that grid.
        blood: level of blood, dB.
        rng: generator of the textures.
    """
    x, y = mesh
    shape = (x.shape[0], x.shape[1])
    # heterogeneity at about 40, 10 and 3 mm; its strengths give the spread of grey levels measured in CAMUS
    coarse, medium, fine = _cloud(rng, shape, (5, 4)), _cloud(rng, shape, (18, 12)), _cloud(rng, shape, (50, 36))
    tissue = -2 + 5.5 * coarse + 4 * medium + 2.5 * fine
    above = (x - heart.mitral[0]) * heart.up[0] + (y - heart.mitral[1]) * heart.up[1]  # mm from the mitral plane
    aside = (heart.mitral[0] - x) * heart.up[1] + (y - heart.mitral[1]) * heart.up[0]  # mm to the lateral side
    # bright mediastinum, pericardium
    tissue += 14 * np.exp(-(((above + 30) / 28) ** 2)) * (0.6 + 0.4 * np.tanh(medium))

    def paint(contour: Array, level: Array) -> None:
        mask = fill(to_pixels(contour), shape)
        tissue[mask] = level[mask]

    still = blood + 0.8 * coarse + medium
    for cavity, wall in ((heart.right_atrium, 3.0), (heart.right_ventricle, 5.0)):  # mm
        paint(_ribbon(np.concatenate([cavity, cavity[:1]]), 2 * wall), tissue + 4 + 5 * np.tanh(medium))
        paint(cavity, still + 1 + 3 * fine.clip(0))  # trabeculated
    paint(offset(heart.left_atrium, 4.0), tissue + 5)
    paint(heart.left_atrium, still + heart.atrial_echo * (1 + 0.3 * medium))

    thickness = np.linalg.norm(heart.epicardium - heart.endocardium, axis=1)
    half = len(thickness) // 2
    # the annotated septum includes its RV border
    thickness[:half] *= np.interp(np.arange(half), [half - 10, half], [0.75, 1])
    paint(offset(heart.endocardium, thickness), 3 - 6 * np.tanh(aside / 12) + 4 * coarse + 4 * medium + 2.5 * fine)
    paint(_ribbon(offset(heart.epicardium[half + 4 :], 1.5), 4.0), tissue + 8 + 5 * medium)  # lateral pericardium
    paint(heart.endocardium, still)

    def spot(centre: Array, radius: float, level: float) -> Array:
        return np.asarray(level * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * radius**2)))

    for place in rng.uniform(0.55, 0.8, 2):  # papillary muscles, from 10 % beyond the apex to the lateral base
        wall_point = heart.endocardium[int(place * len(heart.endocardium))]
        tissue += spot(wall_point + rng.uniform(0.15, 0.3) * (heart.mitral - wall_point), rng.uniform(2.0, 3.5), 5.0)

    septal, lateral = heart.endocardium[[0, -1]]
    tent = heart.mitral + rng.uniform(0, 7) * heart.up + rng.uniform(-0.2, 0.2) * (lateral - septal)  # closed leaflets
    tricuspid = heart.right_ventricle[[0, -1]]
    for first, last in ((septal, tent), (tent, lateral), (tricuspid[0], tricuspid[1])):
        leaflet = first + np.linspace(0, 1, 12)[:, None] * (last - first)
        paint(_ribbon(leaflet, 1.6), np.full(shape, 7 + 2 * rng.standard_normal()))
    for hinge, level in ((septal, 11.0), (lateral, 10.0), (tricuspid[1], 6.0)):  # fibrous rings, dB
        tissue += spot(hinge + np.array([0.0, 4.0]), 4.0, level)
    return tissue
