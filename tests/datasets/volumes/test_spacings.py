"""Volumes that keep their own spacing: a network is used within the range of its training."""

import logging
from pathlib import Path

import numpy as np
import pytest
from drawn_volumes import write_volume

from common.datasets import Intensity, WholeVolumes, stated_spacing
from common.datasets.volumes import spacings
from common.label_sets import LabelSets

RANGE = {"pixdim": [2.0, 3.0, 4.0], "min_pixdim": [0.9, 2.7, 3.6], "max_pixdim": [3.3, 3.3, 4.4]}
LABELS = LabelSets(["background", "one"], {"full": [["background"], ["one"]]})


@pytest.mark.parametrize(
    ("shared", "own", "expected"),
    [
        ([2.0, 2.0, 2.0], [[2.0, 2.0, 2.0]], [2.0, 2.0, 2.0]),
        (None, [[1.0, 3.0, 4.0], [2.0, 3.0, 4.0], [3.0, 3.0, 4.0]], RANGE),
        (None, [[1.0, 3.0, 4.0], None], None),
        (None, [], None),
    ],
)
def test_the_spacing_is_that_of_all_or_the_range_of_the_training_fold(
    monkeypatch: pytest.MonkeyPatch, shared: object, own: list[list[float] | None], expected: object
):
    monkeypatch.setattr(spacings, "shared_fact", lambda _, name: {"spacing": shared}[name])
    monkeypatch.setattr(
        spacings, "read_datalist", lambda _, fold: {"training": [{"spacing": one} for one in own]}[fold]
    )
    assert stated_spacing("folder") == expected


def test_evaluated_volumes_outside_the_range_are_a_warning_and_of_another_spacing_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    nothing = np.zeros((8, 8, 8))
    places = {"a": (2.0, 3.0, 4.0), "b": (1.0, 3.2, 3.7), "c": (1.0, 1.0, 3.7)}
    data = [
        write_volume(tmp_path, name, nothing, nothing.astype(np.uint8), "full", own) for name, own in places.items()
    ]
    intensity = Intensity([-100, 100], mean=0.0, sd=100.0)
    with caplog.at_level(logging.WARNING):
        WholeVolumes(data[:2], LABELS, intensity, RANGE)
        assert not caplog.records
        WholeVolumes(data, LABELS, intensity, RANGE)
    (record,) = caplog.records
    assert record.getMessage().startswith("1 of 3 volumes have voxels of sizes that the network was not trained at")
    assert record.getMessage().endswith("prepare them with --spacing 2 3 4")
    WholeVolumes(data[:1], LABELS, intensity, [2, 3, 4])
    with pytest.raises(ValueError, match=r"the network was trained at \[2, 3, 4\]; prepare them with --spacing 2 3 4"):
        WholeVolumes(data, LABELS, intensity, [2, 3, 4])
