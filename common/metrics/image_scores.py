"""Scores of each image and class, averaged by dataset where they are defined."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from ignite.engine import Engine
from torch import Tensor

from .dice import summarise
from .gathering import ImageMetric

__all__ = ["ImageScores", "Score"]


class Score(Protocol):
    """Scores of a batch: prediction (B, *spatial), label-set map (B, 2, *spatial), number of classes, index (B,)."""

    def __call__(self, prediction: Tensor, target: Tensor, num_classes: int, index: Tensor, /) -> Mapping[str, Tensor]:
        """Return name -> score, (B, C), NaN where it is undefined."""
        ...


class ImageScores(ImageMetric):
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
        super().__init__(classes, datasets)

    def update(self, output: Mapping[str, Tensor]) -> None:
        """Add the images of a batch: `pred` logits (B, C, *spatial), `label`, `dataset` (B,) and `index` (B,)."""
        prediction = output["pred"].argmax(dim=1)
        self.keep(output, **self.score(prediction, output["label"], len(self.classes), output["index"]))

    def compute(self) -> float:
        """Return the mean of the first score over its defined cells, or NaN without any."""
        return next((_mean(table) for table in self._tables().values()), math.nan)

    def completed(self, engine: Engine, name: str) -> None:
        """Write means, cells, numbers of images, and the values of all images to the engine's state."""
        super().completed(engine, name)
        metrics, rows = engine.state.metrics, self.kept()
        for score, table in self._tables().items():
            for old in [key for key in metrics if key.startswith((f"{score}/", f"{score}_images/"))]:
                del metrics[old]  # from an earlier evaluation, where it may have been defined
            metrics[score] = _mean(table)
            for place, means in table.items():
                values = rows[score][rows["dataset"] == self.datasets.index(place)]
                for label, value in means.items():
                    if not math.isnan(value):
                        metrics[f"{score}/{place}/{label}"] = value
                        column = values[:, self.classes.index(label)]
                        metrics[f"{score}_images/{place}/{label}"] = float(column.isfinite().sum())
        engine.state.metric_details[name] = {key: column for key, column in rows.items() if key != "dataset"}

    def _tables(self) -> dict[str, dict[str, dict[str, float]]]:
        rows = self.kept()
        return {
            name: summarise(values, rows["dataset"], self.datasets, self.classes)
            for name, values in rows.items()
            if name not in ("dataset", "index")
        }


def _mean(table: Mapping[str, Mapping[str, float]]) -> float:
    cells = [value for row in table.values() for value in row.values() if not math.isnan(value)]
    return sum(cells) / len(cells) if cells else math.nan
