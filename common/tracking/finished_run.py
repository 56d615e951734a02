"""Record a result without epochs, such as an evaluation, as one finished MLflow run."""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..configuration import without_password
from .client import is_off
from .courier import Courier
from .delivery import described
from .inputs import dataset_inputs
from .names import shortened
from .origin import origin_tags
from .outbox import Outbox, original_of, read_outbox, read_run, write_outbox

__all__ = ["log_finished_run"]

LOGGER = logging.getLogger(__name__)


def log_finished_run(
    folder: str | Path,
    uri: str,
    experiment: str,
    name: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str] | None = None,
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
        inputs: context (test, ...) -> items of the datalist, whose datasets are logged.

    Returns:
        The id of the run; None if MLflow has none yet.
    """
    if is_off(uri):
        return None
    folder, now = Path(folder), int(time.time() * 1000)
    outbox = Outbox(
        token=uuid.uuid4().hex,
        tracking_uri=without_password(uri),
        experiment=str(experiment),
        name=str(name)[:250],
        started=now,
        status="FINISHED",
        ended=now,
        parameters={key: shortened(value) for key, value in parameters.items()},
        tags={**origin_tags(folder), **(tags or {})},
        inputs=dataset_inputs(inputs or {}),
        metrics={key: float(value) for key, value in metrics.items()},
    )
    return _hand_in(folder, uri, outbox)


def _hand_in(folder: Path, uri: str, outbox: Outbox) -> str | None:
    courier = Courier(folder, uri)
    courier.open()  # from here on another process with the same result waits
    earlier = read_outbox(folder)
    if earlier is not None and earlier.parameters == outbox.parameters and original_of(folder, earlier) is None:
        outbox = replace(outbox, token=earlier.token)
    try:
        write_outbox(folder, outbox)
    except OSError as error:
        courier.warn(error)
    courier.send(math.inf)
    courier.close()
    run = read_run(folder)
    return str(run["run_id"]) if run is not None and described(folder, outbox, run) else None
