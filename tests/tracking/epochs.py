"""A training without a network: epochs, a history, and the handler that records them."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from mlflow import MlflowClient
from mlflow.entities import Run

from common.tracking import MLflowRun

EXPERIMENT = "faults"


def rows_of(epochs: int) -> list[dict[str, float]]:
    return [
        {"epoch": epoch, "train_loss": 1 / epoch, "mean_dice": 0.1 * epoch, "seconds": 0.5}
        for epoch in range(1, epochs + 1)
    ]


def train(
    folder: Path,
    uri: str,
    epochs: int = 2,
    done: int = 0,
    parameters: dict[str, Any] | None = None,
    each: Callable[[int], None] = lambda _: None,
    **more: Any,
) -> None:
    """Train `epochs` epochs, of which `done` are restored; `each` sees the end of an epoch."""
    folder.mkdir(parents=True, exist_ok=True)
    engine = Engine(lambda *_: None)

    @engine.on(Events.STARTED)
    def _(engine: Engine) -> None:
        engine.state.epoch = done

    @engine.on(Events.EPOCH_COMPLETED)
    def _(engine: Engine) -> None:
        (folder / "history.json").write_text(json.dumps(rows_of(engine.state.epoch)))

    MLflowRun(folder, uri, EXPERIMENT, "name", parameters or {"loss": "marginal"}, **more).attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: each(engine.state.epoch))
    engine.run([0], max_epochs=epochs)


def runs_of(client: MlflowClient, folder: Path) -> list[Run]:
    """Return every run that was made for a folder, whatever its state."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.folder = '{folder}'"))


def assert_complete(client: MlflowClient, folder: Path, epochs: int = 2) -> None:
    """Check that one finished run has each epoch once, and the files."""
    (run,) = runs_of(client, folder)
    assert run.info.status == "FINISHED"
    for name in ("train_loss", "mean_dice"):
        history = client.get_metric_history(run.info.run_id, name)
        assert [(item.step, item.value) for item in history] == [(row["epoch"], row[name]) for row in rows_of(epochs)]
    assert run.data.params["loss"] == "marginal"
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"history.json"}


def warnings_of(records: list[logging.LogRecord]) -> Iterator[str]:
    """Return the warnings, each of one line and without a traceback."""
    for record in records:
        if record.levelno >= logging.WARNING:
            assert record.exc_info is None
            assert "\n" not in record.getMessage()
            yield record.getMessage()
