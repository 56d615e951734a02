"""The phantom as a dataset: which patients train, and that those of the external domain never do."""

from collections import Counter

from common.datasets.phantom.dataset import phantom
from common.datasets.phantom.study import DOMAINS


def test_an_external_domain_is_only_tested():
    jobs = phantom(32, patients=20).jobs
    folds = {name: Counter(job.item["fold"] for job in jobs if job.item["dataset"] == name) for name in DOMAINS}
    assert folds.pop("clinic_like") == {"test": 40}
    assert len(folds) == 3
    assert all(counts == {"training": 28, "validation": 4, "test": 8} for counts in folds.values())


def test_every_domain_annotates_every_structure():
    source = phantom(32, patients=10)
    assert list(source.label_sets) == list(DOMAINS)
    assert all(len(sets) == 4 and all(len(names) == 1 for names in sets) for sets in source.label_sets.values())
    frame = next(job for job in source.jobs if job.item["dataset"] == "clinic_like").read()
    assert set(frame.label.flat) == {0, 1, 2, 3}
