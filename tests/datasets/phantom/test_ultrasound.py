"""The physics of the phantom: speckle statistics, resolution, grey map, geometry."""

from dataclasses import replace

import numpy as np
import pytest

from common.datasets.phantom.ultrasound import (
    Artefacts,
    Grey,
    Polar,
    Speckle,
    View,
    beamform,
    compress,
    depth_gain,
    noise,
    scan_convert,
)

POLAR = Polar(depth=150.0, half_angle=40.0, shape=(600, 300))
SPECKLE = Speckle(pulse=1.2, beam=1.6, looks=1, smoothing=0.0)
GREY = Grey(dynamic_range=50.0, myocardium=0.4, blood=-12.0, contrast=0.0, gain=0.0)


def intensity(speckle=SPECKLE, power=1.0):
    return beamform(np.full(POLAR.shape, power), POLAR, speckle, np.random.default_rng(0))


def test_one_look_is_fully_developed_speckle():
    decibel = 10 * np.log10(intensity())
    assert decibel.std() == pytest.approx(5.57, rel=0.05)  # log of a Rayleigh variable: 5.57 dB
    assert intensity().std() / intensity().mean() == pytest.approx(1, rel=0.1)  # exponential intensity


@pytest.mark.parametrize("looks", [2, 4])
def test_looks_average_the_speckle(looks):
    many = intensity(replace(SPECKLE, looks=looks))
    assert many.std() / many.mean() == pytest.approx(looks**-0.5, rel=0.1)


@pytest.mark.parametrize("speckle", [SPECKLE, replace(SPECKLE, pulse=2.5, beam=3.0)])
def test_the_mean_is_the_power_that_scatters(speckle):
    assert intensity(speckle, power=0.1).mean() == pytest.approx(0.1, rel=0.1)


def test_speckle_is_as_large_as_pulse_and_beam():
    speckle = intensity() - intensity().mean()
    for axis, size in enumerate((SPECKLE.pulse, SPECKLE.beam)):
        half = round(size / POLAR.step[axis] / 2)
        spectrum = np.abs(np.fft.fft(speckle, axis=axis)) ** 2
        correlation = np.fft.ifft(spectrum, axis=axis).real.sum(axis=1 - axis)
        correlation /= correlation[0]
        expected = 0.5 ** ((2 * half * POLAR.step[axis] / size) ** 2)  # a Gaussian loses half over half its width
        assert correlation[half] == pytest.approx(expected, abs=0.05)


def test_haze_is_near_and_noise_is_far():
    artefacts = Artefacts(haze=0.0, floor=-20.0, attenuation=0.0, shadow=0.0, dropout=0.0, clutter=0.0)
    power = 10 * np.log10(noise(artefacts, POLAR, np.random.default_rng(0))[:, 0])
    assert power[0] > power.min() + 10
    assert power[-1] == pytest.approx(-20, abs=3)  # dB, with what is left of the haze


def test_without_artefacts_nothing_is_lost():
    nothing = Artefacts(haze=0.0, floor=0.0, attenuation=0.0, shadow=0.0, dropout=0.0, clutter=0.0)
    assert (depth_gain(nothing, POLAR, np.random.default_rng(0)) == 0).all()


def test_drop_out_darkens_the_edges_by_what_it_says():
    edges = Artefacts(haze=0.0, floor=0.0, attenuation=0.0, shadow=0.0, dropout=5.0, clutter=0.0)
    gain = depth_gain(edges, POLAR, np.random.default_rng(0))
    np.testing.assert_allclose(gain[:, [0, -1]], -5.0)
    assert gain[:, 150].max() == pytest.approx(0, abs=1e-6)


def test_grey_rises_by_the_dynamic_range():
    grey = compress(10 ** np.array([-2.0, -1.0, 0.0, 1.0, 3.0, 9.0]), GREY)
    np.testing.assert_allclose(grey, [0.0, 0.2, 0.4, 0.6, 1.0, 1.0], atol=1e-6)


@pytest.mark.parametrize("contrast", [0.4, 0.8])
def test_contrast_is_monotone_and_keeps_black_and_white(contrast):
    grey = compress(10 ** np.linspace(-4, 4, 200), replace(GREY, contrast=contrast))
    assert (np.diff(grey) >= -1e-12).all()
    np.testing.assert_allclose(grey[[0, -1]], [0, 1], atol=1e-12)
    assert compress(np.array([0.1]), replace(GREY, contrast=contrast)) < compress(np.array([0.1]), GREY)  # darker blood


def test_the_mesh_and_to_pixels_agree():
    points = np.stack(POLAR.mesh, axis=-1)[5:, :].reshape(-1, 2)
    expected = np.stack(np.indices(POLAR.shape), axis=-1)[5:, :].reshape(-1, 2)
    np.testing.assert_allclose(POLAR.to_pixels(points), expected, atol=1e-6)
    view = View(left=-90.0, top=5.0, width=180.0, height=140.0, size=64)
    x, y = view.mesh
    grid = np.stack(np.broadcast_arrays(x, y), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(view.to_pixels(grid), np.stack(np.indices((64, 64)), -1).reshape(-1, 2), atol=1e-9)


def test_a_reflector_is_displayed_where_it_lies():
    shade = np.zeros(POLAR.shape)
    place = np.array([[30.0, 100.0]])
    row, column = POLAR.to_pixels(place).round().astype(int)[0]
    shade[row - 4 : row + 5, column - 4 : column + 5] = 1
    view = View(left=-95.0, top=-5.0, width=190.0, height=160.0, size=256)
    image = scan_convert(shade, POLAR, 0.0, view)
    middle = np.average(np.indices(image.shape).reshape(2, -1), axis=1, weights=image.ravel())
    np.testing.assert_allclose(middle, view.to_pixels(place)[0], atol=0.5)


def test_scan_conversion_keeps_a_constant_and_leaves_the_outside_black():
    view = View(left=-100.0, top=-10.0, width=200.0, height=170.0, size=200)
    image = scan_convert(np.full(POLAR.shape, 0.7), POLAR, 0.5, view)
    x, y = view.mesh
    radius, angle = np.hypot(x, y), np.abs(np.rad2deg(np.arctan2(x, y)))
    np.testing.assert_allclose(image[(radius < 148) & (radius > 4) & (angle < 40 - np.rad2deg(1.5 / radius))], 0.7)
    assert (image[(radius > 150) | (angle > 40)] == 0).all()


def test_scan_conversion_leaves_its_input_alone():
    shade = np.random.default_rng(0).random(POLAR.shape)
    before = shade.copy()
    scan_convert(shade, POLAR, 0.0, View(-90.0, 0.0, 180.0, 150.0, 64))
    np.testing.assert_array_equal(shade, before)


def test_reduction_does_not_alias():
    speckle = compress(intensity(), GREY)
    images = [scan_convert(speckle, POLAR, 0.0, View(-96.0, 0.0, 192.0, 150.0, size)) for size in (512, 64)]
    inside = [
        image[int(0.4 * len(image)) : int(0.8 * len(image)), len(image) // 3 : 2 * len(image) // 3] for image in images
    ]
    assert inside[1].std() < 0.75 * inside[0].std()
    assert inside[1].mean() == pytest.approx(inside[0].mean(), rel=0.02)
