"""Scores of each image and class, averaged by dataset where they are defined."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from torch import Tensor

from .dice import summarise
from .gathering import gathered

__all__ = ["ImageScores", "Score"]


class Score(Protocol):
    """Scores of a batch: prediction (B, *spatial), label-set map (B, 2, *spatial), number of classes, index (B,)."""

    def __call__(self, prediction: Tensor, target: Tensor, num_classes: int, index: Tensor, /) -> Mapping[str, Tensor]:
        """Return name -> score, (B, C), NaN where it is undefined."""
        ...


class ImageScores(Metric):
    """Ignite metric: the mean of each score over the images in which it is defined, by dataset and foreground class.

    Images that several processes share are gathered.
    `engine.state.metrics` receives, for each score, its mean over the defined cells, each cell as
    `<score>/<dataset>/<class>`, and the number of its images as `<score>_images/<dataset>/<class>`;
    `state.metric_details` receives the values of all images. The first score gives the metric's own value.

    Args:
        score: computes the scores of a batch.
        classes: names, background first.
        datasets: names in the order of the batch's `dataset` indices.
    """

    def __init__(self, score: Score, classes: Sequence[str], datasets: Sequence[str]) -> None:
        self.score = score
        self.classes = list(classes)
        self.datasets = list(datasets)
        super().__init__()

    def reset(self) -> None:
        """Forget all images."""
        self._scores: list[Mapping[str, Tensor]] = []
        self._dataset: list[Tensor] = []
        self._index: list[Tensor] = []
        self._gathered = False

    def update(self, output: Mapping[str, Tensor]) -> None:
        """Add the images of a batch: `pred` logits (B, C, *spatial), `label`, `dataset` (B,) and `index` (B,)."""
        self._gathered = False
        prediction = output["pred"].argmax(dim=1)
        scores = self.score(prediction, output["label"], len(self.classes), output["index"])
        self._scores.append({name: values.cpu() for name, values in scores.items()})
        self._dataset.append(output["dataset"].cpu())
        self._index.append(output["index"].cpu())

    def compute(self) -> float:
        """Return the mean of the first score over its defined cells, or NaN without any."""
        if not self._scores:
            return math.nan
        names = list(self._scores[0])
        if not self._gathered:
            dataset, index = torch.cat(self._dataset), torch.cat(self._index)
            tables = [torch.cat([scores[name] for scores in self._scores]) for name in names]
            *tables, dataset, index = gathered([*tables, dataset, index], index)
            self._scores = [dict(zip(names, tables, strict=True))]
            self._dataset, self._index = [dataset], [index]
            self._gathered = True
        return _mean(self._tables()[names[0]])

    def iteration_completed(self, engine: Engine) -> None:
        """Pass an evaluator's batch and output to `update`."""
        batch: Mapping[str, Any] = engine.state.batch
        self.update({**engine.state.output, "dataset": batch["dataset"], "index": batch["index"]})

    def completed(self, engine: Engine, name: str) -> None:
        """Write means, cells, numbers of images, and the values of all images to the engine's state."""
        super().completed(engine, name)
        metrics, dataset = engine.state.metrics, torch.cat(self._dataset)
        details = {}
        for score, table in self._tables().items():
            for old in [key for key in metrics if key.startswith((f"{score}/", f"{score}_images/"))]:
                del metrics[old]  # from an earlier evaluation, where it may have been defined
            metrics[score] = _mean(table)
            details[score] = torch.cat([scores[score] for scores in self._scores])
            for place, row in table.items():
                rows = details[score][dataset == self.datasets.index(place)]
                for label, value in row.items():
                    if not math.isnan(value):
                        metrics[f"{score}/{place}/{label}"] = value
                        column = rows[:, self.classes.index(label)]
                        metrics[f"{score}_images/{place}/{label}"] = float(column.isfinite().sum())
        engine.state.metric_details[name] = {**details, "index": torch.cat(self._index)}

    def _tables(self) -> dict[str, dict[str, dict[str, float]]]:
        dataset = torch.cat(self._dataset)
        return {
            name: summarise(torch.cat([scores[name] for scores in self._scores]), dataset, self.datasets, self.classes)
            for name in self._scores[0]
        }


def _mean(table: Mapping[str, Mapping[str, float]]) -> float:
    cells = [value for row in table.values() for value in row.values() if not math.isnan(value)]
    return sum(cells) / len(cells) if cells else math.nan
