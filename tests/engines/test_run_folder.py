"""A new training keeps the folders of earlier ones."""

from pathlib import Path

from common.engines import run_folder


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path):
    run_folder(tmp_path / "runs" / "first", resume=False)
    assert (tmp_path / "runs" / "first").is_dir()


def test_old_trainings_are_numbered_and_never_overwritten(tmp_path: Path):
    folder = tmp_path / "run"
    for number in range(4):
        run_folder(str(folder), resume=False)
        assert list(folder.iterdir()) == []
        (folder / "model.pt").write_text(str(number))
    names = {path.name: (path / "model.pt").read_text() for path in tmp_path.iterdir()}
    assert names == {"run": "3", "run.previous-1": "0", "run.previous-2": "1", "run.previous-3": "2"}


def test_a_gap_in_the_numbers_overwrites_nothing(tmp_path: Path):
    for name in ("run", "run.previous-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.pt").write_text(name)
    run_folder(tmp_path / "run", resume=False)
    assert (tmp_path / "run.previous-1" / "model.pt").read_text() == "run"
    assert (tmp_path / "run.previous-2" / "model.pt").read_text() == "run.previous-2"


def test_resuming_keeps_the_folder(tmp_path: Path):
    (tmp_path / "last.pt").write_text("precious")
    run_folder(tmp_path, resume=True)
    assert (tmp_path / "last.pt").read_text() == "precious"
    run_folder(tmp_path / "new", resume=True)
    assert (tmp_path / "new").is_dir()


def test_an_empty_folder_is_used_as_it_is(tmp_path: Path):
    (tmp_path / "run").mkdir()
    run_folder(tmp_path / "run", resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
