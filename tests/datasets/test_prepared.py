"""The prepared layout: geometry is kept, a folder is whole or absent, and wrong data are named."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from common.datasets.prepared import Frame, Job, Source, prepare, read_datalist, read_provenance


def disc(rows: int, columns: int, spacing: tuple[float, float] | None, value: int = 1) -> Frame:
    """Draw a bright disc of 40 mm radius in the middle of the image; it is an ellipse where pixels are not square."""
    step = spacing or (1.0, 1.0)
    y, x = (np.arange(count) - (count - 1) / 2 for count in (rows, columns))
    inside = np.hypot(y[:, None] * step[0], x[None] * step[1]) < 40
    return Frame((200 * inside).astype(np.uint8), (value * inside).astype(np.uint8), spacing)


def ramp(number: int) -> Frame:
    """An image that no other number has; annotation values 0 and 2."""
    image = (np.arange(40 * 30).reshape(40, 30) * (number + 1) % 251).astype(np.uint8)
    return Frame(image, (2 * (image > 100)).astype(np.uint8), (0.5, 0.25))


def broken() -> Frame:
    raise ValueError("patient2.nii.gz cannot be read")


def unequal() -> Frame:
    return Frame(np.zeros((20, 20), np.uint8), np.zeros((20, 21), np.uint8), None)


def job(number: int, fold: str = "training", read=None) -> Job:
    item = {"dataset": "clinic", "patient": f"patient{number}", "view": "4CH", "phase": "ED", "fold": fold}
    return Job(f"patient{number}_4CH_ED", item, read or partial(ramp, number))


def source(*jobs: Job, **others) -> Source:
    return Source("clinic", jobs, licence="none", citation="nobody", **others)


@given(
    rows=st.integers(300, 600),
    columns=st.integers(300, 600),
    spacing=st.tuples(st.floats(0.2, 0.35), st.floats(0.2, 0.35)),  # mm
    size=st.sampled_from([256, 320, 500]),
)
def test_a_squashed_mask_keeps_its_physical_area(rows: int, columns: int, spacing: tuple[float, float], size: int):
    native = disc(rows, columns, spacing)
    frame = native.resized(size)
    assert frame.image.shape == frame.label.shape == (size, size)
    area, expected = (f.label.sum() * f.spacing[0] * f.spacing[1] for f in (frame, native))
    assert area == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("rows", "columns"), [(500, 300), (301, 512)])
def test_squashing_moves_neither_image_nor_annotation(rows: int, columns: int):
    native = disc(rows, columns, (0.6, 0.5))
    frame = Frame(np.roll(native.image, 40, 0), np.roll(native.label, 40, 0), native.spacing).resized(256)
    for pixels in (frame.image, frame.label):
        y, x = (np.average(grid, weights=pixels) for grid in np.indices(pixels.shape))
        assert (y + 0.5) / 256 == pytest.approx(0.5 + 40 / rows, abs=1e-3)
        assert (x + 0.5) / 256 == pytest.approx(0.5, abs=1e-3)


def test_squashing_invents_no_annotation_value():
    frame = disc(333, 217, None, value=9).resized(64)
    assert set(np.unique(frame.label)) == {0, 9}
    assert len(np.unique(frame.image)) > 2, "the image is interpolated"
    assert frame.spacing is None


def test_a_prepared_folder_holds_what_the_source_told(tmp_path: Path):
    out = tmp_path / "deep" / "clinic"
    items = prepare(
        source(job(1), job(2, "test"), skipped={"patient3": "lost"}, facts={"centre": "north"}), out, size=32, workers=1
    )
    stored = json.loads((out / "datalist.json").read_text())
    assert json.loads(json.dumps(items)) == stored
    assert stored[0] == {
        "image": "images/patient1_4CH_ED.png",
        "label": "labels/patient1_4CH_ED.png",
        "dataset": "clinic",
        "patient": "patient1",
        "view": "4CH",
        "phase": "ED",
        "fold": "training",
        "spacing": [0.5 * 40 / 32, 0.25 * 30 / 32],
        "values": [0, 2],
    }
    provenance = read_provenance(out)
    assert provenance["skipped"] == {"patient3": "lost"}
    assert (provenance["source"], provenance["images"], provenance["size"]) == ("clinic", 2, 32)
    assert (provenance["licence"], provenance["citation"], provenance["centre"]) == ("none", "nobody", "north")
    assert set(provenance["versions"]) == {"python", "pillow", "numpy"}
    expected = ramp(2).resized(32)
    np.testing.assert_array_equal(np.array(Image.open(out / stored[1]["image"])), expected.image)
    np.testing.assert_array_equal(np.array(Image.open(out / stored[1]["label"])), expected.label)
    assert sorted(path.name for path in out.iterdir()) == ["datalist.json", "images", "labels", "provenance.json"]


def test_a_failing_image_leaves_nothing_behind(tmp_path: Path):
    out = tmp_path / "clinic"
    with pytest.raises(ValueError, match=r"patient2\.nii\.gz cannot be read"):
        prepare(source(job(1), job(2, read=broken), job(3)), out, size=32, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_preparation_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("common.datasets.prepared.tqdm", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(source(job(1)), tmp_path / "clinic", size=32, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_left_alone(tmp_path: Path):
    out = tmp_path / "clinic"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    with pytest.raises(FileExistsError, match=r"clinic exists; remove it, or prepare into another folder"):
        prepare(source(job(1)), out, size=32, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["clinic"]
    assert (out / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("jobs", "size", "message"),
    [
        ([], 32, r"clinic: no image to prepare; skipped: nothing"),
        ([job(1)], 8, r"size is 8; an image needs at least 16 pixels a side"),
        ([job(7, read=unequal)], 32, r"patient7_4CH_ED: image \(20, 20\) and annotation \(20, 21\) differ in shape"),
    ],
)
def test_what_cannot_be_prepared_is_named(tmp_path: Path, jobs: list[Job], size: int, message: str):
    with pytest.raises(ValueError, match=message):
        prepare(source(*jobs), tmp_path / "out", size, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_the_checksum_is_of_the_content_and_not_of_the_order(tmp_path: Path):
    def checksum(name: str, *jobs: Job) -> str:
        prepare(source(*jobs), tmp_path / name, size=32, workers=1)
        return read_provenance(tmp_path / name)["checksum"]

    first = checksum("first", job(1), job(2))
    assert checksum("reversed", job(2), job(1)) == first
    assert checksum("fewer", job(1)) != first
    assert checksum("other", job(1), job(3)) != first
    same_pixels = Job(job(2).id, job(2).item, partial(ramp, 1))
    assert checksum("pixel", job(1), same_pixels) != first
    assert checksum("fold", job(1), job(2, "validation")) != first


def test_a_datalist_is_read_by_fold_with_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    prepare(source(job(1), job(2, "test"), job(3)), tmp_path / "a", size=32, workers=1)
    prepare(source(job(4), job(5, "validation")), tmp_path / "b", size=32, workers=1)
    monkeypatch.chdir(tmp_path)
    training = read_datalist(["a", "b"], "training")
    assert [item["patient"] for item in training] == ["patient1", "patient3", "patient4"]
    monkeypatch.chdir("/")
    assert all(Path(item[key]).is_file() for item in training for key in ("image", "label"))
    assert [item["patient"] for item in read_datalist(tmp_path / "a")] == ["patient1", "patient2", "patient3"]
    assert [item["patient"] for item in read_datalist(str(tmp_path / "b"), "validation")] == ["patient5"]
    with pytest.raises(ValueError, match=r"no item of fold 'test' in \['.*b'\]"):
        read_datalist(tmp_path / "b", "test")
    with pytest.raises(ValueError, match=r"fold is 'train'; it is one of \['training', 'validation', 'test'\]"):
        read_datalist(tmp_path / "b", "train")


def test_a_folder_that_is_not_prepared_says_how_to_prepare_one(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"it has no datalist\.json.*python -m common\.datasets phantom"):
        read_datalist(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a prepared dataset: it has no provenance\.json"):
        read_provenance(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b'[{"image": ', b"\x89PNG\xff\xfe"])
def test_an_unreadable_datalist_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "datalist.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"datalist\.json is not readable JSON .*prepare the dataset again"):
        read_datalist(tmp_path)
