"""From frames to the network's images, and from logits to label maps."""

import numpy as np
import torch
from drawn_heart import NAMES, heart
from PIL import Image

from common.datasets.sector.framing import Framing
from common.inference.segmentation import clean, cleaning_flags, label_maps, network_images


def test_the_network_sees_what_the_preparation_of_the_training_images_would_make():
    frames = np.random.default_rng(0).integers(0, 256, (3, 90, 130), np.uint8)
    found = network_images(frames, 48)
    for own, frame in zip(found, frames, strict=True):
        expected = np.asarray(Image.fromarray(frame).resize((48, 48), Image.Resampling.BILINEAR), np.float32)
        difference = np.abs(own[0].numpy() * 255 - expected)
        assert difference.max() <= 1.001  # a rounding apart
        assert (difference > 0.5).mean() < 0.02


def test_labels_return_to_their_place_on_the_screen():
    small = torch.zeros(2, 2, 8, 8)
    small[:, 1, :4], small[:, 1, 4:] = 1.0, -1.0  # the upper half
    seen = np.zeros((50, 60), bool)
    seen[14:42, 20:52] = True
    labels = label_maps(small, Framing((10, 20, 42, 52), seen, sector=True))
    expected = np.zeros((2, 50, 60), np.uint8)
    expected[:, 10:26, 20:52] = 1  # beyond what was seen too
    np.testing.assert_array_equal(labels, expected)


def test_chunks_change_nothing(monkeypatch):
    logits = torch.randn(5, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    framing = Framing((0, 0, 40, 30), np.ones((40, 30), bool), sector=False)
    whole = label_maps(logits, framing)
    monkeypatch.setattr("common.inference.segmentation.CHUNK", 1)
    np.testing.assert_array_equal(label_maps(logits, framing), whole)
    assert whole.any()


def test_cleaning_removes_specks_and_fills_holes_and_leaves_a_whole_heart_alone():
    whole = heart()[None]
    np.testing.assert_array_equal(clean(whole, len(NAMES), 1.0), whole)
    spoilt = whole.copy()
    spoilt[0, 5:8, 5:8] = 1  # a second ventricle
    spoilt[0, 100:104, 120:124] = 0  # a hole in the cavity
    spoilt[0, 120:122, 130:132] = 3  # an atrium in the ventricle
    for smallest in (0.2, 1.0):
        np.testing.assert_array_equal(clean(spoilt, len(NAMES), smallest), whole)
    assert (clean(spoilt, len(NAMES), 0.0)[0, 5:8, 5:8] == 1).all()


def test_a_ventricle_that_is_cut_in_two_keeps_both_parts_unless_only_the_largest_is_wanted():
    """Measuring the larger part as if it were whole would be a silent error; two large pieces are refused."""
    split = heart()[None]
    split[0, 90:94] = 0
    np.testing.assert_array_equal(clean(split, len(NAMES), 0.2), split)
    assert not (clean(split, len(NAMES), 1.0)[0, :90] == 1).any()


def test_a_strip_of_atrium_across_the_ventricle_becomes_ventricle():
    """As reverberations make it: the pieces of the cavity are one again, though the upper one alone is small."""
    whole = heart()[None]
    spoilt = whole.copy()
    spoilt[0, 60:80][whole[0, 60:80] == 1] = 3
    np.testing.assert_array_equal(clean(spoilt, len(NAMES), 0.2), whole)
    assert cleaning_flags(spoilt, whole, NAMES) == ["left atrium: in frame 0 a piece was removed that is not small"]
    assert cleaning_flags(whole, whole, NAMES) == []


def test_an_atrium_in_the_ventricle_becomes_ventricle_and_a_cavity_in_the_wall_stays():
    whole = heart()[None]
    spoilt = whole.copy()
    spoilt[0, 100:150, 110:140] = 3  # as large as two fifths of the atrium
    np.testing.assert_array_equal(clean(spoilt, len(NAMES), 0.2), whole)
    split = whole.copy()
    split[0, 90:94][whole[0, 90:94] == 1] = 2  # cut in two by its wall: which part is the cavity?
    np.testing.assert_array_equal(clean(split, len(NAMES), 0.2), split)


def test_cleaning_keeps_the_cavity_of_a_closed_wall():
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[0, 3:17, 3:17] = 2
    labels[0, 6:14, 6:14] = 1
    np.testing.assert_array_equal(clean(labels, 4, 0.2), labels)
    assert not clean(np.zeros_like(labels), 4, 0.2).any()
