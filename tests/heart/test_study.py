"""Studies: views, phases and beats that belong together."""

import math
from dataclasses import replace

import numpy as np
import pytest
from drawn_heart import MM, NAMES, heart, volume

from common.heart.beat import MeasuredBeat
from common.heart.instant import Instant
from common.heart.scan_record import HeartScan, measure_still
from common.heart.study import COLUMNS, group, measure_study
from common.inference.subject import ScanResult

SEEN = np.ones((256, 256), bool)
ED, ES = (60.0, 20.0), (50.0, 16.0)


def instant(shape: tuple[float, float], frame: int = 0) -> Instant:
    return measure_still(heart(*shape), NAMES, (MM, MM), SEEN, frame)[0]


def record(view: str = "4CH", phase: str = "", *, name: str = "", **measured) -> ScanResult[HeartScan]:
    own = HeartScan("p", view, phase, "mm", **measured)
    return ScanResult(name or f"p_{view}_{phase}.png", 1, [256, 256], None, [MM, MM], "given", [], [], 0.9, own)


def stills(view: str = "4CH", systole: tuple[float, float] = ES) -> list[ScanResult[HeartScan]]:
    return [record(view, "ED", still=instant(ED)), record(view, "ES", still=instant(systole))]


def clip(view: str, *systoles: tuple[float, float]) -> ScanResult[HeartScan]:
    return record(view, beats=[MeasuredBeat(instant(ED), instant(own)) for own in systoles])


def fraction(diastole: tuple[float, float], systole: tuple[float, float]) -> float:
    return 100 * (1 - volume(*systole) / volume(*diastole))


def test_two_stills_of_a_view_make_a_monoplane_beat():
    found = measure_study(stills())
    assert found["method"] == "monoplane discs (4CH)"
    assert found["beats"] == 1
    assert found["lv_ef"] == pytest.approx(fraction(ED, ES), abs=1.0)
    assert found["lv_edv"] == pytest.approx(volume(*ED), rel=0.02)
    assert found["lv_fac"] == pytest.approx(100 * (1 - 50 * 16 / (60 * 20)), abs=1.0)  # half ellipses
    assert found["lv_sv"] == pytest.approx(found["lv_edv"] - found["lv_esv"], abs=0.02)
    assert found["lv_ef_sd"] is None
    assert found["lv_ef_2ch"] is None
    # the notebook's convention takes the longest axis for both instants: the end-systolic volume grows by 60 / 50
    assert found["lv_ef_camus_notebook"] == pytest.approx(100 * (1 - 1.2 * volume(*ES) / volume(*ED)), abs=1.0)


def test_two_views_are_biplane_with_the_longer_axis():
    found = measure_study([*stills(), *stills("2CH", systole=(50.0, 12.0))])
    assert found["method"] == "biplane discs"
    # ellipses as discs: the radii of the two views multiply
    assert found["lv_esv"] == pytest.approx(2 / 3 * math.pi * 50 * 16 * 12 / 1000, rel=0.03)
    assert found["lv_ef_4ch"] == pytest.approx(fraction(ED, ES), abs=1.0)
    assert found["lv_ef_2ch"] == pytest.approx(fraction(ED, (50.0, 12.0)), abs=1.0)
    assert not any("foreshortened" in flag for flag in found["flags"])


def test_a_shorter_second_view_is_flagged_as_foreshortened():
    short = [record("2CH", "ED", still=instant((45.0, 20.0))), record("2CH", "ES", still=instant((40.0, 16.0)))]
    assert any("foreshortened" in flag for flag in measure_study([*stills(), *short])["flags"])


def test_beats_are_averaged_with_their_spread():
    found = measure_study([clip("4CH", (50.0, 16.0), (50.0, 14.0), (50.0, 15.0))])
    own = [fraction(ED, (50.0, radius)) for radius in (16.0, 14.0, 15.0)]
    assert found["beats"] == 3
    assert found["lv_ef"] == pytest.approx(np.mean(own), abs=1.0)
    assert found["lv_ef_sd"] == pytest.approx(np.std(own, ddof=1), abs=0.6)
    pair = measure_study([clip("4CH", (50.0, 16.0), (50.0, 14.0)), clip("2CH", (50.0, 16.0))])
    assert pair["method"] == "biplane discs"
    assert pair["beats"] == 1


def test_without_spacing_only_ratios_are_measured():
    found = measure_study([replace(own, spacing_mm=None, spacing_source="") for own in stills()])
    assert found["lv_ef"] == measure_study(stills())["lv_ef"]
    assert found["spacing_source"] == "unknown"
    assert [name for name, unit in COLUMNS.items() if unit != "%" and found[name] is not None] == []
    assert any("spacing unknown" in flag and "--spacing" in flag for flag in found["flags"])


def without_spacing(scan: ScanResult[HeartScan]) -> ScanResult[HeartScan]:
    unknown = replace(scan.measured, length_unit="nominal")
    return replace(scan, spacing_mm=None, spacing_source="", measured=unknown)


@pytest.mark.parametrize("unknown", [0, 1])
def test_stills_with_and_without_spacing_make_no_beat(unknown: int):
    scans = stills()
    scans[unknown] = without_spacing(scans[unknown])
    found = measure_study(scans)
    assert found["lv_ef"] is found["lv_fac"] is None
    assert any("known of some scans alone" in flag for flag in found["flags"])


def test_views_with_and_without_spacing_are_not_combined():
    found = measure_study([*stills(), *map(without_spacing, stills("2CH", systole=(50.0, 12.0)))])
    assert found["method"] == "monoplane discs (4CH)"
    assert found["lv_ef"] == found["lv_ef_4ch"] == measure_study(stills())["lv_ef"]
    assert not any("foreshortened" in flag for flag in found["flags"])


def exchanged(view: str) -> list[ScanResult[HeartScan]]:
    return [record(view, "ED", still=instant(ES)), record(view, "ES", still=instant(ED))]


def test_nothing_follows_from_a_ventricle_that_grows():
    found = measure_study(exchanged("4CH"))
    derived = ["lv_ef", "lv_sv", "la_volume", "lv_fac", "lv_ef_area_length", "lv_mass_research_only"]
    assert [name for name in derived if found[name] is not None] == []
    assert found["lv_edv"] < found["lv_esv"]
    assert any(flag.startswith("4CH: larger at end-systole") for flag in found["flags"])
    pair = measure_study([*stills(), *exchanged("2CH")])
    assert pair["lv_ef"] is pair["lv_ef_2ch"] is pair["lv_sv"] is None
    assert pair["lv_ef_4ch"] == measure_study(stills())["lv_ef"]
    assert any(flag.startswith("2CH: larger at end-systole") for flag in pair["flags"])


def test_the_method_is_that_of_the_volumes():
    apart = measure_study([stills()[0], stills("2CH")[1]])
    assert apart["method"] == "ED: monoplane discs (4CH), ES: monoplane discs (2CH)"
    assert measure_study([stills()[0], stills("2CH")[0]])["method"] == "biplane discs"


def test_stills_without_a_beat_have_their_volume():
    diastole = measure_study(stills()[:1])
    assert diastole["lv_edv"] == pytest.approx(volume(*ED), rel=0.02)
    assert diastole["lv_ef"] is None
    assert any("end-diastole and end-systole of one view are needed" in flag for flag in diastole["flags"])
    unknown = measure_study([record("", "", still=instant(ES))])
    assert unknown["lv_volume"] == pytest.approx(volume(*ES), rel=0.02)
    assert unknown["lv_edv"] is None
    assert unknown["method"] == "monoplane discs (view unknown)"


def test_body_surface_area_indexes_and_sex_grades():
    found = measure_study(stills(), surface=2.0, sex="M")
    assert found["la_volume_index"] == pytest.approx(found["la_volume"] / 2, abs=0.01)
    assert found["grades"]["ejection_fraction"] == "mildly reduced"  # 46.7 %
    assert set(found["grades"]) >= {"end_diastolic_volume_index", "left_atrial_volume_index"}
    assert measure_study(stills())["grades"] == {}


def test_scans_of_the_same_view_and_phase_are_studies_of_their_own():
    twice = [*stills(), record("4CH", "ED", name="other.png", still=instant(ED))]
    assert set(group(twice)) == {own.input for own in twice}
    assert list(group(stills())) == ["p"]
    mixed = [*stills(), clip("4CH", ES)]
    assert len(group(mixed)) == 3
