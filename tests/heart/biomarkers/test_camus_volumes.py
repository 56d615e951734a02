"""Volumes of the reference masks of CAMUS, compared with those of its release."""

from pathlib import Path

import numpy as np
import pytest

from common.datasets.prepared.source import Frame
from common.datasets.readers.camus import camus
from common.heart.biomarkers.chamber import Chamber, ventricle
from common.heart.biomarkers.volumes import area_length_volume, discs_volume, ejection_fraction

PATIENTS = 60


def measured(frame: Frame, by: str = "myocardium", spacing: tuple[float, float] | None = None) -> Chamber:
    beside = {"myocardium": {"myocardium": frame.label == 2}, "atrium": {"atrium": frame.label == 3}, "principal": {}}[
        by
    ]
    assert frame.spacing is not None
    return ventricle(frame.label == 1, spacing or frame.spacing, **beside)


def test_reference_masks_give_the_volumes_of_the_release(echo_data: Path):
    views: dict[str, dict[tuple[str, str], Chamber]] = {}
    released = {}
    for job in camus(echo_data / "camus_2019").jobs:
        item = job.item
        views.setdefault(item["patient"], {})[item["phase"], item["view"]] = measured(job.read())
        released[item["patient"]] = (item["edv"], item["esv"], item["ef"])
    assert len(views) >= 2
    for patient, own in views.items():
        diastolic, systolic = (discs_volume(own[phase, "4CH"], own[phase, "2CH"]) for phase in ("ED", "ES"))
        found = diastolic, systolic, ejection_fraction(diastolic, systolic)
        np.testing.assert_allclose(found[:2], released[patient][:2], atol=0.6, err_msg=patient)  # ml
        np.testing.assert_allclose(found[2], released[patient][2], atol=0.5, err_msg=patient)  # points


@pytest.mark.slow
def test_choices_of_axis_and_resolution_change_volumes_as_they_were_measured_to(echo_data: Path):
    jobs = [job for job in camus(echo_data / "camus").jobs if job.item["fold"] == "training"][: 2 * PATIENTS]
    rows = []
    for job in jobs:
        frame = job.read()
        small, tiny = frame.resized(256), frame.resized(112)
        assert frame.spacing is not None
        assert small.spacing is not None
        mean = float(np.sqrt(small.spacing[0] * small.spacing[1]))
        native = measured(frame)
        chambers = [native, measured(frame, "atrium"), measured(frame, "principal"), measured(small), measured(tiny)]
        chambers += [measured(tiny, "principal"), measured(small, spacing=frame.spacing)]
        chambers += [measured(small, spacing=(mean, mean))]
        assert not [chamber.reason for chamber in chambers if chamber.reason]
        rows.append([*map(discs_volume, chambers), area_length_volume(native)])
    volumes = np.array(rows).reshape(PATIENTS, 2, -1)  # ED and ES of each patient
    fractions = 100 * (1 - volumes[:, 1] / volumes[:, 0])
    percent = 100 * (volumes[:, 0, 1:] / volumes[:, 0, :1] - 1)  # of the end-diastolic volume
    points = fractions[:, 1:] - fractions[:, :1]
    names = [
        "atrium",
        "principal",
        "256",
        "112",
        "112 principal",
        "256 native spacing",
        "256 mean spacing",
        "area-length",
    ]
    bias, spread = (dict(zip(names, values, strict=True)) for values in (percent.mean(axis=0), percent.std(axis=0)))
    off = dict(zip(names, np.abs(points).mean(axis=0), strict=True))
    for name in ("principal", "256", "112", "112 principal"):
        assert abs(bias[name]) < 0.5, name
        assert spread[name] < 1.5, name
        assert off[name] < 1.0, name
    assert -1.5 < bias["atrium"] < 0
    assert off["atrium"] < 0.6
    assert bias["256 native spacing"] < -80  # what a forgotten spacing costs; the ejection fraction hides it
    assert off["256 native spacing"] < 1.5
    assert -11 < bias["256 mean spacing"] < -5
    assert 2 < bias["area-length"] < 7
