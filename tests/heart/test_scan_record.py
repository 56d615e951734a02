"""Measurements of one scan, compared with a heart of known volumes."""

import json

import numpy as np
import pytest
from drawn_heart import MM, NAMES, heart, volume

from common.heart.biomarkers import discs_volume
from common.heart.instant import Instant
from common.heart.scan_record import measure_clip, measure_still

SCALE = (MM, MM)
SEEN = np.ones((256, 256), bool)


def beating(beats: int, frames: int = 20) -> np.ndarray:
    """Labels of a clip that begins and ends at end-diastole."""
    share = (1 - np.cos(2 * np.pi * np.arange(beats * frames + 1) / frames)) / 2
    return np.stack([heart(60 - 10 * part, 20 - 4 * part) for part in share])


def test_a_still_has_the_volume_that_was_drawn():
    instant, flags = measure_still(heart(), NAMES, SCALE, SEEN)
    assert flags == []
    assert instant.ventricle.landmark == "myocardium"
    assert discs_volume(instant.ventricle) == pytest.approx(volume(), rel=0.02)
    # the apex is drawn 60 mm above the annulus, in the middle
    np.testing.assert_allclose(instant.ventricle.apex, (20, 64), atol=1.5)
    np.testing.assert_allclose(instant.ventricle.base, (80, 64), atol=1.5)
    assert discs_volume(instant.epicardium) == pytest.approx(volume(70, 30), rel=0.03)


def test_what_touches_the_edge_of_the_sector_or_is_missing_is_flagged():
    seen = SEEN.copy()
    seen[:, 128 + 30 :] = False  # through the lateral wall
    labels = np.where(seen, heart(), 0)
    _, flags = measure_still(labels, NAMES, SCALE, seen)
    assert any("lv myocardium: cut by the edge of the sector" in flag for flag in flags)
    instant, flags = measure_still(np.where(heart() == 3, 0, heart()), NAMES, SCALE, SEEN)
    assert "left atrium: not found" in flags
    assert instant.atrium.reason == "left atrium: not found"
    instant, flags = measure_still(np.zeros((256, 256), np.uint8), NAMES, SCALE, SEEN)
    assert {"left ventricle: not found", "lv cavity: not found"} <= set(flags)
    assert np.isnan(instant.ventricle.area)


def test_every_beat_of_a_clip_is_measured_at_its_largest_and_its_smallest_area():
    labels = beating(2)
    areas, beats, flags = measure_clip(labels, NAMES, SCALE, SEEN, frame_rate=20.0)
    np.testing.assert_allclose(areas[0], np.pi * 60 * 20 / 2, rtol=0.02)
    assert [(beat.diastole.frame, beat.systole.frame, beat.whole) for beat in beats] == [(0, 10, True), (20, 30, True)]
    for beat in beats:
        assert discs_volume(beat.diastole.ventricle) == pytest.approx(volume(), rel=0.02)
        assert discs_volume(beat.systole.ventricle) == pytest.approx(volume(50, 16), rel=0.02)
    assert flags == []


def test_half_a_beat_and_a_heart_without_motion_are_flagged():
    _, beats, flags = measure_clip(beating(1)[:11], NAMES, SCALE, SEEN, 20.0)
    assert [(beat.diastole.frame, beat.systole.frame, beat.whole) for beat in beats] == [(0, 10, False)]
    assert any("no whole beat" in flag for flag in flags)
    _, beats, flags = measure_clip(np.stack([heart()] * 5), NAMES, SCALE, SEEN, 20.0)
    assert beats == []
    assert any("no beat found" in flag for flag in flags)


def test_a_record_survives_being_written():
    instant, _ = measure_still(np.where(heart() == 3, 0, heart()), NAMES, SCALE, SEEN, frame=7)
    written = json.loads(json.dumps(instant.as_json(), allow_nan=False))
    assert written["frame"] == 7
    again = Instant.from_json(written)
    assert again.frame == 7
    read = again.ventricle
    assert discs_volume(read) == discs_volume(instant.ventricle)  # a resumed run gives the same numbers
    assert read.landmark == instant.ventricle.landmark
    missing = again.atrium
    assert missing.reason == "left atrium: not found"
    assert np.isnan(missing.length)
    assert np.isnan(missing.diameters).all()


def test_an_instant_names_its_chambers():
    assert set(Instant.__annotations__) == {"frame", "ventricle", "epicardium", "atrium"}
