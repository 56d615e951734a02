"""Overlays: geometry, privacy, and files that players accept."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from scipy.ndimage import binary_dilation

from common.datasets.readers.camus import camus
from common.heart.biomarkers.chamber import disc_ends, ventricle
from common.heart.biomarkers.volumes import discs_volume
from common.heart.heart import axis_of
from common.inference.caption import caption_band, legend_band
from common.inference.drawing import LEAST, MOST, Canvas, draw_anatomy
from common.inference.overlay import Display, Moment, overlay_mp4, overlay_png
from common.palette import COLOURS

NAMES = ["background", "lv_cavity", "lv_myocardium", "left_atrium"]


def heart(bullet: np.ndarray, title: str = "") -> Moment:
    labels = bullet.astype(np.uint8)
    axis = axis_of(ventricle(labels == 1, (0.5, 0.5), labels == 2), (0.5, 0.5))
    return Moment(np.full(labels.shape, 90, np.uint8), labels, title, [axis])


def display(bullet: np.ndarray, **others) -> Display:
    return replace(Display(NAMES, np.ones(bullet.shape, bool), (0.5, 0.5)), **others)


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    ("rows", "columns", "spacing", "size"),
    [
        (112, 112, None, (400, 400)),  # small ones are enlarged
        (500, 600, (0.3, 0.3), (500, 600)),  # ordinary ones stay as they are
        (1000, 1600, None, (500, 800)),  # large ones shrink
        (778, 549, (0.154, 0.308), (567, 800)),  # pixels twice as wide as high are shown so
        (100, 400, None, (200, 800)),
    ],
)
def test_a_picture_is_readable_and_in_proportion(rows: int, columns: int, spacing: tuple | None, size: tuple[int, int]):
    canvas = Canvas(np.ones((rows, columns), bool), spacing)
    assert canvas.size == size
    assert max(size) <= MOST
    assert min(size) >= LEAST or max(size) == MOST
    corners = canvas.place(np.array([[-0.5, -0.5], [rows - 0.5, columns - 0.5]]))
    np.testing.assert_allclose(corners, [[0, size[0]], [size[1], 0]], atol=1e-9)


def test_the_fill_of_a_class_covers_its_pixels(bullet: np.ndarray):
    labels = bullet.astype(np.uint8)
    canvas = Canvas(np.ones(bullet.shape, bool), (0.5, 0.5))
    drawn = draw_anatomy(canvas, np.zeros_like(labels), labels).astype(int)
    shown = np.asarray(Image.fromarray(labels).resize(canvas.size[::-1], Image.Resampling.NEAREST))
    for index in (1, 2, 3):
        fill = drawn[shown == index]
        expected = 0.22 * 255 * np.array(to_rgb(COLOURS[index - 1]))
        assert (np.abs(fill - expected).max(axis=1) <= 2).mean() > 0.85, index  # the rest is its outline
    assert (drawn[shown == 0] <= 2).all(axis=1).mean() > 0.97


def test_a_hole_in_a_class_is_not_filled():
    labels = np.zeros((400, 400), np.uint8)
    labels[100:300, 100:300] = 1
    labels[150:250, 150:250] = 0
    drawn = draw_anatomy(Canvas(labels == labels, None), np.zeros_like(labels), labels)
    assert not drawn[160:240, 160:240].any()
    assert drawn[120:130, 120:280].any(axis=2).all()


def test_a_single_pixel_of_a_class_is_seen():
    labels = np.zeros((400, 400), np.uint8)
    labels[200, 200] = 2
    drawn = draw_anatomy(Canvas(labels == labels, None), np.zeros_like(labels), labels)
    assert drawn[198:203, 198:203].max() > 100
    assert not drawn[:190].any()


@pytest.mark.parametrize("scale", [(0.5, 0.5), (1.0, 1.0)], ids=["spacing", "nominal"])
def test_the_long_axis_is_drawn_from_base_to_apex(bullet: np.ndarray, scale: tuple[float, float]):
    labels = bullet.astype(np.uint8)
    chamber = ventricle(labels == 1, scale, labels == 2)
    canvas = Canvas(np.ones(bullet.shape, bool), None)
    drawn = draw_anatomy(canvas, np.zeros_like(labels), np.zeros_like(labels), [axis_of(chamber, scale)])
    factor = canvas.size[0] / len(labels)
    for share in (0.0, 0.25, 0.5, 1.0):
        point = (chamber.base + share * (chamber.apex - chamber.base)) / np.array(scale)
        row, column = ((point + 0.5) * factor).astype(int)
        assert drawn[row - 2 : row + 3, column - 2 : column + 3].max() > 190, share
    inside = np.asarray(Image.fromarray(binary_dilation(labels == 1, iterations=4)).resize(canvas.size[::-1]))
    assert not drawn[~inside].any()
    assert (drawn[inside].max(axis=1) > 40).mean() > 0.05  # the discs
    rows = np.flatnonzero((drawn > 190).all(axis=2).any(axis=1))
    ends = sorted((float(end[0]) / scale[0] + 0.5) * factor for end in (chamber.base, chamber.apex))
    np.testing.assert_allclose([rows[0], rows[-1]], ends, atol=5)  # the dots at the ends have a radius of 3.5


def test_discs_are_those_that_were_measured(bullet: np.ndarray):
    labels = bullet.astype(np.uint8)
    chamber = ventricle(labels == 1, (0.5, 0.5), labels == 2)
    ends = disc_ends(chamber)
    lengths = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    np.testing.assert_allclose(lengths, chamber.diameters)
    assert discs_volume(replace(chamber, diameters=lengths)) == pytest.approx(discs_volume(chamber))


@pytest.mark.parametrize("writer", ["png", "mp4"])
def test_nothing_outside_the_sector_is_shown(tmp_path: Path, bullet: np.ndarray, writer: str):
    frame, seen = np.full(bullet.shape, 90, np.uint8), np.zeros(bullet.shape, bool)
    seen[60:230, 20:180] = True
    seen[60:90, 20:60] = False  # a corner within the box of the sector
    moment = Moment(frame, np.zeros(bullet.shape, np.uint8))
    burnt = replace(moment, frame=np.where(seen, frame, np.arange(bullet.shape[1], dtype=np.uint8)))  # a name, say
    shown = display(bullet, seen=seen)
    if writer == "png":
        written = [np.asarray(Image.open(overlay_png([one], shown, tmp_path / "a"))) for one in (moment, burnt)]
    else:
        written = [decoded(overlay_mp4([one], shown, None, tmp_path / "a"))[0] for one in (moment, burnt)]
    np.testing.assert_array_equal(*written)
    assert written[0][200:300].max() > 80
    assert written[0][40:70, 5:50].max() < 20


def test_diastole_and_systole_stand_side_by_side(tmp_path: Path, bullet: np.ndarray):
    moments = [
        heart(bullet, "end-diastole"),
        replace(heart(bullet, "end-systole"), frame=np.zeros(bullet.shape, np.uint8)),
    ]
    path = overlay_png(moments, display(bullet, caption=["EF 55 %"]), tmp_path / "1.2.840")
    assert path.name == "1.2.840_overlay.png"
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
        pixels = np.asarray(picture)
        assert not picture.info
    height, width = Canvas(np.ones(bullet.shape, bool), (0.5, 0.5)).size
    assert pixels.shape[1] > 2 * width
    assert pixels.shape[0] > height
    assert pixels[100:300, 5].min() == 90
    assert pixels[100:300, -5].max() == 0


def test_a_clip_plays_in_browsers(tmp_path: Path, bullet: np.ndarray):
    bullet = bullet[:251, :199]  # odd on purpose
    grey = [20, 60, 100, 140, 180, 220, 250]

    def moments() -> Iterator[Moment]:
        yield from (replace(heart(bullet), frame=np.full(bullet.shape, value, np.uint8)) for value in grey)

    path = overlay_mp4(moments(), display(bullet, caption=["4CH"]), 47.5, tmp_path / "a")
    assert path.name == "a_overlay.mp4"
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.width % 2 == stream.height % 2 == 0
        assert float(stream.average_rate) == pytest.approx(47.5)
    content = path.read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat")  # the index in front: it plays while it loads
    shown = [int(np.median(frame[100:200, 5:15])) for frame in decoded(path)]
    np.testing.assert_allclose(shown, grey, atol=4)


def test_borders_in_a_film_have_the_colours_of_their_classes(tmp_path: Path):
    labels = np.zeros((256, 256), np.uint8)
    labels[40:200, 61:180], labels[80:160, 101:140] = 2, 1  # odd, within a pixel of the chroma
    moment = Moment(np.full(labels.shape, 90, np.uint8), labels)
    (frame,) = decoded(overlay_mp4([moment], Display(NAMES, labels >= 0, None), None, tmp_path / "a"))
    top = len(caption_band([""], 256))
    for name, column in (("lv_cavity", 101), ("lv_myocardium", 61)):  # the first columns of each
        colour = 255 * np.array(to_rgb(COLOURS[NAMES.index(name) - 1]))
        np.testing.assert_allclose(frame[top + 100 : top + 140, column].mean(axis=0), colour, atol=25)


def test_a_clip_of_unknown_rate_plays_at_25_frames_a_second(tmp_path: Path, bullet: np.ndarray):
    with av.open(overlay_mp4([heart(bullet)] * 3, display(bullet), None, tmp_path / "a")) as container:
        assert container.streams.video[0].average_rate == 25


def test_the_scale_bar_is_as_long_as_it_says():
    without, with_bar = (legend_band([], 500, mm) for mm in (None, 0.5))
    columns = np.flatnonzero(
        with_bar[with_bar.shape[0] // 2 - 8 : with_bar.shape[0] // 2 + 8, 300:].max(axis=(0, 2)) > 200
    )
    assert not without.any()
    assert columns[-1] + 300 == pytest.approx(490, abs=2)
    assert columns[-1] - columns[0] == pytest.approx(50 / 0.5, abs=3)  # 50 mm are the longest within a fifth


def test_long_captions_wrap_between_words():
    one, two = (caption_band([line], 300) for line in ("EF 55 %", "ejection fraction 55 %, volumes 94 ml and 43 ml"))
    assert len(two) > len(one)
    assert not two[:, 295:].any()


def test_wrong_moments_are_refused(tmp_path: Path, bullet: np.ndarray):
    with pytest.raises(ValueError, match="expected at least one moment to show, got none"):
        overlay_png([], display(bullet), tmp_path / "a")
    with pytest.raises(ValueError, match="expected at least one moment to show, got none"):
        overlay_mp4(iter([]), display(bullet), None, tmp_path / "a")
    with pytest.raises(ValueError, match=r"of one shape \(rows, columns\), got \(260, 200\), .* and \(260, 201\)"):
        overlay_png([heart(bullet)], display(bullet, seen=np.ones((260, 201), bool)), tmp_path / "a")
    with pytest.raises(ValueError, match=r"expected a positive frame_rate, frames per second, got -2"):
        overlay_mp4([heart(bullet)], display(bullet), -2, tmp_path / "a")
    with pytest.raises(ValueError, match="expected a non-empty mask as seen"):
        display(bullet, seen=np.zeros(bullet.shape, bool))
    assert list(tmp_path.iterdir()) == []


def test_reference_masks_of_camus_are_drawn(tmp_path: Path, echo_data: Path):
    job = next(iter(camus(echo_data / "camus_2019").jobs))
    frame = job.read()
    assert frame.spacing is not None
    chamber = ventricle(frame.label == 1, frame.spacing, frame.label == 2)
    shown = Display(NAMES, frame.image > 0, frame.spacing, ["4CH"])
    path = overlay_png(
        [Moment(frame.image, frame.label, "ED", [axis_of(chamber, frame.spacing)])], shown, tmp_path / "a"
    )
    assert np.asarray(Image.open(path)).std() > 20
