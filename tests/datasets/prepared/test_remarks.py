"""What is said aloud before a training or an evaluation."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from clinic import job, ramp, source

from common.datasets import coverage_table, labels_of, read_datalist, stated_label_sets
from common.datasets.prepared.preparation import prepare
from common.datasets.prepared.source import Frame, Job
from common.label_sets import LabelSets

CLASSES = ["background", "lv_cavity", "lv_myocardium"]


def of(dataset: str, one: Job, **facts: object) -> Job:
    return replace(one, id=f"{dataset}_{one.id}", item={**one.item, "dataset": dataset, **facts})


def remarks(*folders: Path, image_size: int = 32) -> list[str]:
    """Return what a training on folders says below its table."""
    stated = stated_label_sets(folders, CLASSES)
    data = read_datalist(folders, "training")
    labels = labels_of(CLASSES, stated, data)
    table = coverage_table(labels, data, stated, read_datalist(folders, "validation"), image_size)
    return table.splitlines()[1 + len(labels.label_sets) :]


@pytest.fixture
def north(tmp_path: Path) -> Path:
    folds = ("training", "training", "validation", "test")
    prepare(source(*(job(number, fold) for number, fold in enumerate(folds))), tmp_path / "north", 32, workers=1)
    return tmp_path / "north"


def test_whole_data_need_no_remark(north: Path):
    assert remarks(north) == []


def test_a_class_that_nothing_validates_and_a_dataset_without_a_fold_are_named(north: Path, tmp_path: Path):
    hidden = of("south", job(9, "validation"), unlabelled=["lv_cavity"])
    both = {"north": source(job(1)).label_sets["clinic"], "south": source(job(1)).label_sets["clinic"]}
    jobs = [of("north", job(1)), of("south", job(2)), hidden]
    prepare(replace(source(*jobs), label_sets=both), tmp_path / "both", 32, workers=1)
    assert remarks(tmp_path / "both") == [
        "no validation image annotates lv_cavity: the best epoch is chosen without it",
        "no validation image: north",
        "no test image: north, south",
    ]
    assert remarks(north, tmp_path / "both")[:2] == ["no validation image: north", "no test image: north, south"]


def test_an_evaluation_names_datasets_without_an_image_in_the_fold():
    sets = LabelSets(CLASSES, {dataset: [[name] for name in CLASSES] for dataset in "abc"})
    table = coverage_table(sets, [{"dataset": "b", "fold": "test"}])
    assert table.splitlines()[-1] == "no image in the fold test: a, c"


def test_images_that_are_reduced_twice_are_named_with_the_remedy(north: Path, tmp_path: Path):
    assert remarks(north, image_size=16) == [
        "north: prepared with 32 x 32 pixels, resampled again to 16 x 16; "
        "prepare it with --size 16 or --size own to resample once"
    ]
    prepare(
        source(*(job(n, fold) for n, fold in enumerate(("training", "validation", "test")))), tmp_path / "own", None, 1
    )
    assert remarks(tmp_path / "own", image_size=16) == []


def test_copies_across_folds_and_folders_are_counted(north: Path, tmp_path: Path):
    """Other names, other annotation, another dataset: the same pixels count; blank images do not."""

    def relabelled() -> Frame:
        return replace(ramp(3), label=np.ones((40, 30), np.uint8))

    def blank() -> Frame:
        return replace(ramp(3), image=np.zeros((40, 30), np.uint8))

    jobs = [
        of("south", job(7, read=relabelled)),
        of("south", job(8, "validation", blank)),
        of("south", job(9, "test", blank)),
    ]
    sets = {"south": source(job(1)).label_sets["clinic"]}
    prepare(replace(source(*jobs), label_sets=sets), tmp_path / "south", 32, workers=1)
    (line,) = remarks(north, tmp_path / "south")
    assert line.startswith(
        "copies: 1 image in several folds or folders, such as north/patient3_4CH_ED (test) and south/sou"
    )
    assert line.endswith(f"datasets check {north} {tmp_path}/south lists them")


def doubles() -> Iterator[tuple[str, list[Job], int]]:
    jobs = [job(number, fold) for number, fold in enumerate(("training", "validation", "test"))]
    yield (
        "renamed",
        [replace(one, id=f"x{one.id}", item={**one.item, "patient": f"x{n}"}) for n, one in enumerate(jobs)],
        32,
    )
    yield "other folds", [job(number, fold) for number, fold in enumerate(("test", "training", "validation"))], 32
    yield "other size", jobs, 24
    yield "other dataset", [of("elsewhere", one) for one in jobs], 32


@pytest.mark.parametrize(("jobs", "size"), [pytest.param(*rest, id=name) for name, *rest in doubles()])
def test_the_same_images_are_never_taken_twice(tmp_path: Path, jobs: list[Job], size: int):
    first = [job(number, fold) for number, fold in enumerate(("training", "validation", "test"))]
    prepare(source(*first), tmp_path / "one", 32, workers=1)
    sets = dict.fromkeys(("clinic", "elsewhere"), source(job(1)).label_sets["clinic"])
    prepare(replace(source(*jobs), label_sets=sets), tmp_path / "two", size, workers=1)
    with pytest.raises(ValueError, match=r"one and .*two hold the same images, which would count twice; leave one of"):
        read_datalist([tmp_path / "one", tmp_path / "two"])


@pytest.mark.parametrize("fold", ["training", "test"])
def test_a_patient_who_is_in_two_folders_is_refused(tmp_path: Path, fold: str):
    """Two clinics may both have a patient 1, whose images must not be taken for those of one patient."""
    prepare(source(job(1), job(2, "test")), tmp_path / "one", 32, workers=1)
    later = replace(job(1, fold, partial(ramp, 9)), id="later")
    prepare(source(later), tmp_path / "two", 32, workers=1)
    message = r"patient 'patient1' of 'clinic' is in .* and in .*\. Give one of the datasets another name"
    with pytest.raises(ValueError, match=message):
        read_datalist([tmp_path / "one", tmp_path / "two"], "test")
