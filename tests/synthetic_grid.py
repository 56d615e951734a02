"""A grid of invented trainings, with chosen numbers and therefore known results."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric

from common.experiments.reports.results import Results
from common.tracking import connect, experiment_id

CLASSES = ("lv_cavity", "lv_myocardium", "left_atrium")
PATIENTS = 12
CHECKSUM = "0123456789abcdef" * 4
SOURCE, TARGET = "camus_like", "unity_like"
Cell = Mapping[str, Any]
Dice = Mapping[tuple[str, str], float]


DROPPED = {0.0: 0.6, 0.2: 0.8, 0.4: 0.835, 1.0: 0.05}  # probability of label dropout: Dice of aCCE


def inter_domain_runs(
    networks: Sequence[str] = ("unet",), seeds: int = 2, levels: Mapping[float, float] = DROPPED
) -> Iterator[tuple[Cell, Dice]]:
    """Yield cells and Dice of (dataset, class) for which the claims on two domains hold."""
    atrium = {"benchmark": 0.85, "CCE": 0.1, "pseudo-labels": 0.7, "marginal": 0.84, "aBCE": 0.845}
    for network in networks:
        for seed in range(seeds):
            for method in ("benchmark", "CCE", "pseudo-labels", "aCCE", "marginal", "aBCE"):
                for dropout in levels if method in ("aCCE", "marginal", "aBCE") else [None]:
                    cell = {"method": method, "network": network, "seed": seed}
                    mean = levels[dropout or 0.0] if method == "aCCE" else 0.05 if dropout == 1.0 else atrium[method]
                    dice = {(one, label): 0.9 for one in (SOURCE, TARGET) for label in CLASSES}
                    dice[TARGET, "left_atrium"] = mean + 0.005 * seed
                    yield cell | ({} if dropout is None else {"label_dropout": dropout}), dice


def dice_rows(cell: Cell, dice: Dice, patients: int = PATIENTS) -> list[dict[str, Any]]:
    """Return rows of dice.csv: ED and ES of each patient, around the given means.

    Each patient is equally difficult for all runs; in addition each run scatters a little in its own pattern.
    """
    rows = []
    number = sum(map(ord, json.dumps(cell)))
    for dataset in dict.fromkeys(one for one, _ in dice):
        for patient in range(patients):
            scatter = 0.01 * ((patient * 7 + number) % patients / (patients - 1) - 0.5)
            own = 0.04 * (patient / (patients - 1) - 0.5)
            values = {label: dice.get((dataset, label)) for label in CLASSES}
            scores = {
                label: None if value is None else round(value + own + scatter, 4) for label, value in values.items()
            }
            for phase in ("ED", "ES"):
                origin = {"image": f"{dataset}_{patient}_{phase}.png", "dataset": dataset, "patient": f"p{patient}"}
                rows.append({**origin, "view": "4CH", "phase": phase, **scores})
    return rows


def results_of(runs: Sequence[tuple[Cell, Dice]], seconds: Sequence[float] = (), patients: int = PATIENTS) -> Results:
    """Return the results of runs without MLflow; `seconds` per epoch of each run are 1 by default."""
    columns = tuple(dict.fromkeys(name for cell, _ in runs for name in cell))
    table = pd.DataFrame([{"run_id": f"run{n}", **cell} for n, (cell, _) in enumerate(runs)])
    long = []
    for n, (cell, dice) in enumerate(runs):
        rows = pd.DataFrame(dice_rows(cell, dice, patients))
        rows = rows.melt(id_vars=list(rows.columns[:5]), var_name="class", value_name="dice")
        long.append(rows.assign(run_id=f"run{n}", dice=rows["dice"].astype(float)))
    return Results(
        uri="",
        experiment="echo_inter_domain",
        scale="demo",
        data="['data/phantom']",
        checksum=CHECKSUM,
        fold="test",
        started="2026-01-01",
        planned=len(runs),
        unfinished=(),
        cell=columns,
        runs=table.assign(artifact_uri="", weights_digest=table["run_id"], seconds=list(seconds) or 1.0),
        images=table.merge(pd.concat(long), on="run_id"),
    )


class SyntheticGrid:
    """Writes a grid to MLflow as real trainings do.

    Args:
        uri: of MLflow.
        experiment: name.
        scale: of the grid.
        patients: of each dataset; each has an ED and an ES image.
    """

    def __init__(self, uri: str, experiment: str, scale: str = "demo", patients: int = PATIENTS) -> None:
        self.client: MlflowClient = connect(uri)
        self.experiment_id = experiment_id(self.client, uri, experiment)
        self.patients = patients
        tags = {"grid": scale, "bundle": experiment, "data_checksum": CHECKSUM, "data": "['data/phantom']"}
        self.parent = self.client.create_run(self.experiment_id, tags=tags).info.run_id

    def add(
        self,
        cell: Cell,
        dice: Dice,
        folder: Path,
        seconds: Sequence[float] = (9.0, 1.0, 1.1),
        status: str = "FINISHED",
        metrics: Mapping[str, float] | None = None,
        predictions: bool = False,
        checksum: str = CHECKSUM,
        **tags: str,
    ) -> str:
        """Add a run with its evaluation on data of a checksum; its files pass through `folder`."""
        given = {"mlflow.parentRunId": self.parent, "cell": json.dumps(cell), "role": "result"}
        run_id = self.client.create_run(self.experiment_id, tags={**given, **tags}).info.run_id
        self.client.log_batch(run_id, metrics=[Metric("seconds", one, 0, step) for step, one in enumerate(seconds)])
        self.client.set_terminated(run_id, status)
        given = {"mlflow.parentRunId": run_id, "role": "evaluation", "data_checksum": checksum, "fold": "test"}
        tested = self.client.create_run(self.experiment_id, tags={**given, "weights": "model.pt"}).info.run_id
        self.client.log_batch(tested, metrics=[Metric(f"test/{one}", v, 0, 0) for one, v in (metrics or {}).items()])
        rows = dice_rows(cell, dice, self.patients)
        with (folder / "dice.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        self.client.log_artifact(tested, str(folder / "dice.csv"))
        if predictions:
            np.savez_compressed(folder / "predictions.npz", **example_arrays(sorted({one for one, _ in dice})))
            self.client.log_artifact(tested, str(folder / "predictions.npz"))
        self.client.set_terminated(tested)
        return str(run_id)

    def close(self, planned: int) -> None:
        """End the grid."""
        self.client.set_tag(self.parent, "planned", str(planned))
        self.client.set_terminated(self.parent)


def example_arrays(datasets: Sequence[str]) -> dict[str, Any]:
    """Return two pictures per dataset: three nested discs, and a prediction that is shifted a little."""
    rows, columns = np.mgrid[:32, :32]
    truth = sum((np.hypot(rows - 16, columns - 16) < radius).astype(np.uint8) for radius in (13, 9, 5))
    names = [f"{dataset}_{number}.png" for dataset in datasets for number in range(2)]
    return {
        "name": np.array(names),
        "dataset": np.array([name.rpartition("_")[0] for name in names]),
        "image": np.stack([truth * 60] * len(names)).astype(np.uint8),
        "truth": np.stack([truth] * len(names)),
        "prediction": np.stack([np.roll(truth, 2, axis=0)] * len(names)),
        "classes": np.array(["background", *CLASSES]),
    }
