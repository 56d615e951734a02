"""Annotation values with gaps, ignored pixels and other modalities are checked as others are."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from common.datasets.checks.check import Report, check
from common.datasets.prepared.preparation import prepare
from common.datasets.prepared.source import Frame, Job, Source

SIZE = 64  # pixels a side
LUMEN, IGNORED = 128, 255
FOLDS = ("training", "validation", "test")


def checked(
    out: Path,
    changed: np.ndarray,
    value: int,
    meaning: dict[int, str],
    spacing: tuple[float, float] = (1.5, 1.5),
    **facts: str,
) -> Report:
    """Check three patients with a disc each; in the first, pixels have another value."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    jobs = []
    for number, fold in enumerate(FOLDS):
        rng = np.random.default_rng(number)
        tissue = 128 + 300 * gaussian_filter(rng.normal(size=(SIZE, SIZE)), 2)
        label = np.where((rows - 32) ** 2 + (columns - 32) ** 2 < (14 + number) ** 2, LUMEN, 0).astype(np.uint8)
        if number == 0:
            label[changed] = value
        frame = Frame(tissue.clip(1, 255).astype(np.uint8), label, spacing)
        item = {"dataset": "clinic", "patient": f"p{number}", "view": None, "phase": None, "fold": fold}
        jobs.append(Job(f"p{number}", item, lambda frame=frame: frame))
    prepare(Source("clinic", jobs, "none", "nobody", {"clinic": meaning}, facts=facts), out, SIZE, workers=1)
    return check([out])


def square(middle: int) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.bool_)
    mask[middle - 3 : middle + 3, middle - 3 : middle + 3] = True
    return mask


MEANING = {0: "background", LUMEN: "lv_cavity", IGNORED: "ignore"}


def test_ignored_pixels_give_no_findings(tmp_path: Path):
    for number, middle in enumerate((5, 32)):  # in the background and in the cavity
        report = checked(tmp_path / str(number), square(middle), IGNORED, MEANING)
        assert [finding.text for finding in report.findings] == []
        assert report.classes == ["lv_cavity"]
        assert all(row.annotating == {"lv_cavity": row.images} for row in report.coverage)


def test_background_in_the_cavity_is_a_hole(tmp_path: Path):
    report = checked(tmp_path / "a", square(32), 0, MEANING)
    assert list(report.by_kind) == ["hole in the LV cavity"]


def test_a_value_between_known_ones_is_an_error(tmp_path: Path):
    report = checked(tmp_path / "a", square(5), 127, MEANING)
    (finding,) = report.findings
    assert finding.severity == "error"
    assert finding.text == "a/p0 has the values [127]; the label sets name [0, 128, 255]"


@pytest.mark.parametrize(("facts", "found"), [({}, 3), ({"modality": "US"}, 3), ({"modality": "OT"}, 0)])
def test_the_sides_of_an_image_are_limited_for_ultrasound_alone(tmp_path: Path, facts: dict[str, str], found: int):
    vessel = {0: "background", LUMEN: "vessel", IGNORED: "ignore"}
    report = checked(tmp_path / "a", square(5), IGNORED, vessel, spacing=(0.5, 0.5), **facts)
    assert len(report.by_kind.get("implausible spacing", [])) == found
