"""The folder of a training: it belongs to one process, and a new training never overwrites an earlier one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from ignite.engine import Engine, Events

from ..atomic import remove_partial_files, write_text
from ..configuration import without_password
from .checkpoint import read_checkpoint

__all__ = ["RunFolder", "claim", "mark", "release", "run_folder", "save_configuration"]

LOGGER = logging.getLogger(__name__)
MARK = ".training"  # the first file that a training writes into its folder
TRAINED = ("history.json", "last.pt", "model.pt")  # beside config.yaml, in folders of earlier versions
LISTED = 3  # names in a message
_held: dict[Path, FileLock] = {}
_training: dict[Path, threading.Thread] = {}  # the thread whose training has claimed a folder and has not ended


class RunFolder:
    """Claim the folder of a training when it starts, and write its configuration there: `config.yaml`.

    Register it first: until then nothing is written, and what it refuses leaves the folder as it was.

    Args:
        folder: of the training.
        settings: that identify the training, as given to `Resume`.
        configuration: of the training, with its overrides.
        resume: continue the training in the folder, if there is one with a checkpoint.

    Raises:
        OSError: as for `claim` and `run_folder`.
        ValueError: as for `Resume`.
    """

    main_process_only = True

    def __init__(
        self, folder: str | Path, settings: Mapping[str, Any], configuration: Mapping[str, Any], resume: bool
    ) -> None:
        self.folder = Path(folder)
        self.settings = settings
        self.configuration = configuration
        self.resume = resume
        self._claimed = False

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self)
        engine.add_event_handler(Events.COMPLETED, lambda: _training.pop(self.folder.resolve(), None))

    def __call__(self, engine: Engine) -> None:
        """Claim the folder, once: federated learning starts a trainer again and again."""
        if self._claimed:
            return
        _check_content(self.folder)
        folder, own = self.folder.resolve(), threading.current_thread()
        if (other := _training.setdefault(folder, own)) is not own and other.is_alive():
            raise _taken(folder)
        claim(folder)
        _training[folder] = own
        resume = self.resume
        if resume and read_checkpoint(self.folder, self.settings, engine.state.device) is None:
            resume = not (self.folder / "model.json").is_file()  # of a training whose checkpoint somebody removed
        run_folder(self.folder, resume)
        save_configuration(self.folder, self.configuration)
        self._claimed = True


def claim(folder: str | Path) -> None:
    """Hold the folder of a training for this process until it ends (or `release`).

    Raises:
        BlockingIOError: if another process holds it.
        OSError: if its parent is not writable.
    """
    folder = Path(folder).resolve()
    if folder in _held:
        return
    lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise _taken(folder) from None
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{folder} cannot be written ({reason}); choose another --runs_dir or --output_dir.") from error
    _held[folder] = lock


def _taken(folder: Path) -> BlockingIOError:
    return BlockingIOError(
        f"a training is running in {folder}; wait for it, or choose another --run_name or --output_dir."
    )


def release(folder: str | Path) -> None:
    """Let other processes have a folder that this process holds."""
    _training.pop(Path(folder).resolve(), None)
    if lock := _held.pop(Path(folder).resolve(), None):
        lock.release()


def mark(folder: str | Path) -> None:
    """Create the folder of a training, and mark it as one."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def run_folder(folder: str | Path, resume: bool = False) -> None:
    """Claim and create the folder of a training; rename that of an earlier training to `<name>.previous-<number>`.

    Args:
        folder: to create.
        resume: keep an existing folder, to continue its training.

    Raises:
        BlockingIOError: if another process trains in this folder.
        FileExistsError: if the folder contains anything but one training, or lies in the folder of another.
        OSError: if the folder cannot be written.
    """
    _check_content(Path(folder))
    folder = Path(folder).resolve()  # of a link, what it leads to is claimed and renamed
    claim(folder)
    content = _check_content(folder)  # it may have changed
    remove_partial_files(folder)
    if content and not resume:
        number = 1
        while (aside := folder.with_name(f"{folder.name}.previous-{number}")).exists():
            number += 1
        folder.rename(aside)
        LOGGER.info("moved an earlier training to %s", aside)
    mark(folder)


def _check_content(folder: Path) -> bool:
    """Return whether a folder contains a training; refuse any other content, and a place in another training."""
    if outer := next((path for path in folder.resolve().parents if _has_training(path)), None):
        raise FileExistsError(
            f"{folder} lies in {outer}, the folder of another training; choose another --run_name or --output_dir."
        )
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; choose another --run_name or --output_dir.")
    content = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if content and not _is_training(folder):
        shown = [name for name in content if not name.startswith(".")] or content
        names = ", ".join([*shown[:LISTED], *(["..."] if len(shown) > LISTED else [])])
        raise FileExistsError(
            f"{folder} is not the folder of one training: it contains {names}. Nothing was changed; "
            "choose another --run_name or --output_dir."
        )
    return bool(content)


def save_configuration(folder: str | Path, configuration: Mapping[str, Any]) -> None:
    """Write `config.yaml`: the configuration of a run with its overrides, without passwords, ready to be run again."""
    text = yaml.safe_dump(_written(configuration), sort_keys=False, width=120, allow_unicode=True)
    write_text(Path(folder) / "config.yaml", text)


def _is_training(folder: Path) -> bool:
    """Return whether a folder contains a training, and no other trainings in folders of its own."""
    if any(_has_training(path) for path in folder.iterdir() if path.is_dir()):
        return False
    return _has_training(folder)


def _has_training(folder: Path) -> bool:
    old = (folder / "config.yaml").is_file() and any((folder / name).is_file() for name in TRAINED)
    return (folder / MARK).is_file() or old


def _written(node: Any) -> Any:
    """Return a configuration in plain values: from Python, settings may be paths or other objects."""
    if isinstance(node, Mapping):
        return {str(name) if not isinstance(name, int) else name: _written(value) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return [_written(value) for value in node]
    if isinstance(node, str | Path):
        return without_password(str(node))
    return node if node is None or type(node) in (bool, int, float) else str(node)
