"""Hand in a run in the background: MLflow may be slow or away, the training neither waits nor fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ..command import command
from ..configuration import without_password
from .client import is_off, let_go
from .delivery import backlog, cause, deliver, folder_lock, pending
from .outbox import OUTBOX, read_outbox

__all__ = ["PATIENCE", "Courier"]

LOGGER = logging.getLogger(__name__)
PATIENCE = 30  # seconds that the end of a run waits for an answer of MLflow


class Courier:
    """A thread that keeps MLflow up to date with the folder of a run while its process lives.

    When MLflow answers, the thread also hands in what earlier runs beside this one could not.

    Args:
        folder: of the run, with an outbox.
        uri: tracking URI; "none" keeps the run for a later hand-in.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder = folder
        self.uri = uri
        self.root = _runs_of(folder)
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._until = 0.0
        self._answered = time.monotonic()
        self._warned = False
        self._lock = folder_lock(folder)
        self._thread = threading.Thread(target=self._work, name=f"MLflow {folder.name}", daemon=True)

    def open(self) -> None:
        """Keep other processes from handing in this run; begin, unless nothing is to be sent."""
        try:
            self._lock.acquire(timeout=PATIENCE)
        except OSError as error:
            self.warn(error)
        if is_off(self.uri):
            LOGGER.info("MLflow learns later how %s goes on: %s", self.folder, self._command())
        else:
            self._thread.start()

    def send(self, until: float) -> None:
        """Hand in what the folder holds, up to an epoch; return at once."""
        self._until = until
        self._wanted.set()

    def close(self) -> None:
        """Hand in the end of the run; wait as long as MLflow answers."""
        self._answered = time.monotonic()
        self._closing.set()
        self._wanted.set()
        while self._thread.is_alive():
            self._thread.join(0.05)
            if self._overdue():
                outbox = read_outbox(self.folder)
                if outbox is not None and pending(self.folder, outbox):
                    self.warn(TimeoutError(f"no answer within {PATIENCE} s"))
                return
        let_go(self._lock)

    def _overdue(self) -> bool:
        return time.monotonic() - self._answered > PATIENCE

    def warn(self, error: BaseException) -> None:
        """Say once what is wrong, and how the run gets to MLflow later."""
        if not self._warned:
            self._warned = True
            LOGGER.warning(
                "MLflow (%s) did not record %s: %s. The run goes on; hand it in later: %s",
                without_password(str(self.uri)),
                self.folder,
                cause(error),
                self._command(),
            )

    def _command(self) -> str:
        return command(f"tracking hand-in {self.root}")

    def _work(self) -> None:
        earlier: Iterator[object] | None = None  # what other runs left behind
        begun = False
        while True:
            closing = self._closing.is_set()
            if self._wanted.wait(timeout=0 if closing or earlier is not None else None):
                self._wanted.clear()
                if self._deliver() and not begun:
                    begun, earlier = True, backlog(self.root, self.uri, self.folder)
            elif earlier is not None and not (closing and self._overdue()) and next(earlier, None) is not None:
                continue
            elif closing:
                return
            else:
                earlier = None

    def _deliver(self) -> bool:
        try:
            for _ in deliver(self.folder, self.uri, self._until, alive=True):
                self._answered = time.monotonic()
        except Exception as error:  # MLflow raises any type, and none may end a training
            self.warn(error)
            return False
        return True


def _runs_of(folder: Path) -> Path:
    """Return the folder of the runs that a run belongs to: trainings lie in it, evaluations two levels below."""
    outer = folder.parent.parent if folder.parent.name == "evaluations" else folder
    return outer.parent if outer is folder or (outer / OUTBOX).is_file() else outer
