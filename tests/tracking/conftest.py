"""One MLflow database for all tests of tracking: making its tables takes seconds."""

import pytest
from mlflow import MlflowClient

from common.tracking import connect


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    client = connect(f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db")
    client.search_experiments()
    return client


@pytest.fixture(scope="session")
def uri(client: MlflowClient) -> str:
    return client.tracking_uri
