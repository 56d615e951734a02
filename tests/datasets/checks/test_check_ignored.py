"""Masks whose every structure is stated as ignored: 0 and 255, say, where 255 is the structure."""

from dataclasses import replace
from pathlib import Path

from clinic import job, source

from common.datasets.checks.check import check
from common.datasets.prepared.preparation import prepare


def test_a_mask_whose_every_structure_is_stated_as_ignored_is_found(tmp_path: Path):
    sets = {"clinic": {0: ["background"], 1: ["lv_cavity"], 2: ["ignore"]}}
    prepare(replace(source(job(0), job(1)), label_sets=sets), tmp_path / "a", 32, workers=1)
    found = check([tmp_path / "a"]).by_kind
    texts = [finding.text for finding in found["nothing but ignored pixels"]]
    said = "has no structure; its values [2] are stated as 'ignore'"
    assert texts == [f"a/patient{number}_4CH_ED {said}" for number in (0, 1)]
    assert "empty annotation" not in found
