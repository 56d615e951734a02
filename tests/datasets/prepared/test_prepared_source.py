"""Squashing a frame keeps physical area, position and annotation values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.datasets.prepared.source import Frame


def disc(rows: int, columns: int, spacing: tuple[float, float] | None, value: int = 1) -> Frame:
    """Draw a bright disc of 40 mm radius in the middle of the image; it is an ellipse where pixels are not square."""
    step = spacing or (1.0, 1.0)
    y, x = (np.arange(count) - (count - 1) / 2 for count in (rows, columns))
    inside = np.hypot(y[:, None] * step[0], x[None] * step[1]) < 40
    return Frame((200 * inside).astype(np.uint8), (value * inside).astype(np.uint8), spacing)


@given(
    rows=st.integers(300, 600),
    columns=st.integers(300, 600),
    spacing=st.tuples(st.floats(0.2, 0.35), st.floats(0.2, 0.35)),  # mm
    size=st.sampled_from([256, 320, 500]),
)
def test_a_squashed_mask_keeps_its_physical_area(rows: int, columns: int, spacing: tuple[float, float], size: int):
    native = disc(rows, columns, spacing)
    frame = native.resized(size)
    assert frame.image.shape == frame.label.shape == (size, size)
    area, expected = (f.label.sum() * f.spacing[0] * f.spacing[1] for f in (frame, native))
    assert area == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("rows", "columns"), [(500, 300), (301, 512)])
def test_squashing_moves_neither_image_nor_annotation(rows: int, columns: int):
    native = disc(rows, columns, (0.6, 0.5))
    frame = Frame(np.roll(native.image, 40, 0), np.roll(native.label, 40, 0), native.spacing).resized(256)
    for pixels in (frame.image, frame.label):
        y, x = (np.average(grid, weights=pixels) for grid in np.indices(pixels.shape))
        assert (y + 0.5) / 256 == pytest.approx(0.5 + 40 / rows, abs=1e-3)
        assert (x + 0.5) / 256 == pytest.approx(0.5, abs=1e-3)


def test_squashing_adds_no_annotation_value():
    frame = disc(333, 217, None, value=9).resized(64)
    assert set(np.unique(frame.label)) == {0, 9}
    assert len(np.unique(frame.image)) > 2, "the image is interpolated"
    assert frame.spacing is None


def test_an_image_needs_an_annotation_of_its_shape():
    with pytest.raises(ValueError, match=r"image \(20, 20\) and annotation \(20, 21\) differ in shape"):
        Frame(np.zeros((20, 20), np.uint8), np.zeros((20, 21), np.uint8), None)
