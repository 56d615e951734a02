"""What data meant in the training of weights is not changed, and what was hidden from it is not used, in silence."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from clinic import job, source
from monai.inferers import SimpleInferer
from torch import nn

from common.datasets import (
    ResidentDataset,
    check_meaning,
    labels_of,
    read_datalist,
    seen_images,
    select,
    stated_label_sets,
    trained_meaning,
)
from common.datasets.prepared.layout import read_provenance
from common.datasets.prepared.preparation import prepare
from common.datasets.prepared.pseudo_labels import write_pseudo_labels

CLASSES = ["background", "lv_cavity", "lv_myocardium"]
SETS = {"clinic": [[name] for name in CLASSES]}
HIDDEN = {"clinic": ["lv_myocardium"]}


class Network(nn.Module):
    """Has a weight, whose device counts, and finds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([1 + self.weight - image, image, image], dim=1)


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """Eight training patients, with the structures of `CLASSES`."""
    prepare(source(*map(job, range(8))), tmp_path / "clinic", size=32, workers=1)
    return tmp_path / "clinic"


def items(folder: Path, withheld: dict[str, list[str]] | None = None, share: float = 1.0, **others: Any) -> list[Any]:
    """Return the training items of a run."""
    classes, renamed = others.pop("classes", CLASSES), others.pop("renamed", None)
    data = read_datalist(folder, "training", renamed)
    return select(data, stated_label_sets(folder, classes, renamed), withheld=withheld, share=share, **others)


def meaning(data: list[Any], renamed: dict[str, str] | None = None, initial: Path | None = None) -> dict[str, Any]:
    return trained_meaning(data, SETS, renamed, initial)


def weights(path: Path, data: list[Any], renamed: dict[str, str] | None = None, initial: Path | None = None) -> Path:
    """Write weights and the record of a training."""
    record = {"classes": CLASSES, "seen": seen_images(data, [], initial), **meaning(data, renamed, initial)}
    path.touch()
    path.with_suffix(".json").write_text(json.dumps(record))
    return path


def complete(
    folder: Path, teacher: Path, data: list[Any], out: Path, classes: list[str] = CLASSES, **others: Any
) -> Path:
    """Write the pseudo-labels of `teacher`."""
    labels = labels_of(classes, stated_label_sets(folder, classes, others.get("renamed")), data, teacher)
    dataset = ResidentDataset(data, labels, image_size=32)
    write_pseudo_labels(dataset, Network(), SimpleInferer(), teacher, "c0ffee", folder, out, **others)
    return out


def reveals(teacher: Path, folder: Path, data: list[Any], *stated: str, **withheld: Any) -> None:
    """Check pseudo-labels of `teacher`."""
    check_meaning(teacher, data, None, stated, label_sets=stated_label_sets(folder, CLASSES), **withheld)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_hidden_annotation_is_not_used_by_the_teacher_or_its_student(
    clinic: Path, tmp_path: Path, share: float, caplog: pytest.LogCaptureFixture
):
    """A student of completed images knows no more than its teacher, and so does a training from its weights."""
    hidden = items(clinic, HIDDEN, share)
    teacher = weights(tmp_path / "teacher.pt", hidden)
    done = complete(clinic, teacher, hidden, tmp_path / "done")
    student = weights(tmp_path / "student.pt", items(done, {}))
    tuned = weights(tmp_path / "tuned.pt", items(done, {}), initial=student)
    count = round(8 * share)
    message = rf"lv_myocardium of {count} patients of 'clinic', .*\. Repeat that with --withheld \"{{clinic: \[lv_my"
    for one in (teacher, student, tuned):
        with pytest.raises(ValueError, match=message):
            reveals(one, clinic, items(clinic))
        reveals(one, clinic, hidden)
        reveals(one, clinic, items(clinic, HIDDEN))
        check_meaning(one, items(clinic), None, [])  # an evaluation, or a training from these weights
        assert not caplog.messages
        reveals(one, clinic, items(clinic), "withheld")
        assert caplog.messages[0].endswith(f"was hidden from {one}")
        caplog.clear()


def test_fewer_images_do_not_reveal_patients_beyond_a_share(clinic: Path, tmp_path: Path):
    teacher = weights(tmp_path / "teacher.pt", items(clinic, HIDDEN, 0.5))
    few = items(clinic, HIDDEN, 0.5, images={"clinic": 4})
    with pytest.raises(ValueError, match=r"of 2 patients of 'clinic'.*Repeat its --withheld_share and --images, or"):
        reveals(teacher, clinic, few, "withheld", "withheld_share", withheld=HIDDEN)
    reveals(teacher, clinic, items(clinic, HIDDEN, 1.0, images={"clinic": 4}), withheld=HIDDEN)


def test_what_a_later_training_shows_is_no_longer_hidden(clinic: Path, tmp_path: Path):
    blind = weights(tmp_path / "blind.pt", items(clinic, HIDDEN))
    kept = json.loads(blind.with_suffix(".json").read_text())["hidden"]
    assert meaning(items(clinic), None, blind)["hidden"] == {}
    assert 0 < len(meaning(items(clinic, HIDDEN, 0.5), None, blind)["hidden"]["lv_myocardium"]) < len(*kept.values())
    prepare(source(*map(job, range(8, 10))), tmp_path / "other", size=32, workers=1)
    assert meaning(items(tmp_path / "other"), None, blind)["hidden"] == kept
    # the same images, of which another preparation does not annotate the class: nothing was shown
    for unlike in ({"clinic": [["background", "lv_myocardium"], ["lv_cavity"]]}, {"clinic": ["background", "ignore"]}):
        assert trained_meaning(items(clinic), unlike, None, blind)["hidden"] == kept
    without = [{**item, "unlabelled": ["lv_myocardium"]} for item in items(clinic)]
    assert meaning(without, None, blind)["hidden"] == kept
    assert meaning(items(clinic, HIDDEN, 0.0))["hidden"] == {}


def test_the_remedy_repeats_what_the_run_hides_already(clinic: Path, tmp_path: Path):
    teacher = weights(tmp_path / "teacher.pt", items(clinic, HIDDEN))
    hides = {"clinic": ["lv_cavity"], "elsewhere": ["lv_cavity"]}
    with pytest.raises(ValueError, match=r'--withheld "{clinic: \[lv_cavity, lv_myocardium\]}", or'):
        reveals(teacher, clinic, items(clinic, {"clinic": ["lv_cavity"]}), withheld=hides)


def test_a_hidden_class_is_known_by_its_new_name(clinic: Path, tmp_path: Path):
    hidden = items(clinic, HIDDEN)
    done = complete(clinic, weights(tmp_path / "teacher.pt", hidden), hidden, tmp_path / "done")
    renamed = {"lv_myocardium": "wall"}
    data = items(done, {}, classes=["background", "lv_cavity", "wall"], renamed=renamed)
    assert list(meaning(data, renamed)["hidden"]) == ["wall"]


def test_completed_images_are_not_completed_again(clinic: Path, tmp_path: Path):
    hidden = items(clinic, HIDDEN)
    teacher = weights(tmp_path / "teacher.pt", hidden)
    done = complete(clinic, teacher, hidden, tmp_path / "done")
    reveals(teacher, done, items(done))
    with pytest.raises(ValueError, match=rf"completed the annotation of {done} already; complete {clinic} instead\.$"):
        complete(done, teacher, items(done), tmp_path / "again")


@pytest.mark.parametrize(
    ("renamed", "message"),
    [
        (
            {},
            r'not as lv_myocardium\. Repeat that with --renamed "{lv_myocardium: lv_cavity}", or state with --renamed',
        ),
        (None, "lv_myocardium counted as lv_cavity in .*one.pt, not as lv_myocardium"),
        ({"lv_myocardium": "background"}, "lv_myocardium counted as lv_cavity in .*one.pt, not as background"),
        ({"lv_myocardium": "lv_cavity", "elsewhere": "ignore"}, None),
    ],
)
def test_structures_count_as_in_the_training_unless_the_run_states_it(
    clinic: Path, tmp_path: Path, renamed: dict[str, str] | None, message: str | None, caplog: pytest.LogCaptureFixture
):
    then = {"lv_myocardium": "lv_cavity", "gone": "lv_cavity"}
    data = read_datalist(clinic)
    one = weights(tmp_path / "one.pt", data, then)
    if message is None:
        check_meaning(one, data, renamed, [])
    else:
        with pytest.raises(ValueError, match=message):
            check_meaning(one, data, renamed, ["withheld"])
        assert not caplog.messages
        check_meaning(one, data, renamed, ["renamed"])
        assert [f"counted as lv_cavity in {one}, not as " in said for said in caplog.messages] == [True]
    check_meaning(None, data, renamed, [])
    one.with_suffix(".json").write_text("{}")  # of an earlier version
    check_meaning(one, data, renamed, [])


def test_a_teacher_and_other_data_agree_on_what_structures_count_as(clinic: Path, tmp_path: Path):
    merged, classes = {"lv_myocardium": "lv_cavity"}, CLASSES[:2]
    data = items(clinic, classes=classes, renamed=merged)
    teacher = weights(tmp_path / "teacher.pt", data, merged)
    done = complete(clinic, teacher, data, tmp_path / "done", classes, renamed=merged)
    prepare(source(*map(job, range(8, 10))), tmp_path / "other", size=32, workers=1)
    both = [*read_datalist(done), *read_datalist(tmp_path / "other")]
    check_meaning(None, both, merged, [])
    message = rf'lv_myocardium counted as lv_cavity in {done}, not as lv_myocardium\. .*"{{lv_myocardium: lv_cavity}}"'
    with pytest.raises(ValueError, match=message):
        check_meaning(None, both, {}, [])
    assert meaning(both, {}, teacher)["renamed"] == {}, "stated otherwise"
    # one remedy for all faults, which keeps what this run renames already
    other = weights(tmp_path / "other.pt", items(clinic), {"lv_myocardium": "lv_cavity", "lv_cavity": "ventricle"})
    with pytest.raises(ValueError, match=r'--renamed "{lv_cavity: ventricle, lv_myocardium: lv_cavity}", or state'):
        check_meaning(other, both, {"lv_cavity": "x"}, [])
    # carried on, through another name
    assert meaning(read_datalist(done), {})["renamed"] == merged
    again = {"lv_cavity": "ventricle"}
    assert meaning(read_datalist(done), again)["renamed"] == {"lv_myocardium": "ventricle", **again}
    check_meaning(None, read_datalist(done), again, [])
    # and by a teacher whose data do not name the structure
    two = items(tmp_path / "other", {}, classes=classes, renamed=merged)
    more = complete(tmp_path / "other", teacher, two, tmp_path / "more", classes, renamed=merged)
    assert read_provenance(more)["meaning"] == {"renamed": merged, "hidden": {}}
