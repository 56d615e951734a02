"""The check of volumes: a sound dataset passes, and each defect is found, named and shown in three planes."""

import base64
import io
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from own_volumes import save
from PIL import Image

from common.datasets.checks.check import Report, check
from common.datasets.checks.finding import KINDS
from common.datasets.checks.page import SIDE, write_page
from common.datasets.checks.three_planes import three_planes
from common.datasets.checks.volume_facts import air_below, measure_volume
from common.datasets.prepared.layout import read_datalist
from common.datasets.prepared.source import Job, Source
from common.datasets.volumes.form import prepare_volumes
from common.datasets.volumes.volume import Volume

SHAPE = (30, 20, 12)
VALUES = {0: "background", 1: "bladder", 2: "right_kidney", 3: "left_kidney"}
PATIENTS = 12


def body(number: int) -> tuple[np.ndarray, np.ndarray]:
    """CT and annotation, RAS: an ellipse of soft tissue; both kidneys behind, the bladder in front and below."""
    x, y, _ = np.indices(SHAPE)
    inside = ((x - 15) / 13) ** 2 + ((y - 10) / 8) ** 2 <= 1
    noise = np.random.default_rng(number).integers(0, 40, SHAPE)
    image = np.where(inside, 20 + noise, -1000).astype(np.int16)
    label = np.zeros(SHAPE, np.uint8)
    label[13:17, 12:16, 2 : 4 + number % 2] = 1
    label[20:23, 5:8, 6:10] = 2
    label[7:10, 5:8, 6:10] = 3
    return image, label


def volume(image: np.ndarray, label: np.ndarray, spacing: tuple[float, float, float]) -> Volume:
    return Volume(image, label, np.diag([*spacing, 1.0]))


def prepared(out: Path, change: Callable[..., object] | None = None, spacing: tuple[float, float, float] = (3, 3, 5)):
    """Twelve patients; `change` alters image and annotation of the first."""
    jobs = []
    for number in range(PATIENTS):
        image, label = body(number)
        if number == 0 and change is not None:
            changed = change(image, label)
            image, label = changed if isinstance(changed, tuple) else (image, label)
        own = spacing if number == 0 else (3, 3, 5)
        fold = ("training", "validation", "test")[number % 3]
        item = {"dataset": "pelvis", "patient": f"p{number}", "fold": fold}
        jobs.append(Job(f"p{number}", item, partial(volume, image, label, own)))
    facts = {"modality": "CT"}
    prepare_volumes(Source("pelvis", jobs, "none", "", {"pelvis": VALUES}, facts=facts), out, workers=1)


def found(report: Report) -> dict[str, list[str]]:
    return {kind: [finding.text for finding in own] for kind, own in report.by_kind.items()}


def test_a_sound_dataset_passes(tmp_path: Path):
    prepared(tmp_path / "out")
    report = check([tmp_path / "out"])
    assert found(report) == {}
    assert report.images == PATIENTS
    assert report.classes == ["bladder", "right_kidney", "left_kidney"]


def exchange(_: np.ndarray, label: np.ndarray) -> None:
    right, left = label == 2, label == 3
    label[right], label[left] = 3, 2


def put(*places: tuple[slice | int, ...], value: int = 1) -> Callable[[np.ndarray, np.ndarray], None]:
    def change(_: np.ndarray, label: np.ndarray) -> None:
        label[label == value] = 0
        for place in places:
            label[place] = value

    return change


BOX = np.s_[13:17, 12:16, 2:4]
DEFECTS = [
    ("left and right exchanged", exchange, "p0: right_kidney lies 39 mm left of left_kidney"),
    ("annotation outside the body", put(np.s_[0:4, 0:4, 2:4]), r"p0: 100% of bladder"),
    ("structure in pieces", put(np.s_[13:17, 12:16, 2], np.s_[13:17, 12:16, 8]), r"p0: bladder in 2 pieces, .*50.0%"),
    (
        "structure cut off",
        put(np.s_[13:17, 12:16, 0:2]),
        "p0: bladder ends at the inferior face of the volume; 1 of 12 do",
    ),
    ("unusual volume", put(np.s_[8:22, 6:16, 1:11]), r"p0: bladder has 63.00 ml, the median is"),
    ("structure absent", put(), "p0 has no bladder"),
    ("blank image", lambda image, _: image.fill(5), "p0 has one grey value"),
    ("image in two folds", lambda *_: body(1), r"p0 \(training\), out/p1 \(validation\) are the same image"),
]


@pytest.mark.parametrize(("kind", "change", "text"), DEFECTS, ids=[row[0] for row in DEFECTS])
def test_a_defect_is_found_and_named(tmp_path: Path, kind: str, change: Callable, text: str):
    prepared(tmp_path / "out", change)
    texts = found(check([tmp_path / "out"]))
    assert kind in texts
    assert re.search(text, texts[kind][0]), texts


@pytest.mark.parametrize("spacing", [(3.0, 3.0, 20.0), (0.05, 3.0, 5.0), (9.0, 9.0, 5.0)])
def test_a_spacing_unlike_the_others_is_found(tmp_path: Path, spacing: tuple[float, float, float]):
    prepared(tmp_path / "out", spacing=spacing)
    (text,) = found(check([tmp_path / "out"]))["implausible spacing"]
    assert text.startswith("out/p0: ")


def test_structures_that_usually_are_in_pieces_or_cut_off_are_no_defect(tmp_path: Path):
    jobs = []
    for number in range(PATIENTS):
        image, label = body(number)
        label[14:16, 9:11, :] = 1  # as a spinal cord, from the lowest slice to the highest, apart from the bladder
        item = {"dataset": "pelvis", "patient": f"p{number}", "fold": ("training", "validation", "test")[number % 3]}
        jobs.append(Job(f"p{number}", item, partial(volume, image, label, (3, 3, 5))))
    source = Source("pelvis", jobs, "none", "", {"pelvis": VALUES}, facts={"modality": "CT"})
    prepare_volumes(source, tmp_path / "out", workers=1)
    assert found(check([tmp_path / "out"])) == {}


def test_what_a_patient_does_not_annotate_is_not_missed(tmp_path: Path):
    image, label = body(0)
    label[label > 1] = 0
    item = {"dataset": "pelvis", "patient": "p0", "fold": "training", "unlabelled": ["right_kidney", "left_kidney"]}
    source = Source("pelvis", [Job("p0", item, partial(volume, image, label, (3, 3, 5)))], "", "", {"pelvis": VALUES})
    prepare_volumes(source, tmp_path / "out", workers=1)
    report = check([tmp_path / "out"])
    assert set(found(report)) <= {"fold missing", "class missing from a fold"}
    assert {row.fold: row.annotating for row in report.coverage}["training"] == {
        "bladder": 1,
        "right_kidney": 0,
        "left_kidney": 0,
    }


def test_changed_and_broken_files_are_errors(tmp_path: Path):
    prepared(tmp_path / "out")
    save(tmp_path / "out/labels/p1.nii", body(1)[1] * 0, np.diag([3.0, 3.0, 5.0, 1.0]))
    (tmp_path / "out/images/p2.nii").write_bytes(b"broken")
    texts = found(check([tmp_path / "out"]))
    assert "p2.nii cannot be read" in texts["unusable file"][0]
    assert texts["empty annotation"]
    assert texts["values unlike the datalist's"]
    (tmp_path / "out/images/p2.nii").unlink()
    prepared(tmp_path / "again")
    save(tmp_path / "again/labels/p1.nii", body(2)[1], np.diag([3.0, 3.0, 5.0, 1.0]))
    assert "changed content" in found(check([tmp_path / "again"]))


def test_a_journal_that_trainings_would_refuse_is_found(tmp_path: Path):
    prepared(tmp_path / "out")
    journal = tmp_path / "out" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-1]))
    (text,) = found(check([tmp_path / "out"]))["changed content"]
    assert "journal.jsonl is missing, cut off or edited; prepare the dataset again" in text


def test_an_item_without_spacing_is_unusable(tmp_path: Path):
    prepared(tmp_path / "out")
    path = tmp_path / "out/datalist.json"
    text = path.read_text()
    path.write_text(re.sub(r'"spacing": \[[^]]*\]', '"spacing": null', text, count=1))
    texts = found(check([tmp_path / "out"]))
    assert texts["unusable item"] == ["out/p0: spacing is None, expected mm along x, y and z"]


def test_the_page_shows_three_planes_through_the_structure(tmp_path: Path):
    prepared(tmp_path / "out", exchange)
    report = check([tmp_path / "out"])
    write_page(report, tmp_path / "check.html")
    page = (tmp_path / "check.html").read_text()
    assert f'width="{3 * SIDE}" height="{SIDE}"' in page
    (data,) = re.findall(r"base64,([A-Za-z0-9+/=]+)", page)
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (3 * SIDE, SIDE)
    assert "left and right exchanged" in KINDS


def test_planes_lie_as_radiologists_see_them(tmp_path: Path):
    prepared(tmp_path / "out")
    item = read_datalist(tmp_path / "out")[0]
    _, values = three_planes(item, [2], 60)
    axial, coronal, sagittal = (values[:, start : start + 60] for start in (0, 60, 120))

    def middle(plane: np.ndarray, value: int) -> np.ndarray:
        return np.argwhere(plane == value).mean(axis=0)

    assert middle(axial, 2)[1] < 30 < middle(axial, 3)[1], "the right kidney is on the left"
    assert middle(axial, 2)[0] > 30, "behind is below"
    assert middle(coronal, 2)[1] < middle(coronal, 3)[1]
    assert middle(coronal, 2)[0] < 33, "the kidneys lie above the middle"
    assert middle(sagittal, 2)[1] > 30, "the front is on the left"
    _, values = three_planes(item, [1], 60)
    assert 1 in values[:, :60]
    assert 1 in values[:, 120:]


def test_facts_of_a_structure_are_those_of_a_box():
    image, label = np.full(SHAPE, 50, np.int16), np.zeros(SHAPE, np.uint8)
    image[20:] = -1000
    label[18:22, 3:5, 9:12] = 1
    facts = measure_volume(image, label, {"spacing": [2.0, 3.0, 5.0]}, {"box": [1]}, -300.0)
    box = facts.regions["box"]
    assert box.millilitres == pytest.approx(4 * 2 * 3 * 30 / 1000)
    assert box.centre == pytest.approx((19.5 * 2, 3.5 * 3, 10 * 5))
    assert (box.pieces, box.largest, box.faces, box.outside) == (1, 1.0, ("superior",), 0.5)


def test_air_is_what_the_window_leaves_of_it():
    assert air_below("CT", [-1000, 1000]) == -300
    assert air_below("CT", [-200, 200]) == -160
    assert air_below(None, None) is None
