"""Flags of suspicious measurements."""

import numpy as np
from numpy.typing import NDArray

from common.heart.biomarkers.chamber import Chamber
from common.heart.biomarkers.quality import biplane_flags, clip_flags, frame_flags

NAMES = ["background", "lv_cavity", "lv_myocardium", "left_atrium"]
SPACING = (0.5, 0.5)
SEEN = np.ones((260, 200), bool)


def test_a_clean_heart_has_no_flags(bullet: NDArray[np.int64]):
    assert frame_flags(bullet, NAMES, SPACING, SEEN) == []


def test_an_atrium_cut_by_the_sector_is_flagged(bullet: NDArray[np.int64]):
    sector = np.ones(bullet.shape, dtype=bool)
    sector[230:] = False
    cut = np.where(sector, bullet, 0)
    (flag,) = frame_flags(cut, NAMES, SPACING, sector)
    assert flag == "left atrium: cut by the edge of the sector, its size is a lower bound"
    assert frame_flags(bullet[:230], NAMES, SPACING, SEEN[:230]) == [flag], "the image's own edge cuts too"


def test_pieces_and_missing_structures_are_flagged_and_specks_are_not(bullet: NDArray[np.int64]):
    labels = bullet.copy()
    labels[labels == 3] = 0
    labels[5:20, 5:20] = 1
    labels[2, 2] = 2
    assert frame_flags(labels, NAMES, SPACING, SEEN) == ["lv cavity: 2 pieces", "left atrium: not found"]


def test_a_beat_that_jumps_or_lengthens_is_flagged():
    areas = 3000 - 500 * np.sin(np.arange(40) / 6)
    good = Chamber(length=90.0), Chamber(length=76.0)
    assert clip_flags(areas, 40, *good) == []
    areas[20] *= 2
    assert clip_flags(areas, 40, *good)[0].startswith("left ventricle: its area jumps at frames ")
    areas[20] = np.nan
    assert clip_flags(areas, 40, *good) == ["left ventricle: not measurable in 1 of 40 frames"]
    areas[20] = areas[19]
    assert clip_flags(areas, 40, *good[::-1]) == ["left ventricle: its long axis changes by 18 % in the beat"]


def test_views_of_different_length_are_flagged():
    assert biplane_flags(Chamber(length=90.0), Chamber(length=80.0)) == []
    assert biplane_flags(Chamber(length=90.0), Chamber()) == []
    assert "differ by 22 %" in biplane_flags(Chamber(length=70.0), Chamber(length=90.0))[0]
