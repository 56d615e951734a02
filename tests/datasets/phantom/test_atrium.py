"""The drawn atrium has the volume of its formula, lies in RAS, and looks different on the second scanner."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import label as connected

from common.datasets import read_datalist, stated_label_sets, stated_normalisation, stated_spacing
from common.datasets.phantom.atrium import ATRIUM_SCANNERS, AtriumShape, DrawnAtrium, draw_atrium
from common.datasets.phantom.atrium_dataset import atria
from common.datasets.volumes.form import prepare_volumes
from common.datasets.volumes.layout import read_affine, read_volume_pair

BOTH = pytest.mark.parametrize("scanner", list(ATRIUM_SCANNERS))


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[DrawnAtrium]]:
    return {
        scanner: [draw_atrium(scanner, patient, spacing=3.0) for patient in range(5)] for scanner in ATRIUM_SCANNERS
    }


def millilitres(shape: AtriumShape) -> float:
    """Return the volume: of the ellipsoid, and the integral of lines along each vein from its wall to the end."""
    total = 4 / 3 * np.pi * np.prod(shape.semi)
    for direction, radius, reach in zip(shape.directions, shape.radii, shape.reach, strict=True):
        across = np.linalg.svd(direction[None])[2][1:]
        r, angle = np.meshgrid((np.arange(40) + 0.5) * radius / 40, np.arange(60) * np.pi / 30, indexing="ij")
        start = (np.cos(angle)[..., None] * across[0] + np.sin(angle)[..., None] * across[1]) * r[..., None]
        a = np.square(direction / shape.semi).sum()
        b = (direction * start / np.square(shape.semi)).sum(axis=-1)
        c = np.square(start / shape.semi).sum(axis=-1) - 1
        leaves = (-b + np.sqrt(b * b - a * c)) / a  # where the line leaves the ellipsoid
        total += ((reach - leaves).clip(0) * r).sum() * (radius / 40) * (np.pi / 30)
    return total / 1000


@BOTH
def test_the_volume_is_that_of_the_formula_and_of_an_adults(drawn: dict[str, list[DrawnAtrium]], scanner: str):
    for atrium in drawn[scanner]:
        expected = millilitres(atrium.shape)
        assert atrium.label.sum() * 27 / 1000 == pytest.approx(expected, rel=0.015)
        assert 80 < expected < 180
        assert expected > 1.02 * 4 / 3 * np.pi * np.prod(atrium.shape.semi) / 1000, "the stumps count"


@BOTH
def test_it_is_one_piece_inside_the_field_with_two_veins_on_each_side(
    drawn: dict[str, list[DrawnAtrium]], scanner: str
):
    for atrium in drawn[scanner]:
        assert connected(atrium.label)[1] == 1
        assert not any(atrium.label.take(end, axis).any() for axis in range(3) for end in (0, -1))
        ends = atrium.shape.directions * atrium.shape.reach[:, None]
        assert [np.sign(x) for x in ends[:, 0]] == [1, 1, -1, -1]
        assert (ends[:, 1] < 0).all(), "veins come from behind"
        assert (np.abs(atrium.shape.directions @ atrium.shape.directions.T - np.eye(4)) < 0.9).all(), "apart"


def test_blood_is_bright_and_the_second_scanner_is_noisier(drawn: dict[str, list[DrawnAtrium]]):
    spread = {}
    for scanner, own in drawn.items():
        for atrium in own:
            assert atrium.image[atrium.label == 1].mean() > atrium.image[atrium.label == 0].mean() + 80
            assert (abs(atrium.image.mean()) < 1, atrium.image.std() == pytest.approx(100, abs=1)) == (True, True)
        spread[scanner] = np.mean([atrium.image[atrium.label == 1].std() for atrium in own])
    assert spread["atrium_b"] > 1.4 * spread["atrium_a"]


def test_patients_scanners_and_seeds_differ_and_repeat():
    first = draw_atrium("atrium_a", 3, spacing=6.0)
    np.testing.assert_array_equal(first.image, draw_atrium("atrium_a", 3, spacing=6.0).image)
    for other in (("atrium_a", 4, 0), ("atrium_b", 3, 0), ("atrium_a", 3, 1)):
        assert (draw_atrium(*other, spacing=6.0).label != first.label).any()


def test_the_anatomy_does_not_depend_on_the_spacing():
    fine, coarse = draw_atrium("atrium_b", 1, spacing=2.0), draw_atrium("atrium_b", 1, spacing=4.0)
    np.testing.assert_array_equal(fine.shape.reach, coarse.shape.reach)
    assert fine.label.sum() / 8 == pytest.approx(coarse.label.sum(), rel=0.03)


def test_the_prepared_atria_are_as_drawn_in_every_fold(tmp_path: Path):
    prepare_volumes(atria(10, spacing=8.0), tmp_path / "out", (8.0,) * 3, workers=1)
    items = read_datalist(tmp_path / "out")
    assert {(item["dataset"], item["fold"]) for item in items} == {
        (scanner, fold) for scanner in ATRIUM_SCANNERS for fold in ("training", "validation", "test")
    }
    (item,) = [item for item in items if item["patient"] == "atrium_b_0002"]
    image, label = read_volume_pair(item)
    expected = draw_atrium("atrium_b", 2, 0, 8.0)
    np.testing.assert_array_equal(label, expected.label)
    np.testing.assert_array_equal(image, expected.image)
    middle = np.argwhere(label).mean(axis=0) * 8 + read_affine(item["image"])[:3, 3]
    assert np.abs(middle).max() < 10  # mm; the origin is the middle of the field
    assert stated_spacing(tmp_path / "out") == [8.0] * 3
    assert stated_normalisation(tmp_path / "out")["standardised"]
    assert set(stated_label_sets(tmp_path / "out", ["background", "left_atrium"])) == set(ATRIUM_SCANNERS)


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match=r"scanner among \['atrium_a', 'atrium_b'\], got 'atrium'"):
        draw_atrium("atrium", 0)
    with pytest.raises(ValueError, match=r"spacing from 0\.5 to 8 mm per voxel, got 9"):
        draw_atrium("atrium_a", 0, spacing=9)
    with pytest.raises(ValueError, match="at least 10 are needed"):
        atria(9)
