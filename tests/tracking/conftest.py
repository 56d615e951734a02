"""One MLflow database for all tests of tracking: making its tables takes seconds."""

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from common.tracking import connect


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    folder = tmp_path_factory.mktemp("tracking")
    client = connect(f"sqlite:///{folder}/mlflow.db")
    client.search_experiments()
    shutil.copy(folder / "mlflow.db", folder / "empty.db")
    return client


@pytest.fixture(scope="session")
def uri(client: MlflowClient) -> str:
    return client.tracking_uri


@pytest.fixture
def other(uri: str, tmp_path: Path) -> str:
    """A new database of one test, whose tables are made."""
    shutil.copy(Path(uri.removeprefix("sqlite:///")).with_name("empty.db"), tmp_path / "other.db")
    return f"sqlite:///{tmp_path}/other.db"
