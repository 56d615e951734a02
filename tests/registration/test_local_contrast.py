"""Local contrast hardly changes with the gain of the scanner."""

import numpy as np

from common.datasets.phantom.study import render
from common.registration.local_contrast import FLOOR, local_contrast
from common.registration.sector_alignment import sector_mask


def test_a_gain_that_changes_with_depth_hardly_counts():
    frame = render("camus_like", patient=1, phase="ED", size=128)
    mask, grey = sector_mask(frame.image), frame.image.astype(float)
    gain = np.linspace(0.5, 2.0, 128)[:, None]
    changed, plain = (local_contrast(image, mask)[mask] for image in (grey * gain, grey))
    before = np.corrcoef((grey * gain)[mask], grey[mask])[0, 1]
    assert np.corrcoef(changed, plain)[0, 1] > 0.98 > before


def test_what_lies_outside_the_sector_changes_nothing():
    frame = render("unity_like", patient=1, phase="ED", size=96)
    mask = sector_mask(frame.image)
    framed = np.where(mask, frame.image, 255)
    np.testing.assert_array_equal(local_contrast(framed, mask), local_contrast(frame.image, mask))
    assert (local_contrast(frame.image, mask)[~mask] == 0).all()


def test_it_is_bounded_and_a_uniform_image_has_none():
    image = np.zeros((64, 64))
    image[32, 32] = 1e6
    assert np.abs(local_contrast(image, np.ones((64, 64), bool))).max() <= 3
    uniform = local_contrast(np.full((64, 64), 77), np.ones((64, 64), bool))
    assert np.abs(uniform).max() < 1e-3 / FLOOR
