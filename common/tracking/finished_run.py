"""Record a result without epochs, such as an evaluation, as one finished MLflow run."""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow.entities import Metric

from .client import connect, is_off, tracking_uri
from .courier import Courier
from .delivery import PARENT, cause, described
from .inputs import dataset_inputs
from .names import mlflow_name, shortened, without_password
from .origin import origin_tags
from .outbox import Outbox, read_outbox, read_run, write_outbox

__all__ = ["log_finished_run", "log_to_run", "tag_run"]

LOGGER = logging.getLogger(__name__)


def log_finished_run(
    folder: str | Path,
    uri: str,
    experiment: str,
    name: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str] | None = None,
    parent: str | None = None,
    inputs: Mapping[str, Iterable[Mapping[str, Any]]] | None = None,
) -> str | None:
    """Log a result without epochs as one finished run; metrics that are not finite are left out.

    A fault of MLflow is one warning: the folder keeps what is handed in later. An evaluation in
    `<training>/evaluations/` finds its parent by itself.

    Args:
        folder: of the result; its pictures, tables and JSON files are logged.
        uri: tracking URI; "none" records nothing.
        experiment: name of the experiment, created if missing.
        name: of the run.
        parameters: everything that defines this result.
        metrics: name -> value.
        tags: of the run.
        parent: id of the run that this one belongs to.
        inputs: context (test, ...) -> items of the datalist, whose datasets are logged.

    Returns:
        The id of the run; None if MLflow has none yet.
    """
    if is_off(uri):
        return None
    folder, now = Path(folder), int(time.time() * 1000)
    earlier, text = read_outbox(folder), {key: shortened(value) for key, value in parameters.items()}
    outbox = Outbox(
        token=earlier.token if earlier and earlier.parameters == text else uuid.uuid4().hex,
        tracking_uri=without_password(uri),
        experiment=str(experiment),
        name=str(name)[:250],
        started=now,
        status="FINISHED",
        ended=now,
        parameters=text,
        tags={**origin_tags(folder), **(tags or {}), **({PARENT: parent} if parent else {})},
        inputs=dataset_inputs(inputs or {}),
        metrics={key: float(value) for key, value in metrics.items()},
    )
    return _hand_in(folder, uri, outbox)


def log_to_run(folder: str | Path, metrics: Mapping[str, float], artifacts: Sequence[str | Path] = ()) -> bool:
    """Add metrics and files to the run of the training in `folder`; return whether MLflow has them."""
    run = read_run(Path(folder))
    if run is None:
        return False
    now = int(time.time() * 1000)
    entries = [Metric(mlflow_name(name), value, now, 0) for name, value in metrics.items() if math.isfinite(value)]
    try:
        client = connect(run["tracking_uri"])
        client.log_batch(run["run_id"], metrics=entries)
        for path in artifacts:
            client.log_artifact(run["run_id"], str(path))
    except Exception as error:  # MLflow raises any type
        LOGGER.warning("MLflow run %s is not at %s (%s).", run["run_id"], run["tracking_uri"], cause(error))
        return False
    return True


def tag_run(folder: str | Path, tags: Mapping[str, str]) -> str | None:
    """Add tags to the run of a folder; return its id, None if MLflow does not have them yet."""
    outbox = read_outbox(Path(folder))
    if outbox is None:
        return None
    uri = tracking_uri(outbox.tracking_uri)  # which may hold the password
    return _hand_in(Path(folder), uri, replace(outbox, tags={**outbox.tags, **tags}))


def _hand_in(folder: Path, uri: str, outbox: Outbox) -> str | None:
    courier = Courier(folder, uri)
    courier.open()
    try:
        write_outbox(folder, outbox)
    except OSError as error:
        courier.warn(error)
    courier.send(math.inf)
    courier.close()
    run = read_run(folder)
    return str(run["run_id"]) if run is not None and described(folder, outbox, run) else None
