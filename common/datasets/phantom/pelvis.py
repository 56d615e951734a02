"""Drawn CT volumes of female pelves: two scanner domains, supine and prone, after the data of Filbrandt et al. (2021).

Axes are (x, y, z) = RAS: towards the patient's right, front and head; lengths are mm, and the origin is the middle
between the femoral heads. Sizes and places of organs are of adults, by eye; no patient's data were used. Whoever lies
prone has the table in front, the abdomen flattened and gas at the back: the axes stay those of the patient.

References:
    G. Filbrandt et al., Learning from partially overlapping labels: image segmentation under annotation shift, DART
    2021.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter

__all__ = ["DOMAINS", "FIELD", "PELVIS_LABELS", "DrawnPelvis", "Scanner", "draw_pelvis"]

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

# entry i names the class of annotation value i
PELVIS_LABELS = (
    ("background",),
    ("bladder",),
    ("rectum",),
    ("uterus",),
    ("bones",),
    ("left_femoral_head",),
    ("right_femoral_head",),
)
BLADDER, RECTUM, UTERUS, BONES, LEFT_HEAD, RIGHT_HEAD = range(1, 7)
FIELD = np.array([[-208, 208], [-144, 144], [-72, 128]], np.float32)  # mm, of the volume
AIR, FAT, MUSCLE, MARROW, CORTEX = -1000, -105, 52, 260, 800  # HU


@dataclass(frozen=True)
class Scanner:
    """How a domain shows a pelvis.

    Args:
        prone: the patient lies on the abdomen.
        noise: standard deviation, HU.
        blur: standard deviation of the point spread, mm.
        scale: HU shown for one HU.
        offset: HU added.
        arms: forearms lie beside the body.
        table: HU of the table.
    """

    prone: bool
    noise: float
    blur: float
    scale: float
    offset: float
    arms: bool
    table: float


DOMAINS = {
    "pelvis_supine": Scanner(prone=False, noise=14, blur=2.0, scale=1.0, offset=0, arms=False, table=-300),
    "pelvis_prone": Scanner(prone=True, noise=26, blur=3.2, scale=0.9, offset=14, arms=True, table=90),
}


class DrawnPelvis(NamedTuple):
    """A volume: image, HU, int16, and annotation values, uint8, both (x, y, z) in RAS; mm per voxel along each axis."""

    image: NDArray[np.int16]
    label: NDArray[np.uint8]
    spacing: tuple[float, float, float]


class _Canvas:
    """HU and annotation of a volume, painted shape by shape; each shape is looked at only in its box."""

    def __init__(self, spacing: Sequence[float]) -> None:
        counts = np.round((FIELD[:, 1] - FIELD[:, 0]) / spacing).astype(int)
        self.axes = [
            (FIELD[axis, 0] + (np.arange(count) + 0.5) * spacing[axis]).astype(np.float32)
            for axis, count in enumerate(counts)
        ]
        self.hu = np.full(counts, AIR, np.float32)
        self.label = np.zeros(counts, np.uint8)

    def box(self, low: Array, high: Array) -> tuple[tuple[slice, ...], list[Array]]:
        """Return the part of the volume between two corners, mm, and its coordinates, each broadcastable."""
        where = tuple(
            slice(*np.searchsorted(axis, [start, stop])) for axis, start, stop in zip(self.axes, low, high, strict=True)
        )
        inside = [axis[part] for axis, part in zip(self.axes, where, strict=True)]
        return where, list(np.ix_(*inside))

    def paint(self, where: tuple[slice, ...], mask: Mask, hu: Any, label: int | None = None) -> None:
        """Give voxels an HU and, unless None, an annotation value."""
        np.copyto(self.hu[where], hu, where=mask)
        if label is not None:
            self.label[where][mask] = label

    def ellipsoid(self, centre: Array, semi: Any, hu: Any, label: int | None = None, tilt: float = 0.0) -> None:
        """Paint an ellipsoid of these semi-axes, mm, turned about the x axis by `tilt`, degrees, front up."""
        reach = np.array([semi[0], max(semi[1:]), max(semi[1:])], np.float32)
        where, (x, y, z) = self.box(centre - reach, centre + reach)
        cos, sin = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
        x, y, z = x - centre[0], y - centre[1], z - centre[2]
        square = (x / semi[0]) ** 2 + ((cos * y + sin * z) / semi[1]) ** 2 + ((cos * z - sin * y) / semi[2]) ** 2
        self.paint(where, square <= 1, hu, label)

    def tube(self, points: Array, radii: Iterable[float], hu: float, label: int | None = None) -> None:
        """Paint round tubes along a polyline, mm, (points, 3), of these radii at the points."""
        radii = list(radii)
        for start, end, first, last in zip(points, points[1:], radii, radii[1:], strict=False):
            widest = max(first, last)
            where, (x, y, z) = self.box(np.minimum(start, end) - widest, np.maximum(start, end) + widest)
            along = end - start
            offset = (x - start[0]) * along[0] + (y - start[1]) * along[1] + (z - start[2]) * along[2]
            place = np.clip(offset / max(float(along @ along), 1e-6), 0, 1)
            gaps = [c - (s + place * a) for c, s, a in zip((x, y, z), start, along, strict=True)]
            square = gaps[0] ** 2 + gaps[1] ** 2 + gaps[2] ** 2
            self.paint(where, square <= (first + place * (last - first)) ** 2, hu, label)


class _Pose:
    """Size, turn and place of one patient: puts the points of a standard pelvis where this patient has them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.size = rng.uniform(0.92, 1.08, 3).astype(np.float32)
        turn, nod = np.deg2rad(rng.uniform(-4, 4, 2))
        about_z = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
        about_x = [[1, 0, 0], [0, np.cos(nod), -np.sin(nod)], [0, np.sin(nod), np.cos(nod)]]
        self.matrix = (np.array(about_z) @ np.array(about_x)).astype(np.float32)
        self.shift = rng.uniform([-8, -6, -8], [8, 6, 8]).astype(np.float32)

    def __call__(self, points: Any) -> Array:
        """Move points, mm, (..., 3)."""
        return np.asarray((np.asarray(points, np.float32) * self.size) @ self.matrix.T + self.shift)


def draw_pelvis(domain: str, patient: int, seed: int = 0, spacing: float = 4.0) -> DrawnPelvis:
    """Draw the CT of one patient with all six structures annotated (`PELVIS_LABELS`).

    Args:
        domain: one of `DOMAINS`.
        patient: number of the patient; differs between domains.
        seed: of everything.
        spacing: mm per voxel, along each axis.

    Raises:
        ValueError: for another domain, or a spacing that shows no organ.

    Example:
        >>> pelvis = draw_pelvis("pelvis_supine", patient=0, spacing=8.0)
        >>> pelvis.image.shape, np.unique(pelvis.label).tolist()
        ((52, 36, 25), [0, 1, 2, 3, 4, 5, 6])
    """
    if domain not in DOMAINS:
        raise ValueError(f"expected a domain among {list(DOMAINS)}, got {domain!r}.")
    if not 1 <= spacing <= 12:
        raise ValueError(f"expected a spacing from 1 to 12 mm per voxel, got {spacing}.")
    scanner = DOMAINS[domain]
    rng = np.random.default_rng([seed, list(DOMAINS).index(domain), patient])
    grain = rng.spawn(1)[0]  # one number a voxel: the anatomy must not depend on the spacing
    canvas, pose = _Canvas([spacing] * 3), _Pose(rng)
    _surroundings(canvas, pose, scanner, rng, gaussian_filter(_noise(canvas, grain), 6 / spacing, truncate=2))
    _soft_organs(canvas, pose, scanner, rng)
    _bones(canvas, pose, rng)
    bone = canvas.label >= BONES
    np.copyto(canvas.hu, CORTEX, where=bone & ~binary_erosion(bone, border_value=1))
    hu = gaussian_filter(canvas.hu, scanner.blur / spacing, truncate=3)
    noise = gaussian_filter(_noise(canvas, grain), (0.6, 0.6, 0), truncate=2)
    hu = scanner.scale * hu + scanner.offset + scanner.noise / noise.std() * noise
    return DrawnPelvis(np.clip(np.round(hu), -1024, 3071).astype(np.int16), canvas.label, (spacing,) * 3)


def _noise(canvas: _Canvas, grain: np.random.Generator) -> Array:
    return np.asarray(grain.standard_normal(canvas.hu.shape, np.float32))


def _surroundings(canvas: _Canvas, pose: _Pose, scanner: Scanner, rng: np.random.Generator, marbling: Array) -> None:
    """Paint the table, the arms, and the body: fat, muscle, and the cavity of the pelvis."""
    where, (x, y, z) = canvas.box(*FIELD.T)
    wide, deep = rng.uniform([160, 116], [182, 132])
    below = np.where(y * (1 if scanner.prone else -1) > 0, 0.88, 1.0)  # the side that the body lies on is flattened
    side = 1 if scanner.prone else -1
    x, y, z = x - pose.shift[0], y - pose.shift[1], z - pose.shift[2]
    wider = wide * (1 - 0.12 * np.clip(z / 120, -0.3, 1))  # the hips are wider than the waist

    def body(thinner: float) -> Mask:
        return np.asarray(np.abs(x / (wider - thinner)) ** 2.3 + np.abs(y / (deep * below - thinner)) ** 2.3 <= 1)

    top = deep * 0.88 + 4
    table = (side * y > top) & (side * y < top + 16) & (np.abs(x) < 190)
    canvas.paint(where, np.broadcast_to(table, canvas.hu.shape), scanner.table)
    if scanner.arms:
        for left in (-1, 1):
            ends = np.array([[left * (wide + 16), 0, -80], [left * (wide + 12), 20, 140]], np.float32) + pose.shift
            canvas.tube(ends, (22, 30), FAT)
            canvas.tube(ends, (18, 26), MUSCLE)
            for apart in (-9, 9):
                canvas.tube(ends + np.array([0, apart, 0], np.float32), (6, 6), CORTEX)
    canvas.paint(where, body(0), -20)  # skin
    canvas.paint(where, body(3), FAT)
    fat = rng.uniform(14, 34)
    canvas.paint(where, body(fat), MUSCLE)
    canvas.paint(where, body(fat + 4) & (marbling > 1.3 * marbling.std()), FAT + 45)
    cavity = np.abs(x / 66) ** 2.5 + np.abs((y - 4) / 72) ** 2.5 + np.abs((z - 50) / 105) ** 4 <= 1
    canvas.paint(where, cavity, FAT + 10)


def _soft_organs(canvas: _Canvas, pose: _Pose, scanner: Scanner, rng: np.random.Generator) -> None:
    """Paint bowel, vessels, uterus, rectum and bladder; later ones displace earlier ones."""
    side = 1 if scanner.prone else -1  # towards the table along y
    for _ in range(rng.integers(5, 9)):  # loops of bowel: no class
        centre = pose(rng.uniform([-50, -10, 75], [50, 55, 125]))
        semi = rng.uniform(10, 17, 3) * [1.5, 1, 1]
        canvas.ellipsoid(centre, semi, rng.choice([25, 35, 170]))
        if rng.random() < 0.5:
            canvas.ellipsoid(centre - np.array([0, side * 5, 0], np.float32), 0.6 * semi, -800)
    for left in (-1, 1):  # iliac vessels: no class
        course = pose([[left * 34, -20, 130], [left * 54, 5, 70], [left * 62, 40, 20], [left * 64, 58, -80]])
        canvas.tube(course, (7, 7, 6, 6), rng.uniform(60, 160))

    fill = rng.uniform(0.75, 1.25)  # of the bladder
    aside, sag = rng.uniform(-14, 14), 5.0 * side
    canvas.ellipsoid(
        pose([aside, -2 + sag + 6 * fill, 44 + 6 * fill]),
        rng.uniform([24, 19, 34], [31, 24, 42]),
        rng.uniform(62, 88),
        UTERUS,
        tilt=rng.uniform(25, 65),
    )
    canvas.tube(pose([[aside / 2, -8, 26], [0, -8, 4]]), (15, 12), rng.uniform(62, 80), UTERUS)  # cervix

    bend = rng.uniform(-14, 14)
    points = [[0, -34, -52], [0, -42, -24], [0, -46, 6], [0.4 * bend, -48, 40], [bend, -42, 74], [2 * bend, -30, 98]]
    course, radii = pose(points), rng.uniform([10, 13, 14, 12, 11, 10], [12, 16, 19, 17, 15, 13])
    canvas.tube(course, radii, MUSCLE - 8, RECTUM)
    canvas.tube(course[1:], radii[1:] - 5, rng.uniform(-40, 30))
    if rng.random() < 0.7:
        at = rng.integers(2, 5)  # gas rises, away from the table
        canvas.ellipsoid(course[at] - np.array([0, side * 4, 0], np.float32), [0.5 * radii[at]] * 2 + [14], -850)

    semi = fill ** np.array([0.6, 0.9, 1.2]) * rng.uniform([32, 24, 24], [42, 32, 30])
    centre = pose([rng.uniform(-5, 5), 32 + sag, 2 + 0.8 * semi[2]])
    canvas.ellipsoid(centre, semi, MUSCLE - 15, BLADDER)
    canvas.ellipsoid(centre, semi - 3, rng.uniform(-4, 14), BLADDER)


def _bones(canvas: _Canvas, pose: _Pose, rng: np.random.Generator) -> None:
    """Paint sacrum, hip bones and femora; the heads of the femora are classes of their own."""
    for at, (half, back) in enumerate([(7, -66), (13, -78), (24, -83), (36, -82), (46, -75), (50, -64)]):
        height = 4 + 22 * at
        canvas.tube(pose([[-half, back, height], [half, back, height + 0.1]]), (12, 12), MARROW, BONES)
    radius = rng.uniform(21, 25)
    crest = np.array([[50, -76, 58], [56, -76, 92], [84, -50, 126], [112, -10, 134], [122, 24, 108], [114, 36, 74]])
    fine = np.linspace(0, len(crest) - 1, 19)
    rim = np.stack([np.interp(fine, np.arange(len(crest)), column) for column in crest.T], axis=1)
    for sign, value in ((-1, LEFT_HEAD), (1, RIGHT_HEAD)):  # x points to the right

        def put(points: Any, sign: int = sign) -> Array:
            return pose(np.asarray(points, float) * [sign, 1, 1])

        for point in rim:
            canvas.tube(put([[80, -8, 26], point]), (11, 6), MARROW, BONES)
        canvas.ellipsoid(put([84, -1, 4]), [radius + 11] * 3, MARROW, BONES)
        canvas.tube(put([[64, -18, -4], [56, -42, -46]]), (15, 16), MARROW, BONES)  # ischium
        canvas.tube(put([[70, 14, -2], [12, 46, -18], [12, 44, -34]]), (11, 10, 9), MARROW, BONES)  # pubis
        canvas.tube(put([[14, 42, -36], [50, -34, -50]]), (8, 9), MARROW, BONES)
        centre, beyond = put([88, 0, 0]), put([100, 0, -4])
        canvas.ellipsoid(beyond, [radius + 3] * 3, MUSCLE, label=0)  # the joint, open to the side
        canvas.tube(put([[92, -1, -2], [122, -8, -22], [130, -8, -84]]), (15, 17, 16), MARROW, BONES)  # femur
        canvas.ellipsoid(centre, [radius] * 3, MARROW + 60, value)
