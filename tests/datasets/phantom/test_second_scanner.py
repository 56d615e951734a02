"""The second scanner: image and annotation share their geometry, and the physics can be checked by hand."""

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from common.datasets.phantom.second_scanner import FIRST_RANGE, MARGIN, SecondScanner, rescan

SIDE = 100  # pixels; the sector of a white image is 60 degrees wide, its apex in the middle of the upper edge
TOP = round(MARGIN * SIDE)
STILL = {"mirrored": False, "zoom": 1.0, "angle": 1.0, "depth": 1.0}
CLEAR = {"looks": 100, "pulse": 0.004, "beam": 0.3}  # hardly any speckle or blur
LINEAR = {"dynamic_range": 200.0, "gain": (0.0, 0.0)}  # nothing is clipped
Item = dict[str, Any]


def item(label: np.ndarray | None = None, image: np.ndarray | None = None, **facts: Any) -> Item:
    label = np.zeros((SIDE, SIDE), np.uint8) if label is None else label
    image = np.full(label.shape, 0.5, np.float32) if image is None else image
    return {"image": image[None], "label": label[None], "spacing": [1.0, 1.0], **facts}


def moved(data: Item, seed: int = 0, **settings: Any) -> Item:
    """Show the image and annotation of an item as the second scanner would."""
    spacing = data["spacing"] and (float(data["spacing"][0]), float(data["spacing"][1]))
    rng = np.random.default_rng(seed)
    image, label, found = rescan(data["image"][0], data["label"][0], spacing, SecondScanner(**settings), rng)
    return {**data, "image": image[None], "label": label[None], "spacing": found and list(found)}


def structures() -> np.ndarray:
    """Three discs of different values, not symmetric."""
    row, column = np.indices((SIDE, SIDE))
    label = np.zeros((SIDE, SIDE), np.uint8)
    for value, centre in {7: (35, 46), 80: (60, 62), 240: (75, 42)}.items():
        label[np.hypot(row - centre[0], column - centre[1]) < 9] = value
    return label


def power(grey: np.ndarray) -> np.ndarray:
    return 10 ** (LINEAR["dynamic_range"] / 10 * (grey.astype(float) - 1))


def test_a_seed_and_an_item_decide_everything():
    data = item(structures())
    first, again, other = moved(data, 3), moved(data, 3), moved(data, 4)
    for key in ("image", "label"):
        np.testing.assert_array_equal(first[key], again[key])
    assert (first["image"] != other["image"])[first["image"] > 0].mean() > 0.95, "another seed has other speckle"
    np.testing.assert_array_equal(first["label"], other["label"])  # the geometry is the scanner's
    assert first["spacing"] == other["spacing"]


def test_the_global_generator_decides_nothing_and_the_input_is_left_alone():
    data, kept = item(structures(), name="x"), item(structures())
    np.random.seed(1)  # noqa: NPY002 it is the global state that is tested
    first = moved(data)
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(moved(data)["image"], first["image"])
    np.testing.assert_array_equal(data["image"], kept["image"])
    np.testing.assert_array_equal(data["label"], kept["label"])
    assert data["spacing"] == [1.0, 1.0]
    assert first["name"] == "x"
    assert first["label"].dtype == np.uint8
    assert first["image"].dtype == np.float32
    assert first["image"].shape == first["label"].shape == (1, SIDE, SIDE)


def test_a_mirror_alone_flips_the_annotation_pixel_by_pixel():
    label = structures()
    result = moved(item(label), **{**STILL, "mirrored": True})
    expected = np.zeros_like(label)
    expected[TOP:] = label[:-TOP, ::-1]
    np.testing.assert_array_equal(result["label"][0], expected)
    np.testing.assert_array_equal(moved(item(label), **STILL)["label"][0, TOP:], label[:-TOP])


@pytest.mark.parametrize("zoom", [0.5, 0.9, 1.2])
@pytest.mark.parametrize("shape", [(100, 100), (100, 60)])
def test_zoom_scales_about_the_apex_and_the_spacing_follows(zoom, shape):
    row, column = np.indices(shape)
    label = (np.hypot(row - 39.5, column - 34.5) < 12).astype(np.uint8)
    result = moved(item(label, spacing=[0.8, 0.6]), **{**STILL, "mirrored": True, "zoom": zoom})
    assert result["spacing"] == pytest.approx([0.8 / zoom, 0.6 / zoom])
    centre = MARGIN * shape[0] + 40 * zoom - 0.5, shape[1] / 2 - (35 - shape[1] / 2) * zoom - 0.5
    np.testing.assert_allclose(center_of_mass(result["label"][0]), centre, atol=0.4)  # half an old pixel
    area = result["label"].sum() * np.prod(result["spacing"])
    assert area == pytest.approx(label.sum() * 0.48, rel=0.05), "mm2 are what they were"


def test_image_and_annotation_move_to_the_same_place():
    label = structures()
    image = np.where(label > 0, 0.9, 0.2).astype(np.float32)
    result = moved(item(label, image), **CLEAR, dynamic_range=50.0, gain=(0.0, 0.0))
    for value in (7, 80, 240):
        inside = result["label"][0] == value
        assert inside.sum() > 100
        assert result["image"][0][inside].mean() > 0.8
        near = np.argwhere(inside).mean(axis=0)
        row, column = np.indices((SIDE, SIDE))
        window = (np.abs(row - near[0]) < 12) & (np.abs(column - near[1]) < 12)
        centre = center_of_mass((result["image"][0] > 0.55) & window)
        np.testing.assert_allclose(centre, near, atol=0.3)  # pixels


def test_no_annotation_value_is_invented():
    result = moved(item(structures()))
    assert np.unique(result["label"]).tolist() == [0, 7, 80, 240]


def test_the_sector_is_narrower_and_shallower_and_black_outside():
    data = item(np.ones((SIDE, SIDE), np.uint8), spacing=[2.0, 1.2])
    depth, half = 0.8 * 200, 0.5 * np.arcsin(0.3)  # the image is 200 mm high and 120 mm wide
    result = moved(data, mirrored=True, zoom=0.9, angle=0.5, depth=0.8, gain=(10.0, 0.0))
    row, column = np.indices((SIDE, SIDE)) + 0.5
    y, x = (row - 3) * 2.0 / 0.9, (column - 50) * 1.2 / 0.9  # mm from the apex
    radius, angle = np.hypot(y, x), np.abs(np.arctan2(x, y))
    image, label = result["image"][0], result["label"][0]
    assert image[(radius > depth) | (angle > half)].max() == 0
    inner = (radius < depth - 5) & (angle < half - np.deg2rad(2)) & (radius > 60)
    assert inner.sum() > 300
    assert (image[inner] > 0).mean() > 0.99
    assert label[radius > depth].max() == 0, "what lies deeper is not shown, so it is not drawn"
    beside = (angle > half + 0.1) & (radius < 0.5 * depth) & (np.abs(x) < 55) & (y > 0)
    assert beside.sum() > 50
    assert label[beside].min() == 1, "a wall that leaves the sector sideways is drawn on, as in CAMUS"


def test_a_sector_on_a_larger_black_screen_is_found():
    row, column = np.indices((SIDE, SIDE)) + 0.5
    radius, angle = np.hypot(row - 20, column - 60), np.arctan2(column - 60, row - 20)
    sector = (radius < 60) & (np.abs(angle) < np.deg2rad(30))
    label = (np.hypot(row - 50, column - 60) < 8).astype(np.uint8)
    result = moved(item(label, 0.5 * sector), **{**STILL, "zoom": 1.5})
    np.testing.assert_allclose(
        center_of_mass(result["label"][0]), (3 + 30 * 1.5 - 0.5, 49.5), atol=2
    )  # its tip is thinner than a pixel
    lowest = np.flatnonzero(result["image"][0].any(axis=1))[-1]
    assert lowest == pytest.approx(3 + 60 * 1.5, abs=3.5)


def spread(image: np.ndarray, axis: int) -> float:
    """Standard deviation of a bright spot, pixels."""
    weight = power(image)
    weight = weight.sum(axis=1 - axis) / weight.sum()
    place = np.arange(len(weight))
    return float(np.sqrt((weight * (place - (weight * place).sum()) ** 2).sum()))


def test_the_point_spread_function_widens_sideways_with_depth_only():
    widths = {}
    for depth in (30, 60, 90):
        image = np.full((SIDE, SIDE), 0.01, np.float32)
        image[depth - 1 : depth + 2, 49:52] = 1
        settings = {**STILL, **LINEAR, "looks": 60, "pulse": 0.03, "beam": 6.0}
        shown = moved(item(image=image), **settings)["image"][0]
        near = shown[depth + TOP - 12 : depth + TOP + 13, 38:63]
        widths[depth] = spread(near, 1), spread(near, 0)
    for depth, (across, along) in widths.items():
        sigma = np.deg2rad(6.0) * depth / 2.3548  # pixels of 1 mm; the spot adds its own width
        assert across == pytest.approx(np.hypot(sigma, 0.82), rel=0.15)
        assert along == pytest.approx(np.hypot(3 / 2.3548, 0.82), rel=0.15)


@pytest.mark.parametrize("looks", [1, 4])
def test_fully_developed_speckle_has_the_contrast_of_its_looks(looks):
    image = moved(item(), **{**STILL, **LINEAR, "looks": looks, "pulse": 0.04, "beam": 4.0})["image"][0]
    row, column = np.indices((SIDE, SIDE))
    inside = (np.hypot(row - TOP, column - 50) < 90) & (np.abs(column - 50) < 0.5 * (row - TOP)) & (row > 30)
    signal = power(image)[inside]
    # some 500 independent grains
    assert signal.std() / signal.mean() == pytest.approx(1 / np.sqrt(looks), rel=0.2)
    assert signal.mean() == pytest.approx(10 ** (-0.05 * FIRST_RANGE), rel=0.2), "multiplicative, of mean 1"


def test_speckle_is_as_fine_as_the_beam():
    def along_arc(beam: float) -> float:
        image = moved(item(), **{**STILL, **LINEAR, "looks": 1, "pulse": 0.02, "beam": beam})["image"][0]
        level = image[60:90, 35:66].astype(float)
        level -= level.mean()
        return float((level[:, 1:] * level[:, :-1]).mean() / level.var())

    assert along_arc(6.0) > along_arc(1.5) + 0.15


def test_the_dynamic_range_is_the_slope_and_the_gain_the_offset_of_the_grey_levels():
    image = np.full((SIDE, SIDE), 0.5, np.float32)
    image[:, 50:] = 0.7  # 10 dB brighter for a first scanner of 50 dB

    def levels(**settings: Any) -> tuple[float, float]:
        shown = moved(item(image=image), **{**STILL, **CLEAR, **settings})["image"][0]
        return float(shown[40:80, 30:45].mean()), float(shown[40:80, 55:70].mean())

    dark, bright = levels(dynamic_range=40.0, gain=(0.0, 0.0))
    assert bright - dark == pytest.approx(0.2 * FIRST_RANGE / 40, abs=0.01)
    assert dark == pytest.approx(1 - 0.5 * FIRST_RANGE / 40, abs=0.01)
    louder, _ = levels(dynamic_range=40.0, gain=(6.0, 0.0))
    assert louder - dark == pytest.approx(6 / 40, abs=1e-4)


def test_gain_varies_a_little_from_image_to_image():
    means = [moved(item(), seed, **STILL, looks=20)["image"][0, 40:80, 30:70].mean() for seed in range(12)]
    scanner = SecondScanner()
    assert np.std(means) == pytest.approx(scanner.gain[1] / scanner.dynamic_range, rel=0.5)


def test_bytes_and_fractions_are_the_same_picture():
    data = item(structures())
    data["image"] = np.where(data["label"] > 0, 180, 60).astype(np.uint8)
    as_bytes = moved(data)["image"]
    assert as_bytes.dtype == np.uint8
    fractions = moved({**data, "image": data["image"] / 255.0})["image"]
    assert np.abs(as_bytes / 255 - fractions).max() <= 0.5 / 255 + 1e-9


def test_without_spacing_pixels_are_squares():
    data = item(structures())
    with_spacing, without = moved(data), moved({**data, "spacing": None})
    np.testing.assert_array_equal(without["label"], with_spacing["label"])
    np.testing.assert_array_equal(without["image"], with_spacing["image"])
    assert without["spacing"] is None


def test_an_image_that_cannot_be_moved_is_refused():
    with pytest.raises(ValueError, match=r"the image is black: it shows no sector"):
        moved(item(image=np.zeros((SIDE, SIDE), np.uint8)))
    with pytest.raises(
        ValueError, match=r"expected an annotation of shape \(100, 100\), as its image, got \(100, 50\)"
    ):
        moved(item(np.zeros((SIDE, 50), np.uint8), np.ones((SIDE, SIDE), np.uint8)))
