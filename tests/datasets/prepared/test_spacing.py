"""Millimetres of the network's pixels."""

from pathlib import Path

import pytest
from PIL import Image

from common.datasets import network_spacing


def test_pixels_grow_as_the_image_shrinks_along_each_axis(tmp_path: Path):
    Image.new("L", (40, 80)).save(tmp_path / "a.png")  # 40 columns, 80 rows
    item = {"image": str(tmp_path / "a.png"), "spacing": [0.5, 0.3]}
    known, unknown = network_spacing([item, {**item, "spacing": None}], 20)
    assert known == pytest.approx((2.0, 0.6))
    assert unknown is None
