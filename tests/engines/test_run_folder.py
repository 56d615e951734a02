"""A folder belongs to one process, and a new training keeps the folders of earlier ones."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from filelock import FileLock, Timeout
from ignite.engine import Engine, Events
from tiny_training import SETTINGS, Tiny

from common.engines import RunFolder, run_folder, save_configuration
from common.engines.run_folder import mark, release


def training(folder: Path, name: str = "model.pt", text: str = "weights") -> Path:
    mark(folder)
    (folder / name).write_text(text)
    return folder


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path):
    run_folder(tmp_path / "runs" / "first")
    assert (tmp_path / "runs" / "first").is_dir()


def test_old_trainings_are_numbered_and_never_overwritten(tmp_path: Path):
    training(tmp_path / "run.previous-2", text="another")
    for number in range(4):
        run_folder(str(tmp_path / "run"))
        assert [path.name for path in (tmp_path / "run").iterdir()] == [".training"]
        (tmp_path / "run" / "model.pt").write_text(str(number))
    found = {path.parent.name: path.read_text() for path in tmp_path.glob("*/model.pt")}
    assert found == {
        "run": "3", "run.previous-1": "0", "run.previous-2": "another", "run.previous-3": "1", "run.previous-4": "2"
    }  # fmt: skip


def test_resuming_keeps_the_folder_and_an_empty_folder_is_used(tmp_path: Path):
    training(tmp_path / "run", "last.pt", "precious")
    (tmp_path / "run" / ".partial-99-last.pt").touch()
    run_folder(tmp_path / "run", resume=True)
    assert files(tmp_path / "run") == {".training": "", "last.pt": "precious"}, "what a killed process left is gone"
    (tmp_path / "empty").mkdir()
    run_folder(tmp_path / "empty")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["empty", "run"]


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("content", [["chapter1.tex"], ["a/.training"], [".training", "b/.training"], ["config.yaml"]])
def test_only_one_training_is_ever_set_aside(tmp_path: Path, content: list[str], resume: bool):
    for name in content:
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_text("mine")
    with pytest.raises(FileExistsError, match=r"x is not the folder of one training: it contains .*; choose another"):
        run_folder(tmp_path / "x", resume)
    assert sorted(path for path in tmp_path.glob("*/**/*") if path.is_file()) == sorted(
        tmp_path / "x" / name for name in content
    )


@pytest.mark.parametrize("name", ["history.json", "last.pt", "model.pt"])
def test_the_trainings_of_earlier_versions_are_known(tmp_path: Path, name: str):
    for one in ("config.yaml", name):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / one).touch()
    run_folder(tmp_path / "run")
    assert (tmp_path / "run.previous-1" / name).is_file()


def test_a_file_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "run").touch()
    with pytest.raises(FileExistsError, match=r"run is a file; choose another"):
        run_folder(tmp_path / "run")


def test_a_second_process_is_refused_until_the_first_ends(tmp_path: Path):
    training(tmp_path / "run")
    other = FileLock(tmp_path / ".run.lock")  # as another process holds it
    other.acquire()
    before = files(tmp_path)
    for resume in (False, True):
        with pytest.raises(BlockingIOError, match=rf"^a training is running in {tmp_path}/run; wait for it, or choose"):
            run_folder(tmp_path / "run", resume)
    assert files(tmp_path) == before
    other.release()
    run_folder(tmp_path / "run", resume=True)
    run_folder(tmp_path / "run", resume=True)  # this process holds it
    with pytest.raises(Timeout):
        other.acquire(timeout=0)
    release(tmp_path / "run")
    other.acquire(timeout=0)
    other.release()


def handler(folder: Path, **settings: Any) -> RunFolder:
    configuration = {"epochs": 3, "data": Path("data/p"), "names": ("a", "ü"), 1: None}
    return RunFolder(folder, {**SETTINGS, **settings}, configuration, resume=True)


def test_what_is_refused_changes_nothing(tmp_path: Path):
    Tiny(tmp_path / "run", epochs=1).run()
    mark(tmp_path / "run")
    (tmp_path / "run" / "config.yaml").write_text("as it was")
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    engine: Any = SimpleNamespace(state=SimpleNamespace(device="cpu"))
    with pytest.raises(ValueError, match=r"learning_rate: 0\.1 then, 0\.2 now"):
        handler(tmp_path / "run", learning_rate=0.2)(engine)
    (tmp_path / "run" / "last.pt").write_bytes(b"cut")
    with pytest.raises(ValueError, match="is not a readable checkpoint"):
        handler(tmp_path / "run")(engine)
    (tmp_path / "run" / "last.pt").unlink()
    with pytest.raises(ValueError, match=r"last\.pt is missing, so the training cannot continue; .* --initial_weights"):
        handler(tmp_path / "run")(engine)
    before.pop(tmp_path / "run" / "last.pt")
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_a_training_whose_checkpoints_were_deleted_is_set_aside(tmp_path: Path):
    Tiny(tmp_path / "run", epochs=1).run()
    mark(tmp_path / "run")
    for name in ("last.pt", "model.pt"):
        (tmp_path / "run" / name).unlink()
    kept = {path.name for path in (tmp_path / "run").iterdir()}
    handler(tmp_path / "run", learning_rate=0.2)(SimpleNamespace(state=SimpleNamespace(device="cpu")))
    assert {path.name for path in (tmp_path / "run.previous-1").iterdir()} == kept
    assert {path.name for path in (tmp_path / "run").iterdir()} == {".training", "config.yaml"}
    release(tmp_path / "run")


def test_a_training_that_starts_again_in_its_process_keeps_its_folder(tmp_path: Path):
    engine: Any = SimpleNamespace(state=SimpleNamespace(device="cpu"))
    claim = handler(tmp_path / "run")
    claim(engine)
    (tmp_path / "run" / "model.pt").touch()
    claim(engine)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["run"]
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")) == {
        "epochs": 3, "data": "data/p", "names": ["a", "ü"], 1: None
    }  # fmt: skip


def test_a_second_thread_is_refused_while_the_training_of_another_runs(tmp_path: Path):
    """A notebook, or a search with several jobs: all threads of a process share its lock."""
    claimed, go_on = threading.Event(), threading.Event()
    engine = SimpleNamespace(state=SimpleNamespace(device="cpu"))
    first, ended = handler(tmp_path / "run"), Engine(lambda *_: None)
    first.attach(ended)
    ended.state.device = "cpu"

    def train() -> None:
        ended.add_event_handler(Events.EPOCH_COMPLETED, lambda: (claimed.set(), go_on.wait(60)))
        ended.run([0])

    thread = threading.Thread(target=train)
    thread.start()
    assert claimed.wait(60)
    with pytest.raises(BlockingIOError, match=r"a training is running in .*run; wait for it, or choose another"):
        handler(tmp_path / "run")(engine)
    handler(tmp_path / "other")(engine)
    go_on.set()
    thread.join()
    handler(tmp_path / "run")(engine)


def test_a_training_within_the_folder_of_another_is_refused(tmp_path: Path):
    run_folder(tmp_path / "outer")
    for resume in (False, True):
        with pytest.raises(FileExistsError, match=r"outer/a/b lies in .*/outer, the folder of another training; "):
            run_folder(tmp_path / "outer" / "a" / "b", resume)
    assert [path.name for path in (tmp_path / "outer").iterdir()] == [".training"]


def test_a_link_to_the_folder_of_a_running_training_is_held_with_it(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "run")
    run_folder(tmp_path / "link")
    with pytest.raises(Timeout):
        FileLock(tmp_path / ".run.lock").acquire(timeout=0)
    run_folder(tmp_path / "link")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["link", "run", "run.previous-1"]
    release(tmp_path / "link")
    FileLock(tmp_path / ".run.lock").acquire(timeout=0)


def test_the_saved_configuration_has_no_password(tmp_path: Path):
    addresses = {"tracking_uri": "https://me:secret@server:5000/x", "other": ["sqlite:///a.db", "$'a' + @b"]}
    save_configuration(tmp_path, addresses)
    stored = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert stored == {"tracking_uri": "https://server:5000/x", "other": ["sqlite:///a.db", "$'a' + @b"]}
