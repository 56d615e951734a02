"""What MLflow should know about a run, and what it knows: two files in the run's folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..atomic import write_text
from ..configuration import without_password
from ..identity import digest

__all__ = [
    "OUTBOX",
    "PLACE",
    "RUN_FILE",
    "Outbox",
    "original_of",
    "read_outbox",
    "read_rows",
    "read_run",
    "write_outbox",
    "write_run",
]

LOGGER = logging.getLogger(__name__)
OUTBOX = "mlflow_outbox.json"
RUN_FILE = "mlflow_run.json"
PLACE = "folder"  # the tag that holds the absolute path of the run's folder
RUN = {"run_id": str, "tracking_uri": str}  # what a file must state
OUTGOING = {"token": str, "tracking_uri": str, "experiment": str, "name": str, "started": int}
MORE = {"status": str, "parameters": dict, "tags": dict, "inputs": list, "metrics": dict, "epochs": int}  # and may


@dataclass(frozen=True)
class Outbox:
    """What MLflow should know about a run; the epochs are in `history.json`.

    Args:
        token: identifies the run at the server, even if its answer to the creation was lost.
        tracking_uri: without a password.
        experiment: name.
        name: of the run.
        started: milliseconds since 1970.
        status: "RUNNING", "FINISHED", "FAILED" or "KILLED".
        ended: milliseconds since 1970.
        parameters: name -> value as text.
        tags: name -> text.
        inputs: datasets, as `dataset_inputs` describes them.
        metrics: results without an epoch.
    """

    token: str
    tracking_uri: str
    experiment: str
    name: str
    started: int
    status: str = "RUNNING"
    ended: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Mapping[str, str], ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)

    def description(self) -> str:
        """Return a digest of everything but the epochs and the state."""
        parts = [self.name, dict(self.parameters), dict(self.tags), list(self.inputs), dict(self.metrics)]
        return digest(json.dumps(parts, sort_keys=True))[:16]


def write_outbox(folder: Path, outbox: Outbox) -> None:
    """Write the outbox of a run, without passwords, whole or not at all."""
    write_text(folder / OUTBOX, json.dumps(_masked(asdict(outbox)), indent=1) + "\n")


def _masked(node: Any) -> Any:
    """Return nested values without the passwords in their texts and names."""
    if isinstance(node, Mapping):
        return {without_password(name): _masked(value) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return [_masked(value) for value in node]
    return without_password(node) if isinstance(node, str) else node


def read_outbox(folder: Path) -> Outbox | None:
    """Read the outbox of a run; None if there is none that can be read."""
    content = _read(folder / OUTBOX, OUTGOING)
    try:
        return None if content is None else Outbox(**{**content, "inputs": tuple(content.get("inputs", ()))})
    except TypeError:  # of another version
        return None


def original_of(folder: Path, outbox: Outbox) -> Path | None:
    """Return the folder of which another one is a copy: it is where the outbox was written, and has the same run.

    A folder that was moved has no original: its run goes with it.

    Args:
        folder: of a run.
        outbox: in it.
    """
    place = Path(outbox.tags.get(PLACE, folder))
    try:
        there = None if not place.is_dir() or place.samefile(folder) else read_outbox(place)
    except OSError:  # of somebody else
        return None
    same = there is not None and there.token == outbox.token
    return place if same and not _databases_differ(folder, place) else None


def _databases_differ(one: Path, other: Path) -> bool:
    """Return whether two run folders hand in to different SQLite files, as those of a copied project do."""
    uri = str((read_run(one) or {}).get("tracking_uri", ""))
    path = Path(uri.removeprefix("sqlite:///"))
    if uri == str(path) or path.is_absolute():
        return False
    found = [[up / path for up in place.resolve().parents if (up / path).is_file()] for place in (one, other)]
    return all(found) and not found[0][0].samefile(found[1][0])


def write_run(folder: Path, run: Mapping[str, Any]) -> None:
    """Write what MLflow knows: run_id, tracking_uri, and how much was handed in."""
    write_text(folder / RUN_FILE, json.dumps({**run, "tracking_uri": without_password(run["tracking_uri"])}) + "\n")


def read_run(folder: Path) -> dict[str, Any] | None:
    """Read what MLflow knows about a run; None if there is nothing that can be read."""
    return _read(folder / RUN_FILE, RUN)


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Read the epochs of a training, with their numbers; empty if there are none that can be read."""
    path = folder / "history.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [{**_numbers(row), "epoch": int(row["epoch"])} for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        LOGGER.warning("%s is damaged (%s); MLflow gets none of its epochs.", path, error)
        return []


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if isinstance(value, int | float)}


def _read(path: Path, required: Mapping[str, type]) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or not content.keys() >= required.keys():
            raise ValueError(f"it does not name {', '.join(required)}")
        for name, kind in {**MORE, **required}.items():
            if not isinstance(content.get(name, kind()), kind):
                raise ValueError(f"its {name} is {content[name]!r}")
    except (OSError, ValueError) as error:
        LOGGER.warning("%s is not readable (%s); it is written again.", path, error)
        return None
    return content
