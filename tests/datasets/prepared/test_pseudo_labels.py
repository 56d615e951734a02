"""A teacher fills in unannotated pixels and changes no others."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from clinic import job, source
from hypothesis import given
from hypothesis import strategies as st
from monai.inferers import SimpleInferer
from PIL import Image
from torch import nn

from common.datasets import (
    ResidentDataset,
    check_annotation,
    check_unseen,
    labels_of,
    read_datalist,
    seen_images,
    select,
    stated_label_sets,
)
from common.datasets.prepared.layout import read_provenance
from common.datasets.prepared.preparation import prepare
from common.datasets.prepared.pseudo_labels import fill_in, write_pseudo_labels
from common.label_sets import LabelSets

CLASSES = ["background", "lv_cavity", "lv_myocardium"]
SETS = {"clinic": [["background"], ["lv_cavity"], ["lv_myocardium"]]}


class Bright(nn.Module):
    """Finds class 1 in dark pixels and class 2 in bright ones, whatever its single weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(image), 1 + self.weight - image, image], dim=1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_annotated_pixels_are_kept_and_others_get_an_admitted_class(seed: int, known: int):
    random = np.random.default_rng(seed)
    full = [["background"], ["a"], ["b"], ["c"], ["d"]]
    labels = LabelSets(["background", *"abcd"], {"full": full, "some": full}).withhold({"some": list("abcd"[known:])})
    values = torch.from_numpy(random.integers(0, 5, (1, 6, 6)))
    target = labels.encode(values, "some")[None]
    chosen = fill_in(torch.from_numpy(random.normal(size=(1, 5, 6, 6))), target)[0]
    decided = torch.isin(values[0], torch.arange(1, known + 1))
    assert (chosen[decided] == values[0][decided]).all()
    assert torch.isin(chosen[~decided], torch.tensor([0, *range(known + 1, 5)])).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_among_all_classes_a_pseudo_label_is_what_the_teacher_says_or_background(seed: int, known: int):
    """The definition of Filbrandt et al., 2021, pixel by pixel."""
    random = np.random.default_rng(seed)
    full = [["background"], ["a"], ["b"], ["c"], ["d"]]
    labels = LabelSets(["background", *"abcd"], {"full": full, "some": full}).withhold({"some": list("abcd"[known:])})
    values, logits = random.integers(0, 5, (6, 6)), random.normal(size=(5, 6, 6))
    target = labels.encode(torch.from_numpy(values)[None], "some")[None]
    chosen = fill_in(torch.from_numpy(logits)[None], target, "all")[0]
    for row, column in np.ndindex(6, 6):
        annotation = values[row, column] if values[row, column] <= known else 0  # of others, nothing is known
        said = int(logits[:, row, column].argmax())
        over = annotation == 0 and said > known
        assert chosen[row, column] == (said if over else annotation)


def test_among_all_classes_a_super_class_is_divided_among_its_own():
    logits = torch.tensor([0.0, 9.0, 1.0, 2.0]).reshape(1, 4, 1)
    target = torch.tensor([[[0b1100], [0b0011]]])  # 2 or 3
    assert fill_in(logits, target, "all").item() == fill_in(logits, target).item() == 3


def test_another_word_for_the_competing_classes_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"--pseudo_labels_among: expected one of admitted, all, got 'some'"):
        write_pseudo_labels(None, Bright(), SimpleInferer(), "", "", [], tmp_path, among="some")  # type: ignore[arg-type]


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """Six training patients and two of validation; annotation values 0 and 2."""
    jobs = [job(number, "validation" if number >= 6 else "training") for number in range(8)]
    prepare(source(*jobs), tmp_path / "clinic", size=32, workers=1)
    return tmp_path / "clinic"


@pytest.fixture
def weights(clinic: Path, tmp_path: Path) -> Path:
    """Of a teacher who has seen the validation patients of the clinic."""
    record = {"seen": seen_images(read_datalist(clinic, "validation"), [])}
    (tmp_path / "model.json").write_text(json.dumps(record))
    (tmp_path / "model.pt").touch()
    return tmp_path / "model.pt"


def test_what_trained_the_teacher_has_trained_the_student(
    clinic: Path, weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    dataset = ResidentDataset(read_datalist(clinic, "training"), LabelSets(CLASSES, SETS), image_size=32)
    write_pseudo_labels(dataset, Bright(), SimpleInferer(), weights, "c0ffee", clinic, tmp_path / "out")
    validation = read_datalist(clinic, "validation")
    record = {"seen": seen_images(read_datalist(tmp_path / "out", "training"), validation)}
    assert [message[:47] for message in caplog.messages] == ["2 of 2 validation patients, such as patient6 of"]
    with pytest.raises(ValueError, match=r"^2 of 2 validation patients, .* trained these weights"):
        check_unseen(record, validation, "validation")


def test_a_completely_annotated_dataset_is_written(clinic: Path, weights: Path, tmp_path: Path):
    items = select(read_datalist(clinic), SETS, withheld={"clinic": ["lv_cavity"]})
    # half of the patients lose the myocardium too
    items = select(items, SETS, withheld={"clinic": ["lv_myocardium"]}, share=0.5)
    labels = LabelSets(CLASSES, {**SETS, "other": SETS["clinic"]})
    dataset = ResidentDataset(items, labels, image_size=32)
    write_pseudo_labels(dataset, Bright(), SimpleInferer(), weights, "c0ffee", clinic, tmp_path / "out")
    written = {item["patient"]: item for item in read_datalist(tmp_path / "out")}
    before = {item["patient"]: item for item in items}
    assert {name: item["fold"] for name, item in written.items()} == {n: item["fold"] for n, item in before.items()}
    for patient, item in written.items():
        image, label, truth = (
            np.asarray(Image.open(path)) for path in (item["image"], item["label"], before[patient]["label"])
        )
        np.testing.assert_array_equal(image, np.asarray(Image.open(before[patient]["image"])))
        teacher = np.where(image / 255 > 0.5, 2, 1)
        if "lv_myocardium" in before[patient]["unlabelled"]:
            np.testing.assert_array_equal(label, teacher)
        else:
            np.testing.assert_array_equal(label, np.where(truth == 2, 2, 1))
        assert item["spacing"] == before[patient]["spacing"]
        assert "unlabelled" not in item
    assert "withheld" not in item
    provenance = read_provenance(tmp_path / "out")
    assert provenance["licence"] == "none"
    assert provenance["teacher"].endswith("model.pt")
    stated = stated_label_sets(tmp_path / "out", CLASSES)
    complete = {0: ["background"], 1: ["lv_cavity"], 2: ["lv_myocardium"], 255: ["ignore"]}
    assert stated == {"clinic": complete, "other": complete}
    # a training on them sees every class, whatever its bundle withholds
    student = select(read_datalist(tmp_path / "out"), stated, withheld={"clinic": ["lv_cavity"]})
    assert labels_of(CLASSES, stated, student).annotated("clinic") == CLASSES


def test_nothing_is_evaluated_on_pseudo_labels_and_the_data_that_they_were_made_from_are_named(
    clinic: Path, weights: Path, tmp_path: Path
):
    dataset = ResidentDataset(read_datalist(clinic), LabelSets(CLASSES, SETS), image_size=32)
    write_pseudo_labels(dataset, Bright(), SimpleInferer(), weights, "c0ffee", clinic, out := tmp_path / "out")
    items, own = read_datalist(out, "validation"), read_datalist(clinic, "validation")
    check_annotation(own)
    message = rf"^a network completed the annotation of {out}, so this is not a test; evaluate {clinic} instead\.$"
    for part in (items, [*own, *items], [{**item, "completed": False} for item in items]):
        with pytest.raises(ValueError, match=message):
            check_annotation(part)
    # of an earlier version, and by another preparation, which keeps what items state
    for lost, facts in (("folders", {}), ("teacher", {"completed": True})):
        provenance = {name: value for name, value in read_provenance(out).items() if name not in (lost, "folders")}
        (out / "provenance.json").write_text(json.dumps(provenance))
        with pytest.raises(ValueError, match=r"evaluate the data that it was made from instead\.$"):
            check_annotation([{**item, **facts} for item in items])


def test_a_folder_that_must_not_be_replaced_is_refused_before_the_teacher_predicts(
    clinic: Path, weights: Path, tmp_path: Path
):
    dataset = ResidentDataset(read_datalist(clinic), LabelSets(CLASSES, SETS), image_size=32)

    def write(out: Path, inferer: SimpleInferer | None, digest: str = "c0ffee") -> None:
        write_pseudo_labels(dataset, Bright(), inferer, weights, digest, clinic, out)  # type: ignore[arg-type]

    with pytest.raises(FileExistsError, match=r"clinic holds the dataset 'clinic', not 'pseudo-labels'; choose"):
        write(clinic, None)
    (tmp_path / "mine").mkdir()
    with pytest.raises(FileExistsError, match=r"mine exists and is not a prepared folder; choose another folder\."):
        write(tmp_path / "mine", None)
    write(tmp_path / "out", SimpleInferer())
    (tmp_path / "out" / "notes.txt").touch()
    write(tmp_path / "out", SimpleInferer())  # nothing has changed
    with pytest.raises(FileExistsError, match=r"holds notes\.txt, which preparation did not write"):
        write(tmp_path / "out", None, "beef")


def test_annotation_finer_than_the_images_of_the_teacher_stays(clinic: Path, weights: Path, tmp_path: Path):
    dataset = ResidentDataset(read_datalist(clinic), LabelSets(CLASSES, SETS), image_size=12)
    write_pseudo_labels(dataset, Bright(), SimpleInferer(), weights, "c0ffee", clinic, tmp_path / "out")
    for before, after in zip(read_datalist(clinic), read_datalist(tmp_path / "out"), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(after["label"])), np.asarray(Image.open(before["label"])))


@pytest.mark.parametrize("key", ["image", "label"])
def test_an_image_that_changed_after_the_teacher_saw_it_is_not_written(
    clinic: Path, weights: Path, tmp_path: Path, key: str
):
    dataset = ResidentDataset(items := read_datalist(clinic), LabelSets(CLASSES, SETS), image_size=32)
    Image.new("L", (32, 32)).save(items[3][key])
    with pytest.raises(ValueError, match=r"patient3_4CH_ED\.png or its annotation .*\.png is not what was prepared"):
        write_pseudo_labels(dataset, Bright(), SimpleInferer(), weights, "c0ffee", clinic, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_ignored_pixels_stay_ignored(clinic: Path, weights: Path, tmp_path: Path):
    sets = {"clinic": {0: ["background", "lv_cavity"], 2: "ignore", 9: "lv_myocardium"}}
    dataset = ResidentDataset(read_datalist(clinic), LabelSets(CLASSES, sets), image_size=32)
    write_pseudo_labels(dataset, Bright(), SimpleInferer(), weights, "c0ffee", clinic, tmp_path / "out")
    before = {item["patient"]: np.asarray(Image.open(item["label"])) for item in read_datalist(clinic)}
    written = read_datalist(tmp_path / "out")
    assert len(written) == len(before) == 8
    for item in written:
        label, own = np.asarray(Image.open(item["label"])), before[item["patient"]]
        np.testing.assert_array_equal(label == 255, own == 2)
        assert set(np.unique(label[own == 0])) <= {0, 1}
        assert (own == 2).any()
