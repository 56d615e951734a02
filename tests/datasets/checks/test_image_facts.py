"""Measurements on one prepared image."""

import numpy as np
import pytest

from common.datasets.checks.image_facts import measure

SIZE = 64  # pixels a side


def test_the_geometry_agrees_with_the_drawing():
    label = np.zeros((100, 100), np.uint8)
    label[20:61, 40:51] = 1  # 41 rows by 11 columns, with a hole of 10 pixels
    label[30:32, 42:47] = 0
    label[80:90, 45:50] = 2  # half of it is outside the visible part
    label[89, 49], label[90, 50] = 0, 2  # touches at corners only
    shown = np.full((100, 100), 90, np.uint8)
    shown[85:] = 0
    facts = measure(shown, label, {}, {"lv_cavity": [1], "left_atrium": [2]}, (2.0, 0.5))
    lv, atrium = facts.regions["lv_cavity"], facts.regions["left_atrium"]
    assert (lv.area, lv.pieces, lv.largest, lv.at_border, lv.outside) == (441, 1, 1.0, False, 0.0)
    assert lv.hole == pytest.approx(10 / 441)
    assert lv.length == pytest.approx(np.hypot(80, 5), rel=0.002)  # mm, between the centres of opposite corners
    assert atrium.outside == pytest.approx(25 / 50, abs=0.021)
    assert atrium.height == pytest.approx(1 - (np.nonzero(label == 2)[0].mean() + 0.5) / 100)
    assert facts.outside == pytest.approx(25 / 491, abs=0.003)
    assert facts.values == (0, 1, 2)


def test_a_copy_keeps_its_fingerprint_and_another_image_has_its_own():
    rng = np.random.default_rng(3)
    one, other = (np.kron(rng.integers(20, 200, (16, 16)), np.ones((4, 4))).astype(np.uint8) for _ in range(2))
    copy = (one * 0.9 + rng.normal(0, 2, one.shape) + 10).astype(np.uint8)
    label = np.zeros((SIZE, SIZE), np.uint8)
    first, again, different = (measure(image, label, {}, {}, None).fingerprint for image in (one, copy, other))
    assert np.bitwise_count(first ^ again).sum() <= 6
    assert np.bitwise_count(first ^ different).sum() > 60
