"""The drawn pelvis is plausible, lies in RAS with left on the patient's left, and differs between scanners."""

import numpy as np
import pytest
from scipy.ndimage import label as connected

from common.datasets.phantom.pelvis import DOMAINS, PELVIS_LABELS, DrawnPelvis, draw_pelvis

NAMES = [names[0] for names in PELVIS_LABELS]
# ml: ranges of adults; the bones are those of the field of view
VOLUMES = {
    "bladder": (40, 260),
    "rectum": (50, 160),
    "uterus": (40, 150),
    "bones": (700, 1300),
    "left_femoral_head": (30, 75),
    "right_femoral_head": (30, 75),
}
BOTH = pytest.mark.parametrize("domain", list(DOMAINS))


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[DrawnPelvis]]:
    return {domain: [draw_pelvis(domain, patient) for patient in range(6)] for domain in DOMAINS}


def mask(pelvis: DrawnPelvis, name: str) -> np.ndarray:
    return pelvis.label == NAMES.index(name)


def centre(pelvis: DrawnPelvis, name: str) -> np.ndarray:
    """Return the centre of a structure, mm from the first voxel, (right, front, head)."""
    return np.argwhere(mask(pelvis, name)).mean(axis=0) * pelvis.spacing


@BOTH
def test_every_structure_has_the_volume_of_an_adults(drawn: dict[str, list[DrawnPelvis]], domain: str):
    for pelvis in drawn[domain]:
        assert (pelvis.image.dtype, pelvis.label.dtype) == (np.int16, np.uint8)
        for name, (least, most) in VOLUMES.items():
            assert least < mask(pelvis, name).sum() * np.prod(pelvis.spacing) / 1000 < most, name


@BOTH
def test_organs_are_one_piece_and_the_bones_five(drawn: dict[str, list[DrawnPelvis]], domain: str):
    for pelvis in drawn[domain]:
        for name in VOLUMES:
            pieces = connected(mask(pelvis, name), np.ones((3, 3, 3)))[1]
            assert pieces <= 5 if name == "bones" else pieces == 1, name  # sacrum, hip bones, femora


@BOTH
def test_left_is_on_the_patients_left_in_ras(drawn: dict[str, list[DrawnPelvis]], domain: str):
    for pelvis in drawn[domain]:
        left, right = centre(pelvis, "left_femoral_head"), centre(pelvis, "right_femoral_head")
        assert left[0] + 100 < right[0], "x points to the right"
        assert np.abs(left - right)[1:].max() < 20


@BOTH
def test_organs_lie_in_their_order_from_front_to_back(drawn: dict[str, list[DrawnPelvis]], domain: str):
    for pelvis in drawn[domain]:
        bladder, uterus, rectum = (centre(pelvis, name) for name in ("bladder", "uterus", "rectum"))
        assert bladder[1] > uterus[1] > rectum[1]
        assert bladder[2] < uterus[2], "the uterus rises above the bladder"
        middle = pelvis.label.shape[0] // 2
        at = round(rectum[2] / pelvis.spacing[2])
        bone = np.nonzero(pelvis.label[middle, :, at] == NAMES.index("bones"))[0]
        assert bone.size
        assert bone.max() < rectum[1] / pelvis.spacing[1], "the sacrum lies behind the rectum"
        assert not any(pelvis.label.take(end, axis).any() for axis in (0, 1) for end in (0, -1)), "all in the field"


def test_tissues_have_the_hu_of_ct(drawn: dict[str, list[DrawnPelvis]]):
    for pelvis in drawn["pelvis_supine"]:
        mean = {name: np.median(pelvis.image[mask(pelvis, name)]) for name in NAMES}
        assert -10 < mean["bladder"] < 25
        assert 45 < mean["uterus"] < 100
        assert mean["bones"] > 200
        assert mean["left_femoral_head"] > 200
        assert -150 < np.percentile(pelvis.image[pelvis.image > -200], 20) < -60, "fat"
        assert np.median(pelvis.image[0]) < -900, "air"


@BOTH
def test_the_table_and_gas_say_how_the_patient_lies(drawn: dict[str, list[DrawnPelvis]], domain: str):
    prone = DOMAINS[domain].prone
    sides = []
    for pelvis in drawn[domain]:
        halves = np.array_split(pelvis.image.mean(axis=(0, 2)), 8)
        assert (halves[-1].mean() > halves[0].mean()) == prone, "table in front"
        gas = mask(pelvis, "rectum") & (pelvis.image < -400)
        if gas.any():
            around = mask(pelvis, "rectum") & gas.any(axis=(0, 1))
            sides.append(np.argwhere(gas)[:, 1].mean() - np.argwhere(around)[:, 1].mean())
    assert len(sides) >= 2
    assert (np.mean(sides) < 0) == prone, "gas rises"


def test_the_second_scanner_is_noisier_and_shows_arms(drawn: dict[str, list[DrawnPelvis]]):
    spread = {
        domain: np.mean([np.ptp(np.percentile(p.image[mask(p, "bladder")], [30, 70])) for p in drawn[domain]])
        for domain in DOMAINS
    }
    assert spread["pelvis_prone"] > 1.3 * spread["pelvis_supine"]
    dense = {domain: min((p.image[:12] > 300).sum() for p in drawn[domain]) for domain in DOMAINS}
    assert dense["pelvis_prone"] > 20
    assert max((p.image[:12] > 300).sum() for p in drawn["pelvis_supine"]) == 0
    assert not any(p.label[:12].any() for p in drawn["pelvis_prone"]), "bones of the arms are no class"


def test_patients_domains_and_seeds_differ_and_repeat():
    first = draw_pelvis("pelvis_supine", 3, spacing=8.0)
    np.testing.assert_array_equal(first.image, draw_pelvis("pelvis_supine", 3, spacing=8.0).image)
    for other in (("pelvis_supine", 4, 0), ("pelvis_prone", 3, 0), ("pelvis_supine", 3, 1)):
        assert (draw_pelvis(*other, spacing=8.0).label != first.label).any()


@BOTH
def test_the_anatomy_does_not_depend_on_the_spacing(domain: str):
    fine, coarse = draw_pelvis(domain, 1, spacing=3.0), draw_pelvis(domain, 1, spacing=6.0)
    for name in ("bladder", "uterus", "left_femoral_head"):
        np.testing.assert_allclose(centre(fine, name), centre(coarse, name), atol=3)
        assert mask(fine, name).sum() / 8 == pytest.approx(mask(coarse, name).sum(), rel=0.05)


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match=r"domain among \['pelvis_supine', 'pelvis_prone'\], got 'pelvis'"):
        draw_pelvis("pelvis", 0)
    with pytest.raises(ValueError, match=r"spacing from 1 to 12 mm per voxel, got 0\.5"):
        draw_pelvis("pelvis_supine", 0, spacing=0.5)
