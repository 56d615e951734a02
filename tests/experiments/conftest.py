"""One MLflow database for all tests of reports: making its tables takes seconds."""

from pathlib import Path

import pytest
from synthetic_grid import SyntheticGrid, inter_domain_runs, results_of

from common.experiments.reports.results import Results
from common.tracking import connect


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An empty store; each test that writes uses its own experiment."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    connect(uri).search_experiments()
    return uri


@pytest.fixture(scope="session")
def inter_domain() -> Results:
    """Inter-domain results of one network and two seeds in which the papers' claims hold."""
    return results_of(list(inter_domain_runs()))


@pytest.fixture(scope="session")
def inter_domain_store(store: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same in MLflow with one seed, a failed run and a missing run."""
    folder: Path = tmp_path_factory.mktemp("inter_domain")
    grid = SyntheticGrid(store, "echo_inter_domain")
    runs = list(inter_domain_runs(seeds=1))
    for cell, dice in runs:
        grid.add(cell, dice, folder, predictions=cell.get("label_dropout") in (None, 0.0, 0.4))
    grid.add({**runs[-1][0], "seed": 2}, runs[-1][1], folder, status="FAILED")
    grid.close(planned=len(runs) + 2)
    return store
