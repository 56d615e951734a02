"""Motion of clips, compared with NumPy's standard deviation."""

import numpy as np
import pytest

from common.datasets.files.motion import motion, sampled


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 64, 100, 1000])
def test_motion_is_the_standard_deviation_of_at_most_32_evenly_spaced_frames(count: int):
    numbers = list(sampled(count))
    assert len(numbers) == min(count, 32) if count <= 32 else 16 < len(numbers) <= 32
    assert len(set(np.diff(numbers).tolist())) <= 1
    frames = np.random.default_rng(count).integers(0, 256, (count, 5, 7), np.uint8)
    measured = motion(frames)
    assert measured.dtype == np.float32
    np.testing.assert_allclose(measured, frames[numbers].std(axis=0), rtol=1e-6)


def test_still_white_has_no_motion_and_black_against_white_the_most():
    frames = np.full((32, 1, 2), 255, np.uint8)
    frames[::2, 0, 1] = 0
    assert motion(frames).tolist() == [[0.0, 127.5]]
