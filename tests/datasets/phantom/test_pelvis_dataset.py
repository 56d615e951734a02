"""The drawn pelves as a prepared folder of volumes."""

from pathlib import Path

import numpy as np
import pytest

from common.datasets import read_datalist, stated_label_sets, stated_normalisation, stated_spacing
from common.datasets.phantom.pelvis import draw_pelvis
from common.datasets.phantom.pelvis_dataset import WINDOW, pelves
from common.datasets.prepared.layout import read_provenance
from common.datasets.volumes.form import prepare_volumes
from common.datasets.volumes.layout import read_affine, read_volume_pair

CLASSES = ["background", "bladder", "rectum", "uterus", "bones", "left_femoral_head", "right_femoral_head"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "pelvis"
    prepare_volumes(pelves(10, spacing=12.0), out, (12.0,) * 3, WINDOW, workers=1)
    return out


def test_every_fold_has_both_domains_and_every_structure(prepared: Path):
    items = read_datalist(prepared)
    assert len(items) == 20
    assert {(item["dataset"], item["fold"]) for item in items} == {
        (f"pelvis_{position}", fold) for position in ("supine", "prone") for fold in ("training", "validation", "test")
    }
    assert set(stated_label_sets(prepared, CLASSES)) == {"pelvis_supine", "pelvis_prone"}


def test_volumes_are_as_drawn_within_the_window_and_the_place_between_the_femoral_heads_is_the_origin(prepared: Path):
    (item,) = [item for item in read_datalist(prepared) if item["patient"] == "pelvis_prone_0003"]
    image, label = read_volume_pair(item)
    drawn = draw_pelvis("pelvis_prone", 3, 0, 12.0)
    np.testing.assert_array_equal(label, drawn.label)
    np.testing.assert_array_equal(image, drawn.image.clip(*WINDOW))
    places = np.argwhere(np.isin(label, (5, 6))) @ np.diag([12.0] * 3) + read_affine(item["image"])[:3, 3]
    assert np.abs(places.mean(axis=0)).max() < 40  # mm; patients differ in their places


def test_what_a_network_has_to_know_is_stated(prepared: Path):
    assert stated_spacing(prepared) == [12.0, 12.0, 12.0]
    pooled = read_provenance(prepared)["intensity"]
    assert stated_normalisation(prepared) == {"window": [-200, 200], **pooled}
    inside = [
        voxels[(voxels > -200) & (voxels < 200)]
        for voxels in (read_volume_pair(item)[0] for item in read_datalist(prepared, "training"))
    ]
    assert pooled["mean"] == pytest.approx(np.concatenate(inside).mean(), abs=1e-3)
    assert pooled["sd"] == pytest.approx(np.concatenate(inside).std(), abs=1e-3)


def test_pictures_and_folders_that_differ_are_refused(prepared: Path, tmp_path: Path):
    prepare_volumes(pelves(10, spacing=12.0, seed=1), tmp_path / "other", (12.0,) * 3, (-100, 200), workers=1)
    with pytest.raises(ValueError, match=r"the folders differ in their window \(.*; prepare them alike"):
        stated_normalisation([prepared, tmp_path / "other"])
    with pytest.raises(ValueError, match="at least 10 are needed"):
        pelves(9)
