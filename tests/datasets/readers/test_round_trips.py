"""The phantom written in each public layout comes back through the reader of that layout as it was drawn."""

from pathlib import Path

import numpy as np
import pytest
from layout_files import dice
from layouts.camus_layout import SPACING, SPACING_2019, write_camus, write_camus_2019
from layouts.echonet_layout import SIZE, beat, clip_name, write_echonet_dynamic
from layouts.unity_layout import ROWS, video_name, write_unity
from layouts.window import draw_window

from common.datasets.phantom.study import PhantomFrame, examine
from common.datasets.readers.camus import camus
from common.datasets.readers.echonet_dynamic import echonet_dynamic
from common.datasets.readers.unity.reader import unity

pytestmark = pytest.mark.slow
PATIENTS = 4
FRAMES = 8
PHASES = ("ED", "ES")


def drawn(domain: str, patient: int, phase: str, spacing: tuple[float, float]) -> PhantomFrame:
    study = examine(domain, patient)
    return draw_window(study, study.hearts[phase], PHASES.index(phase), spacing)


@pytest.mark.parametrize(
    ("write", "spacing"), [(write_camus, SPACING), (write_camus_2019, SPACING_2019)], ids=["NIfTI", "2019"]
)
def test_camus_comes_back_pixel_for_pixel(tmp_path: Path, write, spacing: tuple[float, float]):
    write(tmp_path, PATIENTS)
    jobs = camus(tmp_path).jobs
    assert [job.id for job in jobs] == [f"patient{n:04d}_4CH_{p}" for n in range(1, PATIENTS + 1) for p in PHASES]
    for job in jobs:
        expected = drawn("camus_like", int(job.item["patient"][-4:]) - 1, job.item["phase"], spacing)
        frame = job.read()
        np.testing.assert_array_equal(frame.image, expected.image, err_msg=job.id)
        np.testing.assert_array_equal(frame.label, expected.label, err_msg=job.id)
        assert frame.spacing == pytest.approx(spacing)
        assert 0 < job.item["ef"] < 90


def test_echonet_dynamic_comes_back(tmp_path: Path):
    patients = PATIENTS + 2
    write_echonet_dynamic(tmp_path, patients, frames=FRAMES)
    jobs = echonet_dynamic(tmp_path).jobs
    found = {(job.item["patient"], job.item["phase"]): job for job in jobs}
    assert len(found) == len(jobs) == 2 * patients
    firsts = set()
    for patient in range(patients):
        study = examine("echonet_like", patient)
        diastole, hearts = beat(study, patient, 0, FRAMES)
        spacing = study.window[3] / SIZE, study.window[2] / SIZE
        frames = {"ED": diastole, "ES": (diastole + FRAMES // 2) % FRAMES}
        firsts.add(min(frames, key=frames.__getitem__))
        for phase, number in frames.items():
            job = found[clip_name(patient), phase]
            assert job.item["frame"] == number, "the phase follows from the area, not from the order"
            frame, expected = job.read(), draw_window(study, hearts[number], number, spacing)
            assert dice(frame.label == 1, expected.label == 1) >= 0.98, job.id
            assert np.abs(frame.image.astype(int) - expected.image).mean() < 2, "MJPG loses a little"
            assert frame.spacing is None
            assert frame.motion is not None
            assert frame.motion.shape == (SIZE, SIZE)
    assert firsts == {"ED", "ES"}, "the test needs clips that begin in either phase"


def test_unity_comes_back(tmp_path: Path):
    write_unity(tmp_path, PATIENTS)
    jobs = unity(tmp_path).jobs
    assert len(jobs) == 2 * PATIENTS
    seen = set()
    for patient in range(PATIENTS):
        mine = sorted(
            (job for job in jobs if job.item["patient"] == video_name(patient)), key=lambda j: j.item["frame"]
        )
        spacing = (examine("unity_like", patient).window[3] / ROWS,) * 2
        for job, phase in zip(mine, PHASES, strict=True):
            frame, expected = job.read(), drawn("unity_like", patient, phase, spacing)
            assert frame.spacing == pytest.approx(spacing)
            assert job.item["view"] == "4CH"
            missing = job.item.get("unlabelled", [])
            for value, name in enumerate(["lv_cavity", "lv_myocardium", "left_atrium"], start=1):
                if name in missing:
                    assert not (frame.label == value).any()
                else:
                    assert dice(frame.label == value, expected.label == value) >= 0.98, (job.id, name)
                    seen.add(name)
            inside = expected.sector
            assert np.abs(frame.image[inside].astype(int) - expected.image[inside]).mean() < 20, "but for overlays"
    assert seen == {"lv_cavity", "lv_myocardium", "left_atrium"}
