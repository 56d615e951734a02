"""The curves of the phantom's annotators: filled, they equal its label, and so do their volumes."""

import numpy as np
import pytest
from layout_files import dice
from scipy.ndimage import rotate

from common.contours import fill
from common.datasets.phantom.study import DOMAINS, PhantomFrame, Study, examine
from layouts.tracing import Tracing, chords, disc_volume, trace
from layouts.window import canvas, draw_window

LV, MYOCARDIUM, ATRIUM = 1, 2, 3


def drawn(domain: str, patient: int, phase: str) -> tuple[Study, Tracing, PhantomFrame, tuple[float, float]]:
    study = examine(domain, patient)
    spacing = (study.window[3] / 200,) * 2
    tracing = trace(study.scanner.protocol, study.hearts[phase])
    return study, tracing, draw_window(study, study.hearts[phase], 0, spacing), spacing


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("patient", range(3))
def test_filled_curves_are_the_label(domain, patient):
    study, tracing, frame, spacing = drawn(domain, patient, "ES")

    def inside(curve: np.ndarray) -> np.ndarray:
        return fill(canvas(study, spacing).to_pixels(curve), frame.label.shape)

    cavity = inside(tracing.endocardium)
    assert dice(cavity, frame.label == LV) > 0.99
    assert dice(inside(tracing.epicardium) & ~cavity, frame.label == MYOCARDIUM) > 0.99
    assert dice(inside(tracing.left_atrium) & frame.sector, frame.label == ATRIUM) > 0.99


@pytest.mark.parametrize("domain", DOMAINS)
def test_cavity_and_atrium_meet_along_the_annotated_mitral_plane(domain):
    study = examine(domain, 1)
    heart = study.hearts["ED"]
    tracing = trace(study.scanner.protocol, heart)
    np.testing.assert_allclose(tracing.endocardium[[0, -1]], tracing.left_atrium[[-1, 0]])
    height = (tracing.endocardium - heart.mitral) @ heart.up
    np.testing.assert_allclose(height[[0, -1]], study.scanner.protocol.mitral, atol=1e-9)  # mm
    assert (height[1:-1] > study.scanner.protocol.mitral - 1e-9).all()


def test_the_atrium_stays_below_the_annotated_mitral_plane_where_its_own_contour_rises_beside_the_annulus():
    rising = 0
    for patient in range(20):
        study = examine("camus_like", patient)
        heart, protocol = study.hearts["ES"], study.scanner.protocol
        drawn, traced = (
            (curve - heart.mitral) @ heart.up for curve in (heart.left_atrium, trace(protocol, heart).left_atrium)
        )
        rising += bool(drawn.max() > 1)  # mm
        assert traced.max() < protocol.mitral + 1e-9
    assert rising > 0


@pytest.mark.parametrize("phase", ["ED", "ES"])
def test_the_volume_is_that_of_discs_cut_from_the_mask(phase):
    for patient in range(3):
        _, tracing, frame, spacing = drawn("camus_like", patient, phase)
        x, y = tracing.axis[0] - tracing.axis[1]
        upright = rotate((frame.label == LV).astype(float), np.rad2deg(np.arctan2(x, -y)), order=1) > 0.5
        width = upright.sum(axis=1) * spacing[0]  # mm, of slices one pixel thick
        volume = np.pi / 4 * np.square(width).sum() * spacing[0] / 1000
        assert disc_volume(tracing) == pytest.approx(volume, rel=0.03)  # the oblique base ends in thin slices


def test_chords_are_square_to_the_axis_and_run_left_to_right():
    angle = np.linspace(0, np.pi, 400)
    half = np.stack([-3 * np.cos(angle), -5 * np.sin(angle)], axis=1)  # half an ellipse with its apex above
    got = chords(half, np.array([[0.0, -5.0], [0.0, 0.0]]), np.array([0.2, 0.6]))
    expected = 3 * np.sqrt(1 - np.array([0.8, 0.4]) ** 2)
    np.testing.assert_allclose(got[:, 0, 0], -expected, atol=1e-3)
    np.testing.assert_allclose(got[:, 1, 0], expected, atol=1e-3)
    np.testing.assert_allclose(got[:, :, 1], [[-4, -4], [-2, -2]])


def test_a_chord_beyond_the_curve_is_nan():
    square = np.array([[-1.0, 0.0], [-1.0, 4.0], [1.0, 4.0], [1.0, 0.0]])
    with pytest.warns(RuntimeWarning, match="All-NaN"):
        assert np.isnan(chords(square, np.array([[0.0, 0.0], [0.0, 4.0]]), np.array([1.5]))[:, :, 0]).all()
