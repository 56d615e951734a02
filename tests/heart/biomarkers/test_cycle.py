"""Beats from areas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.heart.biomarkers.cycle import Beat, find_beats, smooth


def clip(frames: int, beat: int, noise: float = 0.0, start: int = 0) -> np.ndarray:
    """Areas of a heart that contracts in a third of its beat and fills in the rest."""
    phase = ((np.arange(frames) + start) % beat) / beat
    contraction = np.where(
        phase < 1 / 3, (1 - np.cos(3 * np.pi * phase)) / 2, (1 + np.cos(1.5 * np.pi * (phase - 1 / 3))) / 2
    )
    return 3000 - 1200 * contraction + noise * np.random.default_rng(0).standard_normal(frames)


@given(beat=st.integers(24, 60), start=st.integers(0, 23), noise=st.floats(0, 30))
def test_beats_are_found_within_the_smoothing(beat: int, start: int, noise: float):
    found = find_beats(clip(4 * beat, beat, noise, start), frame_rate=40)
    assert 3 <= len(found) <= 4
    for one in found[1:-1]:  # whose ends lie within the clip
        assert one.whole
        assert min((one.diastole + start) % beat, beat - (one.diastole + start) % beat) <= 6  # frames, 0.15 s
        assert abs((one.systole + start) % beat - beat / 3) <= 6  # frames, 0.15 s


def test_half_a_beat_has_one_end_of_each_kind():
    areas = clip(40, 60)[:21]
    assert find_beats(areas, 40) == [Beat(0, 20, whole=False)]
    assert find_beats(areas[::-1], 40) == [Beat(20, 0, whole=False)]  # recorded from systole on


def test_a_clip_that_begins_in_systole_does_not_begin_at_end_diastole():
    areas = clip(40, 40, start=8)  # its first frame is halfway down, and so is its last but one
    (found,) = find_beats(areas, 40)
    assert not found.whole
    assert abs(found.diastole - 32) <= 2
    assert abs(found.systole - 5) <= 2


def test_gaps_are_bridged():
    areas = clip(120, 40)
    whole = find_beats(areas, 40)
    areas[[3, 17, 50]] = np.nan
    assert [beat.diastole for beat in find_beats(areas, 40)] == pytest.approx([beat.diastole for beat in whole], abs=1)


def test_the_frame_rate_may_be_unknown():
    assert [beat.systole - beat.diastole for beat in find_beats(clip(120, 30))] == pytest.approx([10] * 4, abs=1)


@pytest.mark.parametrize("areas", [[], [100.0], [np.nan] * 5, [7.0] * 9, [np.nan, 4.0, np.nan]])
def test_areas_without_change_have_no_beats(areas: list[float]):
    assert find_beats(np.array(areas, dtype=float)) == []


def test_smoothing_leaves_a_parabola_alone_and_removes_a_spike():
    parabola = np.arange(30.0) ** 2
    np.testing.assert_allclose(smooth(parabola, 40), parabola, atol=1e-9)
    spiked = parabola.copy()
    spiked[15] += 300
    assert np.abs(smooth(spiked, 40) - parabola).max() < 150
