"""Reach MLflow: its address, a client that waits for seconds instead of minutes, and experiments."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from filelock import FileLock

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # seconds; with MLflow's 120 and 7 retries a server that
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # is away blocks for minutes
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from ..atomic import PARTIAL, whole_file
from ..configuration import without_password
from .names import one_segment

__all__ = ["address", "connect", "experiment_id", "is_off", "let_go", "tracking_uri"]

SQLITE = "sqlite:///"
QUIET = ("alembic", "mlflow.store.db.utils", "urllib3.connectionpool")  # migrations; tracebacks; retries
LOCKED = 5  # seconds to wait for a database that another process has locked
LOCATIONS = (  # of artifacts in MLflow's tables
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
OPENING = 60  # seconds to wait for a process that opens the same database


def tracking_uri(default: str) -> str:
    """Return MLFLOW_TRACKING_URI if it is set, otherwise `default` (the bundle's SQLite file).

    Example:
        >>> tracking_uri("sqlite:///runs/mlflow.db").startswith(("sqlite", "http"))
        True
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or default


def address(stored: str) -> str:
    """Return a stored tracking URI, with the password that MLFLOW_TRACKING_URI may hold for it."""
    here = tracking_uri(stored)
    return here if without_password(here) == stored else stored


def is_off(uri: str | None) -> bool:
    """Return whether a tracking URI means no MLflow at all: "none", or nothing.

    Example:
        >>> is_off("none"), is_off(""), is_off("sqlite:///runs/mlflow.db")
        (True, True, False)
    """
    return not uri or str(uri).lower() == "none"


def connect(uri: str) -> MlflowClient:
    """Return a client; create a SQLite file with its folder and tables, one process at a time.

    Raises:
        ValueError: if the URI means no MLflow at all.
        OSError: if a SQLite file cannot be opened.
    """
    if is_off(uri):
        raise ValueError("this needs MLflow; name it with MLFLOW_TRACKING_URI, such as sqlite:///runs/mlflow.db.")
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if not uri.startswith(SQLITE):
        return MlflowClient(uri)
    database = Path(uri.removeprefix(SQLITE))
    database.resolve().parent.mkdir(parents=True, exist_ok=True)
    with _alone(database.with_name(f".{database.name}.lock")):
        if not database.exists() or not database.stat().st_size:
            _create(database)
        _check_opens(database)
        client = MlflowClient(uri)
        _follow(database.resolve())
        return client


def _create(database: Path) -> None:
    """Create a database with its tables, whole or not at all: MLflow cannot go on with one that a kill left unfinished.

    Where that is not possible, MLflow makes it in place, or says why it cannot.
    """
    with suppress(OSError):
        for left in database.parent.glob(f"{PARTIAL}-*-{database.name}*"):
            left.unlink()
        with whole_file(database) as partial:
            partial.touch()  # where that fails, MLflow would try for half a minute
            MlflowClient(f"{SQLITE}{partial}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let other processes wait: two that create the tables of one database would both fail."""
    lock = FileLock(path)
    with suppress(OSError):  # a folder to read from, or a process that hangs; MLflow's own error says more
        lock.acquire(timeout=OPENING)
    try:
        yield
    finally:
        let_go(lock)


def let_go(lock: FileLock) -> None:
    """Release a lock and leave no file behind."""
    if lock.is_locked:
        with suppress(OSError):  # Windows keeps open files
            Path(lock.lock_file).unlink()
    lock.release()


def _check_opens(database: Path) -> None:
    """Fail at once, and name the file: MLflow tries for two minutes and does not."""
    try:
        with closing(sqlite3.connect(database, timeout=LOCKED)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        raise OSError(f"{database}: {error}") from error


def _follow(database: Path) -> None:
    """Correct the places of artifacts after a database was moved: MLflow stores them as absolute paths."""
    new = f"{(database.parent / 'artifacts').as_uri()}/"
    with closing(sqlite3.connect(database, timeout=LOCKED)) as connection, suppress(sqlite3.Error):  # read-only, locked
        for place, name in connection.execute("SELECT artifact_location, name FROM experiments").fetchall():
            end = one_segment(name)
            old = str(place).removesuffix(quote(end))
            moved = old != new and old.endswith("/artifacts/") and not Path(url2pathname(urlsplit(old).path)).exists()
            if moved and (database.parent / "artifacts" / end).is_dir():
                for table, column in LOCATIONS:
                    change = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
                    connection.execute(change, (new, len(old) + 1, len(old), old))
        connection.commit()


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """Return the id of an experiment, created if missing; artifacts of a SQLite file are beside it.

    Raises:
        ValueError: if the experiment is deleted; the message names the command that restores it.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        local = uri.startswith(SQLITE)
        # absolute: MLflow makes it so, as its server and its clients have different working directories
        store = Path(uri.removeprefix(SQLITE)).resolve().parent / "artifacts" / one_segment(name)
        try:
            return str(client.create_experiment(name, artifact_location=store.as_uri() if local else None))
        except MlflowException:  # a parallel run was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise ValueError(
            f"the experiment '{name}' is deleted; restore it: mlflow experiments restore -x {found.experiment_id}"
        )
    return str(found.experiment_id)
