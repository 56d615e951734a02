"""`python -m common.datasets`: output, errors, and repeated runs."""

import subprocess
import sys
from pathlib import Path

import forked
import numpy as np
import pytest

from common.datasets.__main__ import main
from common.datasets.prepared import preparation
from common.datasets.prepared.layout import read_datalist, read_provenance
from common.datasets.prepared.source import Source

ROOT = Path(__file__).parents[2]
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
    assert capsys.readouterr().out == f"{phantom} is prepared already.\n"
    assert (phantom / "provenance.json").stat().st_mtime_ns == before


def test_a_folder_of_another_command_is_an_error(phantom: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SystemExit, match=r"phantom exists and was not made by this command \(\{.*'patients': '10'"):
        run(monkeypatch, PHANTOM[0], phantom, *PHANTOM[1:], "--seed", 1)
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
    with pytest.raises(SystemExit, match=r"exists and was not made by this command \(None\); remove it or choose"):
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
