"""A screen is drawn around the sector and hardly covers it."""

import numpy as np
import pytest

from common.datasets.phantom.screen_overlay import overlay
from common.datasets.sector.geometry import Sector

SHAPE = (240, 320)
SECTOR = Sector((15.0, 160.0), -40.0, 40.0, inner=0.0, outer=200.0, frame=(0.0, 0.0, 239.0, 319.0)).mask(SHAPE)


def screen(seed: int) -> np.ndarray:
    return overlay(np.full(SHAPE, 100, np.uint8), SECTOR, np.random.default_rng(seed))


def test_the_generator_decides_everything():
    assert (screen(1) == screen(1)).all()
    assert (screen(1) != screen(2)).any()


def test_the_ultrasound_stays_and_is_tinted_alike():
    changed = []
    for seed in range(20):
        inside = screen(seed)[SECTOR].astype(int)
        ultrasound = np.array([np.bincount(channel).argmax() for channel in inside.T])
        assert ultrasound.max() == 100, "a tint keeps one channel"
        assert ultrasound.min() >= 60
        changed.append((inside != ultrasound).any(axis=1).mean())
    assert np.mean(changed) < 0.03
    assert max(changed) < 0.1
    assert np.count_nonzero(changed) > 3, "ECG and text cross it now and then"


def test_most_screens_carry_something_bright_outside_the_sector():
    bright = [(screen(seed)[~SECTOR].max(axis=1) > 190).mean() for seed in range(20)]
    assert np.mean(bright) > 0.007, "without text there is a third of it"
    assert np.mean(np.array(bright) > 0.002) > 0.8


def test_some_backgrounds_are_not_black():
    background = [int(np.median(screen(seed)[~SECTOR])) for seed in range(40)]
    assert background.count(0) > 15
    assert sum(0 < level < 13 for level in background) > 2
    assert sum(level > 20 for level in background) > 1


@pytest.mark.parametrize("shape", [(96, 96), (96, 1024), (1024, 96), (500, 700)])
def test_any_size_is_drawn_even_without_a_sector(shape: tuple[int, int]):
    for seed in range(5):
        drawn = overlay(np.zeros(shape, np.uint8), np.zeros(shape, bool), np.random.default_rng(seed))
        assert drawn.shape == (*shape, 3)
        assert drawn.dtype == np.uint8
