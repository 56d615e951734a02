"""Volumes and measurements computed from them."""

import math

import numpy as np
import pytest

from common.heart.biomarkers.chamber import DISCS, Chamber
from common.heart.biomarkers.volumes import (
    area_length_volume,
    body_surface_area,
    discs_volume,
    ejection_fraction,
    myocardial_mass,
    notebook_volumes,
)

NO_CHAMBER = Chamber(reason="left ventricle: not found")


def cylinder(length: float, diameter: float) -> Chamber:
    return Chamber(area=length * diameter, length=length, diameters=np.full(DISCS, diameter))


def test_two_views_make_elliptic_discs_as_long_as_the_longer_view():
    volume = discs_volume(cylinder(80, 40), cylinder(90, 30))
    assert volume == pytest.approx(math.pi / 4 * 40 * 30 * 90 / 1000)
    assert discs_volume(cylinder(80, 40), cylinder(80, 40)) == pytest.approx(discs_volume(cylinder(80, 40)))


def test_area_length_takes_the_shorter_view():
    assert area_length_volume(cylinder(80, 40), cylinder(90, 30)) == pytest.approx(
        8 * 3200 * 2700 / (3 * math.pi * 80) / 1000
    )


def test_a_view_without_numbers_gives_nan():
    good = cylinder(80, 40)
    for volume in (discs_volume, area_length_volume):
        assert math.isnan(volume(NO_CHAMBER))
        assert math.isnan(volume(good, NO_CHAMBER))
        assert math.isnan(volume(NO_CHAMBER, good))
    assert all(map(math.isnan, notebook_volumes([good], [NO_CHAMBER])))
    assert math.isnan(ejection_fraction(math.nan, 30.0))
    assert math.isnan(ejection_fraction(100.0, math.nan))
    assert math.isnan(ejection_fraction(0.0, 0.0))


def test_the_notebook_stretches_systole_to_the_length_of_diastole():
    diastolic, systolic = (cylinder(80, 40), cylinder(90, 40)), (cylinder(60, 30), cylinder(70, 30))
    ours = discs_volume(*diastolic), discs_volume(*systolic)
    notebook = notebook_volumes(diastolic, systolic)
    assert notebook[0] == pytest.approx(ours[0])
    assert notebook[1] == pytest.approx(ours[1] * 90 / 70)
    assert ejection_fraction(*notebook) < ejection_fraction(*ours)


def test_small_measures_by_hand():
    assert ejection_fraction(100, 40) == 60
    assert myocardial_mass(cylinder(80, 40), cylinder(80, 60)) == pytest.approx(
        1.05 * math.pi / 4 * 80 * (3600 - 1600) / 1000
    )


def test_body_surface_area_of_impossible_people_is_refused():
    assert body_surface_area(160, 60) == pytest.approx(math.sqrt(160 * 60) / 60)
    for height, weight in ((1.8, 80), (180, 0), (180, math.nan)):
        with pytest.raises(ValueError, match=r"expected height 30 to 260 cm and weight 0\.3 to 500 kg"):
            body_surface_area(height, weight)
