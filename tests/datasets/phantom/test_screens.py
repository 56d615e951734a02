"""Phantom screens: varied layouts, and an annotation that is the geometry itself."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.datasets.phantom.screens import SCANNERS, draw_layout, draw_screen, phantom_screens
from common.datasets.prepared.preparation import prepare
from common.datasets.sector.geometry import Sector


def test_the_annotation_is_the_sector_that_was_drawn():
    compared = 0
    for seed in range(40):
        layout = draw_layout(256, np.random.default_rng(seed))
        if layout.masked:
            continue
        rows, columns, end_row, end_column = layout.frame
        sector = Sector(
            layout.apex,
            -layout.half_angle,
            layout.half_angle,
            layout.inner / layout.scale,
            layout.depth / layout.scale,
            (np.ceil(rows), np.ceil(columns), np.ceil(end_row) - 1, np.ceil(end_column) - 1),
        )
        # another route: the sector's outline as a polygon
        assert (sector.mask(layout.shape) != layout.sector).mean() < 0.002
        compared += 1
    assert compared > 30


def test_layouts_are_varied():
    layouts = [draw_layout(100, np.random.default_rng(seed)) for seed in range(100)]
    shares = np.array([layout.sector.mean() for layout in layouts])
    assert 0.1 < shares.min() < 0.3
    assert 0.6 < shares.max() < 0.9
    angles = [2 * layout.half_angle for layout in layouts]
    assert 40 <= min(angles) < 50
    assert 110 < max(angles) <= 120
    cut = np.array([layout.sector[:, [0, -1]].any() for layout in layouts])
    assert 0.1 < cut.mean() < 0.7, "the screen cuts the sector at a side now and then"
    assert 0.2 < np.mean([layout.inner > 0 for layout in layouts]) < 0.6
    assert 0.03 < np.mean([layout.masked for layout in layouts]) < 0.25
    assert 0.05 < np.mean([layout.frame[2] < layout.shape[0] for layout in layouts]) < 0.4
    assert len({layout.shape for layout in layouts}) > 5


def test_a_masked_export_is_black_outside_and_the_sector_is_not():
    number = next(
        n
        for n in range(100)
        if draw_layout(256, np.random.default_rng(np.random.SeedSequence([0, n]).spawn(4)[0])).masked
    )
    frame = draw_screen("camus_like", number, rows=256)
    inside = frame.label == 1
    assert frame.image[~inside].max() == 0
    assert np.median(frame.image[inside]) > 10


def test_a_clip_moves_in_the_sector_and_text_stands_still():
    frame = draw_screen("unity_like", number=3, rows=256, frames=4)
    assert frame.motion is not None
    inside = frame.label == 1
    still = draw_screen("unity_like", number=3, rows=256)
    assert still.motion is None
    assert (still.label == frame.label).all()
    assert np.median(frame.motion[inside]) > 10 * np.median(frame.motion[~inside]) + 1


def test_a_screen_is_drawn_again_in_any_process():
    job = phantom_screens(128, patients=10, seed=4).jobs[1]
    again = pickle.loads(pickle.dumps(job))
    first, second = job.read(), again.read()
    assert (first.image == second.image).all()
    other = phantom_screens(128, patients=10, seed=5).jobs[1].read()
    assert first.image.shape != other.image.shape or (first.image != other.image).any()


def test_screens_are_of_the_scanners_that_train():
    assert SCANNERS == ("camus_like", "unity_like", "echonet_like")
    jobs = phantom_screens(128, patients=12).jobs
    assert [job.read.args[0] for job in jobs] == [*SCANNERS] * 4


def test_of_ten_screens_seven_train_one_validates_two_test():
    source = phantom_screens(128, patients=20)
    assert Counter(job.item["fold"] for job in source.jobs) == {"training": 14, "validation": 2, "test": 4}
    assert len({job.item["patient"] for job in source.jobs}) == 20
    assert source.label_sets == {"screens": [["background"], ["sector"]]}
    with pytest.raises(ValueError, match=r"9 phantom screens leave a fold empty; at least 10 are needed"):
        phantom_screens(128, patients=9)


@pytest.mark.slow
def test_screens_are_prepared_as_any_dataset(tmp_path: Path):
    items = prepare(phantom_screens(64, patients=10), tmp_path / "screens", 64, workers=1)
    assert len(items) == 10
    for item in items:
        label = np.asarray(Image.open(tmp_path / "screens" / item["label"]))
        assert label.shape == (64, 64)
        assert np.unique(label).tolist() == [0, 1]
