"""Check of prepared datasets: a sound dataset has no findings, and each defect is found."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from common.datasets.checks.check import Report, check
from common.datasets.checks.finding import KINDS
from common.datasets.prepared.preparation import prepare
from common.datasets.prepared.source import Frame, Job, Source

SETS = [["background"], ["lv_cavity"], ["lv_myocardium"], ["left_atrium"]]
SIZE = 64  # pixels a side
SPACING = (1.5, 1.5)  # mm per pixel
Y, X = np.mgrid[:SIZE, :SIZE].astype(float)
Dataset = dict[str, tuple[dict[str, Any], Frame]]  # name of the image: its item and frame


def ellipse(row: float, column: float, height: float, width: float) -> np.ndarray:
    return ((Y - row) / height) ** 2 + ((X - column) / width) ** 2 < 1


def heart(number: int, phase: str) -> Frame:
    """Tissue that no other image has; a left ventricle of 45 mm with its wall, and the atrium below."""
    rng = np.random.default_rng([number, phase == "ES"])
    shrink = 0.85 if phase == "ES" else 1.0
    size = shrink * (1 + 0.02 * (number % 5))
    label = np.zeros((SIZE, SIZE), np.uint8)
    label[ellipse(46, 32, 8, 7)] = 3
    label[ellipse(26, 32, 19 * size, 12 * size) & (Y < 38)] = 2
    label[ellipse(26, 32, 15 * size, 8 * size) & (Y < 38)] = 1
    tissue = 128 + 300 * gaussian_filter(rng.normal(size=(SIZE, SIZE)), 2)
    return Frame(tissue.clip(1, 255).astype(np.uint8), label, SPACING)


def clinic(patients: int = 6, first: int = 0, dataset: str = "clinic") -> Dataset:
    folds = ("training", "training", "validation", "validation", "test", "test")
    about = {"dataset": dataset, "view": "4CH"}
    return {
        f"p{n}_{phase}": ({**about, "patient": f"p{n}", "phase": phase, "fold": folds[n % 6]}, heart(n, phase))
        for n in range(first, first + patients)
        for phase in ("ED", "ES")
    }


def prepared(out: Path, images: Dataset, **others: Any) -> Path:
    jobs = [Job(name, item, lambda frame=frame: frame) for name, (item, frame) in images.items()]
    sets = {item["dataset"]: SETS for item, _ in images.values()}
    facts = {"label_sets": sets, "licence": "none", "citation": "nobody", **others}
    prepare(Source("clinic", jobs, **facts), out, SIZE, workers=1)
    return out


def found(report: Report) -> dict[str, list[str]]:
    return {kind: [finding.text for finding in findings] for kind, findings in report.by_kind.items()}


def of_items(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    path = folder / "datalist.json"
    items = json.loads(path.read_text())
    change(items)
    path.write_text(json.dumps(items))


def of_provenance(folder: Path, **changes: Any) -> None:
    path = folder / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def redrawn(images: Dataset, name: str, change: Callable[[np.ndarray], object], part: str = "label") -> None:
    item, frame = images[name]
    pixels = getattr(frame, part).copy()
    change(pixels)
    images[name] = item, replace(frame, **{part: pixels})


def restated(images: Dataset, name: str, **facts: Any) -> None:
    images[name][0].update(facts)


def test_a_sound_dataset_has_no_findings(tmp_path: Path):
    report = check([prepared(tmp_path / "a", clinic())])
    assert found(report) == {}
    assert report.counts == {"error": 0, "warning": 0, "note": 0}
    assert report.images == 12
    assert report.licences == {tmp_path / "a": "none"}
    rows = [(row.dataset, row.fold, row.patients, row.images) for row in report.coverage]
    assert rows == [("clinic", fold, 2, 4) for fold in ("training", "validation", "test")]
    assert all(row.annotating == dict.fromkeys(report.classes, row.images) for row in report.coverage)
    assert report.classes == ["lv_cavity", "lv_myocardium", "left_atrium"]


def copy_to_another_patient(images: Dataset, source: str, target: str, change=lambda image: image) -> None:
    item, frame = images[target]
    images[target] = item, replace(frame, image=change(images[source][1].image))


def flipped(images: Dataset, without_atrium: bool) -> None:
    item, frame = images["p0_ED"]
    label = np.where(frame.label == 3, 0, frame.label) if without_atrium else frame.label
    images["p0_ED"] = item, replace(frame, image=frame.image[::-1].copy(), label=label[::-1].astype(np.uint8))


def narrow_sector(images: Dataset) -> None:
    def black(image: np.ndarray) -> None:
        image[np.abs(X - 32) > 6] = 0

    redrawn(images, "p0_ED", black, "image")


def lv_at_the_border(label: np.ndarray) -> None:
    label[label == 2] = 0
    label[:20, 30:34] = 1


def black_blood(images: Dataset) -> None:
    item, frame = images["p0_ED"]
    images["p0_ED"] = item, replace(frame, image=np.where(frame.label == 1, 0, frame.image).astype(np.uint8))


DEFECTS = [
    # kind, the words that name it, and what makes it; nothing else may be found
    ("image in two folds", r"a/p0_ED \(training\), a/p4_ED \(test\) are the same image",
     lambda i: copy_to_another_patient(i, "p0_ED", "p4_ED")),
    ("image twice in a fold", r"a/p0_ED \(training\), a/p1_ED \(training\) are the same image",
     lambda i: copy_to_another_patient(i, "p0_ED", "p1_ED")),
    ("one image for ED and ES", r"a/p2_ED .* a/p2_ES .* are the same image",
     lambda i: copy_to_another_patient(i, "p2_ED", "p2_ES")),
    ("image like another patient's", r"a/p0_ED \(training\), a/p4_ED \(test\) differ in [1-6] of 256 bits",
     lambda i: copy_to_another_patient(i, "p0_ED", "p4_ED", lambda image: (image // 20 * 16 + 20).astype(np.uint8))),
    ("unknown annotation value", r"a/p0_ED has the values \[7\]; the label sets name \[0, 1, 2, 3\]",
     lambda i: redrawn(i, "p0_ED", lambda label: label[:2, :2].fill(7))),
    ("blank image", r"a/p0_ED has one grey value", lambda i: redrawn(i, "p0_ED", lambda image: image.fill(0), "image")),
    ("empty annotation", r"a/p0_ED has no lv_cavity, lv_myocardium, left_atrium",
     lambda i: redrawn(i, "p0_ED", lambda label: label.fill(0))),
    ("structure absent", r"a/p0_ED has no left_atrium",
     lambda i: redrawn(i, "p0_ED", lambda label: label[38:].fill(0))),
    ("structure in pieces", r"a/p0_ED: left_atrium in 2 pieces, the largest has 9\d\.\d%",
     lambda i: redrawn(i, "p0_ED", lambda label: label[60:62, 5:9].fill(3))),
    ("hole in the LV cavity", r"a/p0_ED: \d\.\d% of the LV cavity",
     lambda i: redrawn(i, "p0_ED", lambda label: label[25:28, 31:34].fill(0))),
    ("LV cavity at the image border", r"^a/p0_ED$",
     lambda i: (restated(i, "p0_ED", unlabelled=["lv_myocardium"]), redrawn(i, "p0_ED", lv_at_the_border))),
    ("upside down", r"a/p0_ED: the left atrium is above the LV cavity", lambda i: flipped(i, False)),
    ("annotation outside the sector", r"a/p0_ED: \d\d\.\d% of the annotation, \d\.\d% of the LV cavity", narrow_sector),
    ("annotation outside the sector", r"a/p0_ED: 20\.0% of the annotation, 0\.0% of the LV cavity",
     lambda i: restated(i, "p0_ED", outside_sector=0.2)),
    ("ED smaller than ES", r"a/p0_ES: LV cavity 594 mm2 at ED, 770 at ES",
     lambda i: (restated(i, "p0_ED", phase="ES"), restated(i, "p0_ES", phase="ED"))),
    ("class missing from a fold", r"clinic: none of 4 images in the fold test annotates left_atrium",
     lambda i: [restated(i, f"p{n}_{phase}", unlabelled=["left_atrium"]) for n in (4, 5) for phase in ("ED", "ES")]),
    ("fold missing", r"clinic has no image in the fold validation",
     lambda i: [i.pop(f"p{n}_{phase}") for n in (2, 3) for phase in ("ED", "ES")]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "words", "spoil"), DEFECTS, ids=[f"{n} {row[0]}" for n, row in enumerate(DEFECTS)])
def test_each_defect_is_found_and_nothing_else(tmp_path: Path, kind: str, words: str, spoil: Callable):
    images = clinic()
    spoil(images)
    report = check([prepared(tmp_path / "a", images)])
    texts = found(report)
    assert list(texts) == [kind]
    assert len(texts[kind]) == 1 and re.search(words, texts[kind][0]), texts  # noqa: PT018
    assert [finding.severity for finding in report.findings] == [KINDS[kind][0]]


def test_every_kind_has_its_test():
    rest = {
        "unusable item", "unusable file", "changed content", "values unlike the datalist's", "implausible spacing",
        "much was left out", "label sets unknown", "patient in two folds", "unusual LV area", "spacing missing",
        "left and right exchanged", "annotation outside the body", "structure cut off", "unusual volume",
        "nothing but ignored pixels",
    }  # fmt: skip
    assert {row[0] for row in DEFECTS} | rest == set(KINDS)


@pytest.mark.parametrize(
    "harmless",
    [
        black_blood,
        lambda i: redrawn(i, "p0_ED", lambda label: label[50:64, 28:36].fill(3)),  # the sector cuts the atrium
        lambda i: redrawn(i, "p0_ED", lambda label: label[60:61, 5:6].fill(1)),  # a crumb of the resampling
        lambda i: redrawn(i, "p0_ED", lambda label: label[26:27, 32:33].fill(0)),
        lambda i: (
            restated(i, "p0_ED", unlabelled=["left_atrium"]),
            redrawn(i, "p0_ED", lambda label: label[38:].fill(0)),
        ),
        lambda i: restated(i, "p0_ED", outside_sector=0.1),
        lambda i: restated(i, "p0_ED", phase=None),
    ],
)
def test_peculiarities_of_real_data_are_not_defects(tmp_path: Path, harmless: Callable):
    images = clinic()
    harmless(images)
    texts = found(check([prepared(tmp_path / "a", images)]))
    assert texts == {}


def test_a_flipped_image_is_found_without_an_atrium(tmp_path: Path):
    images = clinic()
    flipped(images, without_atrium=True)
    restated(images, "p0_ED", unlabelled=["left_atrium"])
    texts = found(check([prepared(tmp_path / "a", images)]))
    assert texts == {"upside down": ["a/p0_ED: the myocardium is below the LV cavity"]}


def test_folders_are_checked_against_each_other(tmp_path: Path):
    first, second = clinic(), clinic(first=6)
    restated(second, "p6_ED", patient="P0", fold="test")
    second["p7_ED"] = second["p7_ED"][0], first["p4_ED"][1]
    folders = [prepared(tmp_path / "a", first), prepared(tmp_path / "b", second)]
    assert not any(found(check([folder])) for folder in folders)
    texts = found(check(folders))
    assert texts == {
        "patient in two folds": ["clinic p0: a/p0_ED (training), b/p6_ED (test)"],
        "image in two folds": ["a/p4_ED (test), b/p7_ED (training) are the same image"],
    }


def test_the_same_number_in_another_dataset_is_another_patient(tmp_path: Path):
    other = clinic(first=24, dataset="hospital")
    for item, _ in other.values():
        item["patient"] = "p0"
        item["fold"] = "test"
    report = check([prepared(tmp_path / "a", clinic()), prepared(tmp_path / "b", other)])
    assert list(found(report)) == ["fold missing"]
    assert len(found(report)["fold missing"]) == 2


def test_a_folder_given_twice_counts_once(tmp_path: Path):
    folder = prepared(tmp_path / "a", clinic())
    report = check([folder, tmp_path / "a" / "images" / ".."])
    assert (report.images, found(report)) == (12, {})


@pytest.mark.parametrize(
    ("spacing", "words"),
    [
        ((0.15, 0.15), r"\[0\.15, 0\.15\] mm per pixel of 64x64, sides of 9\.6 and 9\.6 mm"),
        ((1.5, 15.0), r"\[1\.5, 15\.0\] mm per pixel of 64x64"),
        ((6.0, 6.0), r"a/p0_ED: an LV cavity of 1\d\d mm"),
        ((0.0, 1.5), r"\[0\.0, 1\.5\] mm per pixel"),
        ((float("nan"), 1.5), r"\[nan, 1\.5\] mm per pixel"),
    ],
)
def test_an_implausible_spacing_is_found(tmp_path: Path, spacing: tuple[float, float], words: str):
    images = clinic()
    item, frame = images.pop("p0_ED")
    images = {"p0_ED": (item, replace(frame, spacing=spacing)), **images}
    texts = found(check([prepared(tmp_path / "a", images)]))
    assert len(texts["implausible spacing"]) == 1
    assert re.search(words, texts["implausible spacing"][0])


def test_missing_spacings_are_reported_once_per_dataset(tmp_path: Path):
    images = {name: (item, replace(frame, spacing=None)) for name, (item, frame) in clinic().items()}
    images["p0_ED"] = images["p0_ED"][0], replace(images["p0_ED"][1], spacing=SPACING)
    texts = found(check([prepared(tmp_path / "a", images)]))
    assert texts == {"spacing missing": ["a: 11 of 12 images of clinic have none"]}


@pytest.mark.parametrize("height", [3, 24])
def test_an_unusual_area_is_found_in_both_directions(tmp_path: Path, height: int):
    images = clinic(patients=12)
    for phase in ("ED", "ES"):
        redrawn(images, f"p1_{phase}", lambda label: label.__setitem__(label < 3, 0))
        redrawn(images, f"p1_{phase}", lambda label: label.__setitem__(ellipse(24, 32, height, height) & (Y < 38), 1))
    restated(images, "p1_ED", unlabelled=["lv_myocardium"])
    restated(images, "p1_ES", unlabelled=["lv_myocardium"])
    texts = found(check([prepared(tmp_path / "a", images)]))
    assert [text.split(":")[0] for text in texts["unusual LV area"]] == ["a/p1_ED", "a/p1_ES"]


def test_images_left_out_are_reported_with_reasons(tmp_path: Path):
    skipped = {f"q{n}_ED": f"q{n}_ED_gt.nii.gz is missing" for n in range(3)} | {"r_ED": "no annotation"}
    folder = prepared(tmp_path / "a", clinic(), skipped=skipped)
    text = "a: 4 images, 25% of the source (… is missing: 3; no annotation: 1)"
    assert found(check([folder])) == {"much was left out": [text]}
    assert found(check([prepared(tmp_path / "b", clinic(10), skipped={"r_ED": "no annotation"})])) == {}, "1 of 21"


def test_a_folder_without_label_sets_is_reported_as_unchecked(tmp_path: Path):
    images = clinic()
    redrawn(images, "p0_ED", lambda label: label[:2, :2].fill(7))
    folder = prepared(tmp_path / "a", images)
    of_provenance(folder, label_sets={})
    report = check([folder])
    assert found(report) == {"label sets unknown": [f"{folder}/provenance.json has no label sets of clinic"]}
    assert report.classes == []


def test_a_value_of_several_structures_counts_for_none_of_them(tmp_path: Path):
    sets = {"clinic": [["background"], ["lv_cavity"], ["lv_myocardium", "left_atrium"], ["background", "left_atrium"]]}
    report = check([prepared(tmp_path / "a", clinic(), label_sets=sets)])
    assert report.classes == ["lv_cavity"]
    assert found(report) == {}


def test_unusable_files_are_named(tmp_path: Path):
    folder = prepared(tmp_path / "a", clinic())
    (folder / "images/p0_ED.png").unlink()
    (folder / "labels/p1_ED.png").write_bytes((folder / "labels/p1_ED.png").read_bytes()[:60])
    Image.new("L", (SIZE, SIZE + 1)).save(folder / "images/p2_ED.png")
    Image.new("RGB", (SIZE, SIZE)).save(folder / "images/p3_ED.png")
    Image.new("L", (SIZE, SIZE)).save(folder / "images/p4_ED.png", "JPEG")
    report = check([folder])
    assert list(found(report)) == ["unusable file"]
    endings = [
        r"images/p0_ED\.png is missing; prepare the dataset again\.$",
        r"labels/p1_ED\.png cannot be read \(.+\); prepare the dataset again\.$",
        r"images/p2_ED\.png is 64x65 pixels of mode 'L', expected 64x64 of mode 'L'; prepare the dataset again\.$",
        r"images/p3_ED\.png is 64x64 pixels of mode 'RGB', expected 64x64 of mode 'L'; prepare the dataset again\.$",
        r"images/p4_ED\.png cannot be read \(.+\); prepare the dataset again\.$",
    ]
    for text, ending in zip(found(report)["unusable file"], endings, strict=True):
        assert re.search(ending, text), text
    assert report.images == 12, "the images are still counted"


def test_content_that_changed_after_the_preparation_is_found(tmp_path: Path):
    folder = prepared(tmp_path / "a", clinic())
    path = folder / "images/p0_ED.png"
    pixels = np.array(Image.open(path))
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(path)
    assert list(found(check([folder]))) == ["changed content"]


def test_a_datalist_that_changed_after_the_preparation_is_found(tmp_path: Path):
    folder = prepared(tmp_path / "a", clinic())
    of_items(folder, lambda items: items[0].update(view="2CH"))
    assert list(found(check([folder]))) == ["changed content"]
    of_items(folder, lambda items: items[0].update(view="4CH", values=[0, 1]))
    texts = found(check([folder]))
    assert texts == {"values unlike the datalist's": ["a/p0_ED has the values [0, 1, 2, 3]; the datalist lists [0, 1]"]}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"fold": "train"}, r"fold is 'train', expected one of \['training', 'validation', 'test'\]"),
        ({"fold": None}, r"fold is None, expected one of"),
        ({"patient": None}, r"dataset or patient is not a name"),
        ({"phase": ["ED"]}, r"view or phase is neither a name nor null"),
        ({"image": "../secret.png"}, r"image or label is outside the folder"),
        ({"label": "/etc/passwd"}, r"image or label is outside the folder"),
    ],
)
def test_an_unusable_item_is_reported_and_excluded(tmp_path: Path, facts: dict[str, Any], words: str):
    folder = prepared(tmp_path / "a", clinic())
    of_items(folder, lambda items: items[0].update(facts))
    report = check([folder])
    assert list(found(report)) == ["unusable item"]
    assert re.search(words, report.findings[0].text)
    assert report.images == 11


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: of_items(folder, lambda items: items[0].pop("image")), r"datalist\.json is not a list of it"),
        (lambda folder: (folder / "datalist.json").write_text("3"), r"datalist\.json is not a list of items"),
        (lambda folder: of_provenance(folder, size=None), r"provenance\.json has no valid size of the images"),
    ],
)
def test_a_folder_that_cannot_be_checked_is_named(tmp_path: Path, spoil: Callable, words: str):
    folder = prepared(tmp_path / "a", clinic())
    spoil(folder)
    with pytest.raises(ValueError, match=words):
        check([folder])


def test_checking_nothing_is_an_error(tmp_path: Path):
    with pytest.raises(ValueError, match=r"no folder to check"):
        check([])
    with pytest.raises(FileNotFoundError, match=r"is not a prepared dataset"):
        check([tmp_path])


@pytest.mark.slow
def test_camus_has_only_its_known_findings(tmp_path: Path, echo_data: Path):
    from common.datasets.readers.camus import camus

    prepare(camus(echo_data / "camus", skip_incomplete=True), tmp_path / "camus", 256, workers=1)
    texts = found(check([tmp_path / "camus"]))
    assert texts["image twice in a fold"] == [
        "camus/patient0033_4CH_ED (training), camus/patient0068_4CH_ED (training) are the same image"
    ]
    names = [text.split(":")[0] for text in texts["annotation outside the sector"]]
    assert names == ["camus/patient0049_4CH_ED", "camus/patient0430_4CH_ED"]
    assert set(texts) <= {"image twice in a fold", "annotation outside the sector", "fold missing"}
