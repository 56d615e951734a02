"""Drawn organs: every name gets a place, each site annotates one organ, and its test fold all."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label as connected

from common.datasets.phantom.organs import check_classes, draw_organs, organs
from common.datasets.prepared.preparation import prepare

CLASSES = ["liver", "spleen", "kidney"]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [32, 128])
def test_every_organ_is_one_piece_inside_the_body(count: int, size: int):
    for patient in range(10):
        frame = draw_organs(count, site=patient % 3, patient=patient, size=size)
        assert set(frame.label.flat) == set(range(count + 1))
        for value in range(1, count + 1):
            assert connected(frame.label == value, np.ones((3, 3)))[1] == 1
        edge = np.ones((size, size), bool)
        edge[1:-1, 1:-1] = False
        assert not frame.label[edge].any()
        assert frame.image.dtype == frame.label.dtype == np.uint8


def test_patients_differ_within_a_site_and_sites_in_their_grey_scale():
    same = [draw_organs(3, 0, 4, 64) for _ in range(2)]
    np.testing.assert_array_equal(same[0].image, same[1].image)
    np.testing.assert_array_equal(same[0].label, same[1].label)
    assert (draw_organs(3, 0, 5, 64).label != same[0].label).any()
    assert (draw_organs(3, 0, 4, 64, seed=1).label != same[0].label).any()
    frames = [[draw_organs(3, site, patient, 64) for patient in range(10)] for site in range(3)]
    means = np.array([[frame.image[frame.label == 3].mean() for frame in site] for site in frames])
    body = np.array([[frame.image[frame.label == 0].mean() for frame in site] for site in frames])
    assert np.ptp((body / means).mean(axis=1)) > 3 * (body / means).std(axis=1).mean(), "contrast depends on the site"


def test_a_site_annotates_its_organ_and_the_test_fold_all(tmp_path: Path):
    source = organs(32, CLASSES, sites=4, patients=20)
    pickle.dumps(source.jobs[0].read)
    items = prepare(source, tmp_path / "out", 32, workers=1)
    assert len(items) == 4 * 20
    site_of = {f"site_{number + 1}": number % 3 for number in range(4)}
    for item in items:
        values = set(np.array(Image.open(tmp_path / "out" / item["label"])).flat)
        own = site_of[item["dataset"]]
        if item["fold"] == "test":
            assert values == {0, 1, 2, 3}
            assert "unlabelled" not in item
        else:
            assert values == {0, own + 1}
            assert item["unlabelled"] == [name for name in CLASSES if name != CLASSES[own]]
    folds = [item["fold"] for item in items if item["dataset"] == "site_4"]
    assert {fold: folds.count(fold) for fold in folds} == {"training": 14, "validation": 2, "test": 4}
    provenance = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert provenance["licence"].startswith("Apache-2.0: drawn by this project")


def test_one_organ_is_annotated_everywhere():
    source = organs(32, ["kidney"], patients=10)
    assert not any("unlabelled" in job.item for job in source.jobs)
    assert all(set(job.read().label.flat) == {0, 1} for job in source.jobs)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], r"expected class names .*, got \[\]"),
        (["Liver"], r"expected class names of lower-case words joined by underscores, got \['Liver'\]"),
        (["left kidney"], r"got \['left kidney'\]"),
        (["liver", "_x", "2nd"], r"got \['_x', '2nd'\]"),
        (["liver", "background"], r"\['background'\] cannot name a class; background is added by itself"),
        (["ignore", "no"], r"\['ignore', 'no'\] cannot name a class"),
        (["image", "lung", "view"], r"\['image', 'view'\] cannot name a class: tables of results have columns"),
        (["liver", "spleen", "liver"], r"expected each class once, got \['liver'\]"),
    ],
)
def test_names_that_cannot_be_classes_are_refused(classes: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        check_classes(classes)
    with pytest.raises(ValueError, match=message):
        organs(32, classes)


def test_sets_that_leave_a_class_or_a_fold_empty_are_refused():
    with pytest.raises(ValueError, match=r"2 sites annotate one class each; expected at least 3"):
        organs(32, CLASSES, sites=2)
    with pytest.raises(ValueError, match=r"9 phantom patients leave a fold empty; at least 10"):
        organs(32, CLASSES, patients=9)
