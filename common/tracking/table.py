"""The table of runs in MLflow's pages, opened with the columns that compare trainings: loss, dataset, Dice."""

from __future__ import annotations

import json

from mlflow import MlflowClient

__all__ = ["COLUMNS", "open_tables"]

KEY = "trainings"  # of the view; MLflow keeps a shared view as a tag of the experiment
COLUMNS = (
    "params.`loss`",
    "attributes.`Dataset`",
    "metrics.`best_mean_dice`",
    "metrics.`test/mean_dice`",
    "params.`network`",
    "params.`label_dropout`",
    "params.`seed`",
    "metrics.`train_loss`",
    "tags.`role`",
)


def open_tables(client: MlflowClient, address: str) -> dict[str, str]:
    """Store the view of the table in every experiment that has runs.

    Args:
        client: of MLflow.
        address: where its pages are served.

    Returns:
        Name of the experiment -> link that opens its table.
    """
    state = {"selectedColumns": COLUMNS, "columnOrder": COLUMNS}
    links = {}
    for experiment in client.search_experiments():
        number = experiment.experiment_id
        if client.search_runs([number], max_results=1):
            client.set_experiment_tag(number, f"mlflow.sharedViewState.{KEY}", json.dumps(state))
            links[experiment.name] = f"{address}/#/experiments/{number}/runs?viewStateShareKey={KEY}"
    return links
