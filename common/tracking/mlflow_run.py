"""Record a training as one MLflow run: failed when it fails, resumed with it, and never a reason for it to end.

MONAI's own handler joins any unfinished run of the same experiment and logs two parameters; here only the id, which is
kept in the training's folder, identifies the run. Everything is on disk first (`outbox.py`, `history.json`), and a
thread hands it in (`courier.py`).
"""

from __future__ import annotations

import atexit
import json
import logging
import platform
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from ..configuration import without_password
from ..identity import fingerprint
from .client import is_off
from .courier import Courier
from .delivery import TOKEN
from .inputs import dataset_inputs
from .names import shortened
from .origin import git_commit, origin_tags
from .outbox import PLACE, RUN_FILE, Outbox, original_of, read_outbox, read_run, write_outbox

__all__ = ["WEIGHTS", "MLflowRun", "checked_tags"]

WEIGHTS = "weights_digest"  # tag of an ended training; a parameter of its evaluations begins with it

OF_GRID = {"mlflow.parentRunId", "cell", "role", "run_hash"}  # tags that a grid gives its trainings, beside its axes
OURS = {  # tags by which runs, evaluations and grids are found
    *("role", "data_checksum", "fold", "weights", WEIGHTS, "overrides", TOKEN, "error", PLACE, "git_commit"),
    *("grid", "bundle", "settings", "data", "planned", *OF_GRID),
}
LOGGER = logging.getLogger(__name__)


def checked_tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Return the setting `tags` with its values as text, empty for None.

    Args:
        tags: of a training; those of a grid's training, which have all of `OF_GRID`, may name its axes, too.

    Raises:
        ValueError: if a name is not text, or is one that MLflow or this project uses.

    Example:
        >>> checked_tags({"purpose": "thesis"})
        {'purpose': 'thesis'}
    """
    tags = {name: str(value) for name, value in (tags or {}).items()}  # YAML reads 2024-05-01 as a date
    own = {*OF_GRID, *json.loads(tags["cell"])} if tags.keys() >= OF_GRID else set[str]()
    for name in tags.keys() - own:
        if not isinstance(name, str) or not name:
            raise ValueError(f"--tags: expected names of one character or more, got {name!r}.")
        if name.startswith("mlflow.") or name in OURS:
            whose = "MLflow" if name.startswith("mlflow.") else "this project"
            raise ValueError(f"--tags: {name!r} is a name that {whose} uses itself; choose another.")
    return tags


class MLflowRun:
    """Ignite handler that records one training in MLflow.

    Register it after `History`, whose file it hands in.

    Args:
        folder: of the training; receives what MLflow should know and the run's id. Its artifacts are logged when the
            training ends or fails.
        uri: tracking URI; "none" sends nothing: a training that was recorded before is handed in later.
        experiment: name of the experiment, created if missing.
        name: of the run; only the id must be unique.
        parameters: everything that defines this training; nested values are logged as JSON.
        tags: of the run, in addition to those that say who ran what (`checked_tags`).
        inputs: context (training, validation) -> items of the datalist, whose datasets are logged.

    Raises:
        ValueError: as for `checked_tags`.
    """

    main_process_only = True

    def __init__(
        self,
        folder: str | Path,
        uri: str,
        experiment: str,
        name: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str] | None = None,
        inputs: Mapping[str, Iterable[Mapping[str, Any]]] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.uri = uri
        self.experiment = experiment
        self.name = name
        self.parameters = parameters
        self.tags = checked_tags(tags)
        self.inputs = inputs
        self._outbox: Outbox | None = None

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._log_epoch)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self, engine: Engine) -> None:
        if is_off(self.uri) and read_outbox(self.folder) is None:
            return
        engine.add_event_handler(Events.COMPLETED, self._end, "FINISHED")  # last: any other handler may still fail
        self._courier = Courier(self.folder, self.uri)
        self._courier.open()
        self._write(self._earlier() or self._new())
        atexit.register(self._end, "KILLED")  # an end without an ignite event
        self._courier.send(engine.state.epoch)

    def _new(self) -> Outbox:
        facts = {f"version.{name}": version(name) for name in ("torch", "monai", "pytorch-ignite")}
        facts |= {"version.python": platform.python_version(), "git_commit": git_commit()}
        return Outbox(
            token=uuid.uuid4().hex,
            tracking_uri=self._tracking_uri(),
            experiment=str(self.experiment),
            name=str(self.name)[:250],
            started=_now(),
            parameters={**self._parameters(), **facts},
            tags={**origin_tags(self.folder), **self.tags},
            inputs=dataset_inputs(self.inputs or {}),
        )

    def _tracking_uri(self) -> str:
        """Return where the run is, or will be handed in: for "none", where the folder was recorded before."""
        earlier = read_outbox(self.folder) if is_off(self.uri) else None
        return earlier.tracking_uri if earlier else without_password(self.uri)

    def _parameters(self) -> dict[str, str]:
        return {name: shortened(value) for name, value in self.parameters.items()}

    def _earlier(self) -> Outbox | None:
        """Return the outbox of the training that goes on here, open again; None if it was another one or elsewhere.

        A folder that was moved keeps its run. A copy whose original is still there leaves the run to the original.
        """
        earlier, run = read_outbox(self.folder), read_run(self.folder)
        if earlier is None or earlier.tracking_uri != self._tracking_uri():
            return None
        own = self._parameters()
        identity = {name: own[name] for name in ("training",) if name in own} or own
        if not identity.items() <= earlier.parameters.items():
            return None
        if (original := original_of(self.folder, earlier)) is not None:
            LOGGER.info("%s is a copy of %s, which keeps its MLflow run; starting a new run", self.folder, original)
            with suppress(OSError):  # with this file the run of the original would be closed
                (self.folder / RUN_FILE).unlink()
            return None
        if run is not None:
            LOGGER.info("continuing MLflow run %s", run["run_id"])
        if earlier.experiment != self.experiment:
            LOGGER.warning("the MLflow run stays in the experiment '%s', where it began", earlier.experiment)
        tags = {**earlier.tags, PLACE: str(self.folder.resolve()), **self.tags}
        tags.pop("error", None)
        return replace(earlier, status="RUNNING", ended=None, tags=tags)

    def _write(self, outbox: Outbox) -> None:
        self._outbox = outbox
        try:
            write_outbox(self.folder, outbox)
        except OSError as error:
            self._courier.warn(error)

    def _log_epoch(self, engine: Engine) -> None:
        if self._outbox is not None:
            self._courier.send(engine.state.epoch)

    def _fail(self, _: Engine, error: BaseException) -> None:
        try:
            if self._outbox is not None:
                text = without_password(f"{type(error).__name__}: {error}")
                self._outbox = replace(self._outbox, tags={**self._outbox.tags, "error": text})
            self._end("FAILED" if isinstance(error, Exception) else "KILLED")  # Ctrl-C or sys.exit
        finally:
            raise error  # what stopped the training, whatever MLflow does

    def _end(self, status: str) -> None:
        if self._outbox is not None:
            outbox, self._outbox = self._outbox, None
            tags = dict(outbox.tags)
            with suppress(OSError):  # a training that ended before its first weights
                tags[WEIGHTS] = fingerprint(self.folder / "model.pt")
            self._write(replace(outbox, status=status, ended=_now(), tags=tags))
            self._outbox = None
            self._courier.close()
            atexit.unregister(self._end)


def _now() -> int:
    return int(time.time() * 1000)
