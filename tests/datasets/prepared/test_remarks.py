"""What is said aloud before a training or an evaluation."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from clinic import job, ramp, source

from common.datasets import check_unseen, coverage_table, labels_of, read_datalist, seen_images, stated_label_sets
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


@pytest.mark.parametrize(("name", "fold"), [("patient1", "training"), ("patient1", "test"), ("Patient1", "training")])
def test_a_patient_who_is_in_two_folders_is_refused(tmp_path: Path, name: str, fold: str):
    """Two clinics may both have a patient 1, whose images must not be taken for those of one patient."""
    prepare(source(job(1), job(2, "test")), tmp_path / "one", 32, workers=1)
    later = job(1, fold, partial(ramp, 9))
    later = replace(later, id="later", item={**later.item, "patient": name})
    prepare(source(later), tmp_path / "two", 32, workers=1)
    message = r"patient '[Pp]atient1' of 'clinic' is in .* and in .*\. Give one of the datasets another name"
    with pytest.raises(ValueError, match=message):
        read_datalist([tmp_path / "one", tmp_path / "two"], "test")


def test_a_patient_who_trained_weights_does_not_test_them_wherever_the_image_lies_now(north: Path, tmp_path: Path):
    record = {"seen": seen_images(read_datalist(north, "training"), read_datalist(north, "validation"))}
    assert [len(marks) for marks in record["seen"].values()] == [24, 12]
    for fold in ("training", "validation", "test"):
        check_unseen(record, read_datalist(north, fold), fold)
    moved = [of("moved", job(number, fold)) for number, fold in enumerate(("test", "training", "test", "test"))]
    prepare(replace(source(*moved), label_sets={"moved": source().label_sets["clinic"]}), tmp_path / "moved", 32)
    items = read_datalist(tmp_path / "moved", "test")
    with pytest.raises(ValueError, match=r"^1 of 3 test patients, such as patient0 of 'moved', trained .* \(--fold tr"):
        check_unseen(record, items, "test")
    check_unseen(record, items, "training")  # asked for
    check_unseen({}, items, "test")  # of weights that do not state it


def of_file(path: Path, number: int) -> Frame:
    assert path.is_file()
    return ramp(number)


@pytest.mark.parametrize("shared", [False, True])
def test_a_patient_who_trained_weights_is_recognised_by_the_files_at_another_size(tmp_path: Path, shared: bool):
    """A file that holds several patients identifies none."""
    folds, paths = ("training", "test", "validation"), [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        path.write_bytes(b"scan" if shared else path.name.encode())
    sets = source().label_sets["clinic"]
    for name, size, shift in (("small", 24, 0), ("large", 32, 1)):
        jobs = [
            of(name, job(number, folds[(number + shift) % 3], partial(of_file, path, number)))
            for number, path in enumerate(paths)
        ]
        prepare(replace(source(*jobs), label_sets={name: sets}), tmp_path / name, size, workers=1)
    small = {fold: read_datalist(tmp_path / "small", fold) for fold in ("training", "validation")}
    record = {"seen": seen_images(**small)}
    assert [len(marks) for marks in record["seen"].values()] == ([12, 12] if shared else [24, 24])
    items = read_datalist(tmp_path / "large", "test")
    if shared:
        check_unseen(record, items, "test")
        return
    with pytest.raises(ValueError, match=r"^1 of 1 test patients, such as patient0 of 'large', trained these weights"):
        check_unseen(record, items, "test")


def of_files(path: Path, annotation: Path, number: int) -> Frame:
    assert path.is_file()
    assert annotation.is_file()
    return ramp(number)


def test_a_patient_who_trained_weights_is_recognised_with_other_annotation_at_another_size(tmp_path: Path):
    for observer in ("first", "second"):
        (tmp_path / f"{observer}.png").write_text(observer)
    (tmp_path / "scan.png").write_bytes(b"scan")
    items = {}
    for observer, size, fold in (("first", 24, "training"), ("second", 32, "test")):
        read = partial(of_files, tmp_path / "scan.png", tmp_path / f"{observer}.png", 0)
        jobs = [of(observer, job(0, fold, read)), of(observer, job(1, "validation"))]
        prepare(replace(source(*jobs), label_sets={observer: source().label_sets["clinic"]}), tmp_path / observer, size)
        items[observer] = read_datalist(tmp_path / observer, fold)
    with pytest.raises(ValueError, match=r"^1 of 1 test patients, such as patient0 of 'second', trained these weights"):
        check_unseen({"seen": seen_images(items["first"], [])}, items["second"], "test")


def test_a_copy_of_what_is_training_now_is_said_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    jobs = [replace(job(0, fold), id=name) for fold, name in (("training", "a"), ("test", "b"))]
    jobs = [of("twice", replace(one, item={**one.item, "patient": one.id})) for one in jobs]
    prepare(replace(source(*jobs), label_sets={"twice": source().label_sets["clinic"]}), tmp_path / "twice", 32)
    record = {"seen": seen_images(read_datalist(tmp_path / "twice", "training"), [])}
    check_unseen(record, read_datalist(tmp_path / "twice", "test"), "test")
    (message,) = caplog.messages
    assert message.startswith("1 of 1 test patients, such as b of 'twice', trained these weights under another name")


def test_images_that_chose_weights_are_named_before_they_test_them(north: Path, caplog: pytest.LogCaptureFixture):
    record = {"seen": seen_images(read_datalist(north, "training"), read_datalist(north, "validation"))}
    check_unseen(record, [{**item, "fold": "test"} for item in read_datalist(north, "validation")], "test")
    assert caplog.messages == [
        "1 of 1 test patients, such as patient2 of 'clinic', chose the epoch of these weights, "
        "so their Dice is a little too high"
    ]


def test_fine_tuned_weights_have_seen_what_their_initial_weights_have(
    north: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    training, validation, test = (read_datalist(north, fold) for fold in ("training", "validation", "test"))
    (tmp_path / "model.pt").touch()
    initial = seen_images([*training[:1], *validation, *test], training[1:])
    (tmp_path / "model.json").write_text(json.dumps({"seen": initial}))
    seen = seen_images(training, validation, tmp_path / "model.pt")
    assert [len(marks) for marks in seen.values()] == [48, 24]
    assert [(message[:11], "will be refused" in message) for message in caplog.messages] == [
        ("1 of 1 vali", True),
        ("1 of 1 test", True),
    ]
    with pytest.raises(ValueError, match=r"^1 of 1 test patients, such as patient3 of 'clinic', trained these"):
        check_unseen({"seen": seen}, test, "test")
