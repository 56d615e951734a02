"""A phantom's window at any pixel size shows what the square frame shows, and hearts move between two instants."""

import numpy as np
import pytest

from common.datasets.phantom.study import DOMAINS, PhantomFrame, examine, render
from layouts.tracing import disc_volume, trace
from layouts.window import between, draw_window

PHASES = ("ED", "ES")
LV, MYOCARDIUM, ATRIUM = 1, 2, 3


def area(frame: PhantomFrame, value: int) -> float:
    """Return mm²."""
    return float((frame.label == value).sum() * np.prod(frame.spacing))


@pytest.mark.parametrize("phase", PHASES)
def test_a_square_window_at_its_own_spacing_is_the_rendered_frame(phase):
    study = examine("echonet_like", 4)
    expected = render("echonet_like", 4, phase, 112)
    got = draw_window(study, study.hearts[phase], PHASES.index(phase), expected.spacing)
    np.testing.assert_array_equal(got.image, expected.image)
    np.testing.assert_array_equal(got.label, expected.label)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.0), (1.2, 0.6)])
def test_a_frame_of_any_spacing_shows_the_whole_window_and_the_same_anatomy(spacing):
    study = examine("camus_like", 0)
    squashed, got = render("camus_like", 0, "ED", 256), draw_window(study, study.hearts["ED"], 0, spacing)
    extent = np.multiply(squashed.spacing, 256)  # mm
    assert got.image.shape == got.label.shape == got.sector.shape == tuple(np.round(extent / spacing))
    assert got.spacing == spacing
    for value in (LV, MYOCARDIUM, ATRIUM):
        assert area(got, value) == pytest.approx(area(squashed, value), rel=0.03)
        centre, expected = (np.mean(np.nonzero(item.label == value), axis=1) * item.spacing for item in (got, squashed))
        np.testing.assert_allclose(centre, expected, atol=1)  # mm


def test_a_screen_is_four_to_three_at_square_pixels():
    study = examine("unity_like", 0)
    assert draw_window(study, study.hearts["ED"], 0, (study.window[3] / 96,) * 2).image.shape == (96, 128)


def test_every_instant_has_its_own_speckle():
    study = examine("camus_like", 0)
    first, again, next_ = (draw_window(study, study.hearts["ED"], instant, (2.0, 2.0)) for instant in (5, 5, 6))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.label, next_.label)
    assert (first.image != next_.image)[first.sector].mean() > 0.9


def test_a_heart_between_two_instants_lies_between_them():
    hearts = examine("camus_like", 0).hearts
    whole, half, small = (between(hearts["ED"], hearts["ES"], share) for share in (0.0, 0.5, 1.0))
    for name in ("endocardium", "left_atrium", "atrial_echo"):
        assert np.array_equal(getattr(whole, name), getattr(hearts["ED"], name))
        assert np.array_equal(getattr(small, name), getattr(hearts["ES"], name))
    protocol = DOMAINS["camus_like"].protocol
    volumes = [disc_volume(trace(protocol, heart)) for heart in (whole, half, small)]
    assert volumes == sorted(volumes, reverse=True)
