"""The SQLite file of MLflow is whole or not there."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.tracking import client
from common.tracking.client import connect

CREATE = "import sys; from common.tracking.client import connect; connect(sys.argv[1])"
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.5])
def test_a_kill_while_the_tables_are_made_leaves_a_database_that_can_be_made(tmp_path: Path, seconds: float):
    database = tmp_path / "mlflow.db"
    process = subprocess.Popen([sys.executable, "-c", CREATE, f"sqlite:///{database}"], cwd=ROOT)
    until = time.monotonic() + 120
    while not list(tmp_path.glob("*mlflow.db")) and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(seconds)
    process.kill()
    process.wait()
    assert connect(f"sqlite:///{database}").get_experiment("0").name == "Default"
    assert os.listdir(tmp_path) == ["mlflow.db"]


def test_an_empty_file_gets_its_tables_and_a_database_keeps_them(tmp_path: Path):
    database = tmp_path / "mlflow.db"
    database.touch()
    made = connect(f"sqlite:///{database}").create_experiment("mine")
    assert connect(f"sqlite:///{database}").get_experiment(made).name == "mine"
    with sqlite3.connect(database) as connection:
        assert not connection.execute("SELECT name FROM sqlite_master WHERE name LIKE '_alembic_tmp%'").fetchall()


def test_a_database_that_cannot_be_made_is_said_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "OPENING", 0.1)  # /proc has no files for locks either
    start = time.monotonic()
    with pytest.raises(OSError, match="unable to open database file"):
        connect("sqlite:////proc/mlflow.db")
    assert time.monotonic() - start < 10, "MLflow alone would try for half a minute"
