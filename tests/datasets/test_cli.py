"""`python -m common.datasets`: output, errors, and repeated runs."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import forked
import numpy as np
import pytest
from own_folder import describe, tabulate, write_clinic

from common.datasets.__main__ import main
from common.datasets.catalogue import READERS
from common.datasets.prepared import preparation
from common.datasets.prepared.layout import read_datalist, read_provenance
from common.datasets.prepared.source import Source

ROOT = Path(__file__).parents[2]
DATASETS = ROOT / "common" / "datasets"
PHANTOM = ["phantom", "--size", "32", "--patients", "10", "--domain", "camus_like", "--workers", "1"]


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["common.datasets", *map(str, words)])
    main()


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "phantom"
    with pytest.MonkeyPatch.context() as monkeypatch:
        run(monkeypatch, PHANTOM[0], out, *PHANTOM[1:])
    return out


def test_ten_phantom_patients_are_split_seven_to_one_to_two(phantom: Path):
    patients = {fold: {item["patient"] for item in read_datalist(phantom, fold)} for fold in FOLDS}
    assert {fold: len(names) for fold, names in patients.items()} == {"training": 7, "validation": 1, "test": 2}
    assert len(read_datalist(phantom)) == 20, "two phases"
    provenance = read_provenance(phantom)
    assert provenance["licence"].startswith("Apache-2.0")
    assert (provenance["domains"], provenance["patients"], provenance["seed"]) == (["camus_like"], 10, 0)
    assert all(item["dataset"] == "camus_like" for item in read_datalist(phantom))
    assert all(item["values"] == [0, 1, 2, 3] for item in read_datalist(phantom))


FOLDS = ("training", "validation", "test")


def test_the_same_command_does_nothing_when_finished(
    phantom: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    before = (phantom / "provenance.json").stat().st_mtime_ns
    run(monkeypatch, PHANTOM[0], phantom, *PHANTOM[1:])
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{phantom}: nothing changed."
    assert second == f"{phantom}: 20 images (14 training, 2 validation, 4 test)"
    assert (phantom / "provenance.json").stat().st_mtime_ns == before


def test_images_keep_their_own_size_on_request_and_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    clinic = write_clinic(tmp_path / "clinic #1")
    words = [
        "folder",
        clinic,
        tmp_path / "out #1",
        "--description",
        describe(clinic),
        "--sector",
        "off",
        "--workers",
        1,
    ]
    run(monkeypatch, *words, "--size", "own")
    assert read_provenance(tmp_path / "out #1")["size"] == "own"
    with pytest.raises(SystemExit):
        run(monkeypatch, "check", tmp_path / "out #1", "--page", tmp_path / "page.html")
    said = capsys.readouterr().out
    assert "4 images: 0 errors" in said
    assert "[/]" not in said, "colours, not their markup"
    run(monkeypatch, *words, "--size", "own")
    run(monkeypatch, *words, "--size", 16)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path}/out #1: nothing changed."
    assert f"{tmp_path}/out #1: prepared again (size own -> 16: 4 images)" in lines


def test_a_folder_of_another_command_is_an_error(phantom: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SystemExit, match=r"screens: .*phantom holds the dataset 'phantom', not 'screens'; choose"):
        run(monkeypatch, "screens", phantom)
    assert read_provenance(phantom)["seed"] == 0


@pytest.mark.parametrize(("name", "images"), [("phantom", 100 * 2 * 4), ("screens", 1000)])
def test_each_drawing_command_has_its_own_number_of_patients(
    name: str, images: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def count(source: Source, *_: object) -> None:
        raise ValueError(f"{len(source.jobs)} images")

    monkeypatch.setattr(preparation, "prepare", count)
    with pytest.raises(SystemExit, match=rf"^{name}: {images} images$"):
        run(monkeypatch, name, tmp_path / "out")


def test_a_folder_of_another_kind_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(SystemExit, match=r"exists and is not a prepared folder; choose another folder"):
        run(monkeypatch, PHANTOM[0], tmp_path, *PHANTOM[1:])
    assert (tmp_path / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--patients", 9], r"phantom: 9 phantom patients leave a fold empty; at least 10 are needed"),
        (["--domain", "mri"], r"phantom: expected phantom domains among \['camus_like', .*, got \['mri'\]"),
        (["--size", 8], r"phantom: size is 8, expected 16 to 4096 rows and columns"),
    ],
)
def test_a_wrong_request_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[object], message: str
):
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, "phantom", tmp_path / "out", *words)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_source_ends_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SystemExit, match=r"nowhere is not a directory; SOURCE is the folder of the unpacked dataset"):
        run(monkeypatch, "camus", tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(SystemExit, match=r"camus: .*SOURCE is the folder with database_nifti and database_split"):
        run(monkeypatch, "camus", tmp_path, tmp_path / "out")


@pytest.mark.slow
def test_the_command_line_reports_what_was_prepared_and_left_out(tmp_path: Path):
    itk = pytest.importorskip("itk")
    for patient in ("patient0001", "patient0002"):
        folder = tmp_path / "release" / "database_nifti" / patient
        folder.mkdir(parents=True)
        for name in (f"{patient}_4CH_{phase}{gt}.nii.gz" for phase in ("ED", "ES") for gt in ("", "_gt")):
            itk.imwrite(itk.image_view_from_array(np.ones((20, 24), np.float32)), str(folder / name))
    (folder / "patient0002_4CH_ES_gt.nii.gz").unlink()
    split = tmp_path / "release" / "database_split"
    split.mkdir()
    (split / "subgroup_training.txt").write_text("patient0001\npatient0002\n")

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return forked.run(["common.datasets", "camus", f"{tmp_path}/release", f"{tmp_path}/out", *words], cwd=ROOT)

    stopped = command("--size", "16", "--workers", "1")
    assert stopped.returncode != 0
    assert stopped.stderr.strip().splitlines() == [
        "camus: patient0002 has no patient0002_4CH_ES_gt.nii.gz; run with --skip-incomplete to leave the image out."
    ]
    done = command("--size", "16", "--workers", "1", "--skip-incomplete")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{tmp_path}/out: 3 images (3 training)",
        "  left out: 2CH view, not in this copy of the data",
        "  left out: patient0002_4CH_ES, patient0002_4CH_ES_gt.nii.gz is missing",
    ]


@pytest.mark.parametrize("name", READERS)
def test_a_reader_is_one_file_and_one_line(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The command line finds the function, and the options that its file states, by the line of the catalogue."""
    module = import_module(f"common.datasets.{READERS[name][0]}")
    dataset = name.replace("-", "_")
    asked: dict[str, object] = {}

    def read(source: Path, **options: object) -> Source:
        asked.update(options, source=source)
        return Source(dataset, [], "none", "nobody", {dataset: [["background"]]})

    assert callable(getattr(module, dataset))
    monkeypatch.setattr(module, dataset, read)
    with pytest.raises(SystemExit, match=f"{name}: {dataset}: no image to prepare"):
        run(monkeypatch, name, tmp_path, tmp_path / "out", *(["--sector", "off"] * getattr(module, "SECTOR", False)))
    options = [option.lstrip("-").replace("-", "_") for option in getattr(module, "OPTIONS", {})]
    assert asked == {"source": tmp_path, **dict.fromkeys(options, asked[options[0]] if options else None)}


def test_the_label_sets_of_camus_stand_in_one_file():
    """Nowhere else, in no bundle and no workflow: what labels mean is stated where data are made."""
    paths = [
        *(ROOT / "common").rglob("*.py"),
        *(ROOT / "common/workflows").rglob("*.yaml"),
        *ROOT.glob("bundles/*/configs/*"),
    ]
    assert len(paths) > 200
    stating = [path for path in paths if re.search(r"lv_cavity\W{1,8}[])]\W{1,8}lv_myocardium", path.read_text())]
    assert stating == [DATASETS / "catalogue.py"]


@pytest.mark.slow
def test_columns_that_are_not_used_are_printed_with_the_nearest_known_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    clinic = write_clinic(tmp_path / "clinic")
    row = "images/p_1_4CH_ED.png,masks/p_1_4CH_ED_mask.png,0.3,1950"
    description = tabulate(clinic, "image,label,mm_row,born", row)
    options = ["--description", description, "--size", 16, "--workers", 1, "--sector", "off"]
    run(monkeypatch, "folder", clinic, tmp_path / "out", *options)
    line = "  columns not used: mm_row (did you mean 'spacing_row'?), born; list a column under 'keep' to copy it"
    assert line in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(("modality", "sought"), [(None, True), ("US", True), ("CT", False), ("MR", False)])
def test_the_sector_is_sought_in_ultrasound_alone(
    modality: str | None, sought: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    clinic = write_clinic(tmp_path / "clinic")
    description = describe(clinic, modality=modality)
    finders: list[object] = []

    def remember(*arguments: object) -> None:
        finders.append(arguments[5])
        raise ValueError("enough")

    monkeypatch.setattr(preparation, "prepare", remember)
    with pytest.raises(SystemExit, match="folder: enough"):
        run(monkeypatch, "folder", clinic, tmp_path / "out", "--description", description)
    assert [finder is not None for finder in finders] == [sought]
    message = (
        "enough" if sought else f"--sector fit needs ultrasound, but the description states the modality {modality}"
    )
    with pytest.raises(SystemExit, match=f"folder: {message}"):
        run(monkeypatch, "folder", clinic, tmp_path / "out", "--description", description, "--sector", "fit")
