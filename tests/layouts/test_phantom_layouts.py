"""The phantom in the layouts of real datasets, decoded here byte by byte and without the readers.

What needs the layouts' own resolution is slow; names, tables and splits are tested on coarser pixels.
"""

import gzip
import hashlib
import json
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from layout_files import dice, inside, rows_of
from PIL import Image
from scipy.interpolate import CubicSpline

from common.datasets.phantom.study import examine
from layouts import LAYOUTS
from layouts import camus_layout as phantom_camus
from layouts import unity_layout as phantom_unity
from layouts.camus_layout import write_camus, write_camus_2019
from layouts.echonet_layout import write_echonet_dynamic
from layouts.tracing import disc_volume, trace
from layouts.unity_layout import video_name, write_unity
from layouts.window import draw_window

PHASES = ("ED", "ES")
LV, MYOCARDIUM, ATRIUM = 1, 2, 3
FRAMES = 2  # an end-diastolic one and an end-systolic one
HEADER_2019 = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "CenterOfRotation": "0 0 0",
    "AnatomicalOrientation": "RAI",
    "Offset": "0 0 0",
    "ElementSpacing": "0.308 0.154 1.54",
    "DimSize": "",
    "ElementNumberOfChannels": "1",
    "ElementType": "MET_UCHAR",
    "ElementDataFile": "",
}


@contextmanager
def coarse_pixels() -> Iterator[None]:
    """Pixels so large that ten patients are drawn in a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phantom_camus, "SPACING", (4.0, 4.0))
        patch.setattr(phantom_camus, "SPACING_2019", (4.0, 4.0))
        patch.setattr(phantom_unity, "ROWS", 96)
        yield


@pytest.fixture
def coarse() -> Iterator[None]:
    with coarse_pixels():
        yield


@pytest.fixture(scope="module")
def camus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten patients; like the folders below for reading only."""
    out = tmp_path_factory.mktemp("new") / "camus"
    with coarse_pixels():
        LAYOUTS["camus"](out, 10, 0)
    return out


@pytest.fixture(scope="module")
def camus_2019(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("camus_2019")
    with coarse_pixels():
        write_camus_2019(folder, 10)
    return folder


@pytest.fixture(scope="module")
def unity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unity")
    with coarse_pixels():
        write_unity(folder, 12)
    return folder


def info(path: Path) -> dict[str, str]:
    return dict(line.split(": ") for line in path.read_text().splitlines())


def header_2019(path: Path) -> dict[str, str]:
    return {
        key: " ".join(value.split()) for key, value in (line.split(" = ") for line in path.read_text().splitlines())
    }


def content(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
def test_camus_nifti_files_are_the_phantom_under_the_header_of_the_release(tmp_path, phase):
    write_camus(tmp_path, 1, seed=3)
    study = examine("camus_like", 0, seed=3)
    frame = draw_window(study, study.hearts[phase], PHASES.index(phase), (0.308, 0.308))
    rows, columns = frame.image.shape
    for kind, expected in (("", frame.image), ("_gt", frame.label)):
        file = tmp_path / "database_nifti" / "patient0001" / f"patient0001_4CH_{phase}{kind}.nii.gz"
        raw = gzip.decompress(file.read_bytes())
        size, dimensions = struct.unpack_from("<i", raw)[0], struct.unpack_from("<8h", raw, 40)
        assert (size, raw[344:348]) == (348, b"n+1\0")
        assert dimensions[:3] == (2, columns, rows)  # nibabel's order
        assert struct.unpack_from("<2h", raw, 70) == (16, 32)  # float32
        assert struct.unpack_from("<3f", raw, 76) == pytest.approx((1, 0.308, 0.308))
        assert struct.unpack_from("<f", raw, 108) == (352,)
        assert struct.unpack_from("<2f", raw, 112) == (1, 0)  # slope and intercept
        assert raw[123] & 7 == 2  # mm
        assert struct.unpack_from("<2h", raw, 252) == (1, 1)  # qform and sform
        affine = np.array(struct.unpack_from("<12f", raw, 280)).reshape(3, 4)
        np.testing.assert_allclose(affine, np.diag([-0.308, -0.308, 1, 1])[:3], rtol=1e-6)
        # the first dimension varies fastest
        assert np.array_equal(np.frombuffer(raw, "<f4", offset=352).reshape(rows, columns), expected)
    assert rows == round(study.depth / 0.308)
    assert 0.9 < columns / rows < 1.5  # CAMUS: median 1.21


@pytest.mark.slow
def test_camus_2019_files_are_the_phantom_with_pixels_twice_as_wide_as_high(tmp_path):
    write_camus_2019(tmp_path, 1, seed=3)
    study, home = examine("camus_like", 0, seed=3), tmp_path / "training" / "patient0001"
    for instant, phase in enumerate(PHASES):
        frame = draw_window(study, study.hearts[phase], instant, (0.154, 0.308))
        rows, columns = frame.image.shape
        assert rows == round(study.depth / 0.154)
        for kind, expected in (("", frame.image), ("_gt", frame.label)):
            name = f"patient0001_4CH_{phase}{kind}"
            file = {"DimSize": f"{columns} {rows} 1", "ElementDataFile": f"{name}.raw"}
            header = header_2019(home / f"{name}.mhd")
            assert header == HEADER_2019 | file
            assert list(header) == list(HEADER_2019)
            assert (home / f"{name}.raw").read_bytes() == expected.tobytes()


def test_the_2019_header_is_that_of_the_real_release(echo_data):
    path = echo_data / "camus_2019" / "training" / "patient0001" / "patient0001_4CH_ED.mhd"
    header = header_2019(path)
    assert header | {"DimSize": "", "ElementDataFile": ""} == HEADER_2019
    assert list(header) == list(HEADER_2019)
    text = path.read_text().replace(header["ElementDataFile"], "{name}.raw")
    sizes = re.compile(r"DimSize = .*")
    assert sizes.sub("", text) == sizes.sub("", phantom_camus.METAIMAGE)  # to the blank


def test_camus_has_the_folders_and_the_split_of_the_release(camus):
    split = {path.name: path.read_text().split() for path in (camus / "database_split").glob("subgroup_*.txt")}
    names = [f"patient{number:04d}" for number in range(1, 11)]
    assert split == {
        "subgroup_training.txt": names[:7],
        "subgroup_validation.txt": names[7:8],
        "subgroup_testing.txt": names[8:],
    }
    assert (camus / "database_split" / "information.txt").is_file()
    assert sorted(path.name for path in (camus / "database_nifti").iterdir()) == names
    for name in names:
        images = [f"{name}_4CH_{phase}{kind}.nii.gz" for phase in PHASES for kind in ("", "_gt")]
        assert {path.name for path in (camus / "database_nifti" / name).iterdir()} == {"Info_4CH.cfg", *images}


def test_camus_2019_numbers_testing_patients_anew_and_does_not_annotate_them(camus_2019):
    names = {part: sorted(path.name for path in (camus_2019 / part).iterdir()) for part in ("training", "testing")}
    assert names == {"training": [f"patient{number:04d}" for number in range(1, 10)], "testing": ["patient0001"]}
    for part, kinds in (("training", ("", "_gt")), ("testing", ("",))):
        files = [f"patient0001_4CH_{p}{k}.{s}" for p in PHASES for k in kinds for s in ("mhd", "raw")]
        assert {path.name for path in (camus_2019 / part / "patient0001").iterdir()} == {"Info_4CH.cfg", *files}
    assert not {"LVedv", "LVesv", "LVef"} & set(info(camus_2019 / "testing" / "patient0001" / "Info_4CH.cfg"))


def test_camus_info_files_describe_the_same_patient_in_the_words_of_each_release(camus, camus_2019):
    common = ["ED", "ES", "NbFrame", "Sex", "Age", "ImageQuality"]
    for number in range(4):
        new = info(camus / "database_nifti" / f"patient{number + 1:04d}" / "Info_4CH.cfg")
        old = info(camus_2019 / "training" / f"patient{number + 1:04d}" / "Info_4CH.cfg")
        assert list(new) == [*common, "EF", "FrameRate"]
        assert list(old) == [*common, "LVedv", "LVesv", "LVef"]
        assert [new[key] for key in common] == [old[key] for key in common]
        assert (new["ED"], new["ES"]) == ("1", new["NbFrame"])
        assert new["Sex"] in "FM"
        assert new["ImageQuality"] in ("Good", "Medium", "Poor")
        edv, esv, ef = (float(old[key]) for key in ("LVedv", "LVesv", "LVef"))
        assert ef == pytest.approx(100 * (edv - esv) / edv, abs=0.2)  # one decimal of a ml
        assert int(new["EF"]) == pytest.approx(ef, abs=0.56)
        study = examine("camus_like", number)
        assert edv == pytest.approx(disc_volume(trace(study.scanner.protocol, study.hearts["ED"])), abs=0.051)


def test_unity_has_the_files_of_the_release(unity):
    lists = {
        path.stem.removeprefix("labels-"): json.loads(path.read_text()) for path in (unity / "labels").glob("*.json")
    }
    assert {name: len(entries) for name, entries in lists.items()} == {"train": 18, "tune": 2, "ival": 4, "all": 24}
    assert lists["train"] | lists["tune"] | lists["ival"] == lists["all"]
    for name, entries in lists.items():
        assert (unity / "labels" / f"labels-{name}.txt").read_text().split() == list(entries)
    for name in lists["all"]:
        parts = re.fullmatch(r"01-(([0-9a-f]{2})([0-9a-f]{2})[0-9a-f]{60})-\d{4}\.png", name)
        assert parts
        with Image.open(unity / "png-cache" / "01" / parts[2] / parts[3] / name) as image:
            assert (image.mode, image.size) == ("RGB", (128, 96))  # coarse
    assert [row["view"] for row in rows_of(unity / "view_index_20220705.csv")] == ["a4c"] * 24
    assert {row["file"] for row in rows_of(unity / "view_index_20220705.csv")} == set(lists["all"])
    for patient, row in enumerate(rows_of(unity / "01_database_physical.csv")):
        assert row["FileHash"] == f"01-{video_name(patient)}"
        depth = examine("unity_like", patient).window[3]  # mm over 96 rows
        assert float(row["PhysicalDeltaX"]) == float(row["PhysicalDeltaY"]) == pytest.approx(depth / 960)


def test_unity_marks_every_label_as_drawn_absent_or_unclear(unity):
    entries = list(json.loads((unity / "labels" / "labels-all.json").read_text()).values())
    always = {f"curve-{chamber}-endo" for chamber in ("lv", "la", "rv", "ra")} | {"mv-ant-hinge", "curve-lv-post-endo"}
    types: dict[str, set[str]] = {}
    for number, entry in enumerate(entries):
        assert list(entry) == ["labels"]
        assert always <= set(entry["labels"])
        assert ("curve-lv-epi" in entry["labels"]) == (number // 2 % 3 == 0)  # every third patient, both images
        for name, label in entry["labels"].items():
            types.setdefault(name, set()).add(label["type"])
            assert set(label) == {"type", "x", "y"}
            count = len(label["x"].split())
            assert len(label["y"].split()) == count
            assert {"curve": count >= 9, "point": count == 1, "off": count == 0, "blurred": count == 0}[label["type"]]
    assert types["curve-lv-endo"] == {"curve"}
    assert types["curve-la-endo"] == {"curve", "blurred"}  # the sector cuts some
    assert types["curve-lv-post-endo"] == {"off"}


@pytest.mark.slow
def test_unity_curves_outline_the_structures_of_the_phantom(tmp_path):
    write_unity(tmp_path, 2)
    drawn = 0
    for place, (name, entry) in enumerate(json.loads((tmp_path / "labels" / "labels-all.json").read_text()).items()):
        study, phase = examine("unity_like", place // 2), PHASES[place % 2]
        label = draw_window(study, study.hearts[phase], place % 2, (study.window[3] / 600,) * 2).label
        assert label.shape == (600, 800)
        label = label[::4, ::4]  # the polygons below take their time
        with Image.open(next(tmp_path.rglob(name))) as image:
            assert (image.mode, image.size) == ("RGB", (800, 600))
        masks = {}
        for curve in ("curve-lv-endo", "curve-lv-epi", "curve-la-endo"):
            nodes = entry["labels"].get(curve, {"x": "", "y": ""})
            points = np.array([nodes["x"].split(), nodes["y"].split()], float).T
            if len(points):
                along = np.insert(np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum(), 0, 0)
                line = CubicSpline(along, points, bc_type="natural")(np.linspace(0, along[-1], 500))
                masks[curve] = inside(line / 4, (150, 200))
        assert dice(masks["curve-lv-endo"], label == LV) > 0.98
        if "curve-la-endo" in masks:
            assert dice(masks["curve-la-endo"], label == ATRIUM) > 0.98
        if "curve-lv-epi" in masks:
            assert dice(masks["curve-lv-epi"] & ~masks["curve-lv-endo"], label == MYOCARDIUM) > 0.975  # a thin ring
        drawn += len(masks)
    assert drawn >= 8


WRITERS: dict[str, Callable[..., None]] = {
    "camus": write_camus,
    "camus-2019": write_camus_2019,
    "echonet-dynamic": partial(write_echonet_dynamic, frames=2),
    "unity": write_unity,
}


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("name", WRITERS)
def test_the_same_seed_writes_the_same_bytes_and_another_seed_other_patients(tmp_path, name):
    written = []
    for place, seed in enumerate((5, 5, 6)):
        (tmp_path / str(place)).mkdir()
        WRITERS[name](tmp_path / str(place), 1, seed)
        written.append(content(tmp_path / str(place)))
    assert written[0] == written[1]
    assert len(written[0]) >= 3
    different = {path for path in written[0] if written[0][path] != written[2].get(path)}
    assert len(different) >= len(written[0]) - 6  # the split, the headers and the list of views may be the same


def test_a_layout_says_that_it_is_a_phantom(camus):
    assert re.search(r"^Phantom: .* shows no person; in the layout of CAMUS", (camus / "PHANTOM.txt").read_text())
    assert [path.name for path in camus.parent.iterdir()] == ["camus"]  # nothing unfinished


def test_the_layouts_are_those_that_readers_exist_for():
    assert list(LAYOUTS) == ["camus", "camus-2019", "echonet-dynamic", "left-atrium", "open-kbp", "unity"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_existing_folder_is_not_overwritten(tmp_path, name):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match=r"out exists; remove it or choose another folder"):
        LAYOUTS[name](tmp_path / "out", 10)
    assert not list((tmp_path / "out").iterdir())


def test_too_few_patients_and_negative_seeds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="9 phantom patients leave a fold empty; at least 10"):
        LAYOUTS["unity"](tmp_path / "out", 9)
    with pytest.raises(ValueError, match="expected a seed of 0 or more, got -1"):
        LAYOUTS["unity"](tmp_path / "out", 10, -1)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("coarse")
def test_interrupted_writing_leaves_nothing_under_the_final_name_and_can_be_repeated(tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(phantom_camus, "disc_volume", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            LAYOUTS["camus"](tmp_path / "out", 10)
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial"]
    LAYOUTS["camus"](tmp_path / "out", 10)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
