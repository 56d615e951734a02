"""Dice per class and dataset, computed only where the class is annotated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from ignite.engine import Engine
from torch import Tensor

from ..label_set_map import annotated, known_masks, within_super_class
from .gathering import ImageMetric

__all__ = ["DatasetDice", "annotated_dice", "summarise"]


def annotated_dice(prediction: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Compute the Dice of every class in every image over the pixels whose annotation decides that class.

    The Dice is NaN, never 0 or 1, if the image does not annotate the class; it is NaN too (0/0) if the class is
    annotated, absent and not predicted, or if no pixel decides for it and a super-class may contain it. A class that is
    annotated and absent but predicted scores 0.

    Args:
        prediction: predicted class, integer, (B, *spatial).
        target: label-set map, (B, 2, *spatial).
        num_classes: C.

    Returns:
        Dice, float64, (B, C).

    Example:
        >>> prediction = torch.tensor([[0, 1, 1, 2]])
        >>> annotated = torch.full((1, 4), 0b011)                  # background and class 1
        >>> truth = torch.tensor([[0b101, 0b010, 0b101, 0b101]])   # pixel 2 is class 1, the rest anything else
        >>> annotated_dice(prediction, torch.stack([truth, annotated], dim=1), num_classes=3)
        tensor([[0.0000, 0.6667,    nan]], dtype=torch.float64)
    """
    classes = torch.arange(num_classes, device=prediction.device).view(1, -1, *[1] * (prediction.ndim - 1))
    decided, true = annotated(target, num_classes), known_masks(target, num_classes)
    predicted = (prediction.unsqueeze(1) == classes) & decided

    def size(mask: Tensor) -> Tensor:
        return mask.flatten(start_dim=2).sum(dim=2).double()

    dice = 2 * size(predicted & true) / (size(predicted) + size(true))
    hidden = (size(true) == 0) & within_super_class(target, num_classes)
    return dice.masked_fill(~decided.flatten(start_dim=2).any(dim=2) | hidden, math.nan)


def summarise(
    dice: Tensor, dataset: Tensor, datasets: Sequence[str], classes: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Average the Dice of images by dataset and foreground class.

    Args:
        dice: (N, C), NaN where undefined.
        dataset: index into `datasets`, (N,).
        datasets: names.
        classes: names, background first.

    Returns:
        dataset -> class -> mean over the images where it is defined (NaN if it never is); datasets without images are
        left out.
    """
    return {
        name: {label: float(rows[:, column].nanmean()) for column, label in enumerate(classes) if column > 0}
        for position, name in enumerate(datasets)
        if len(rows := dice[dataset == position])
    }


class DatasetDice(ImageMetric):
    """Ignite metric: mean over all (dataset, foreground class) cells, with each cell reported too.

    Datasets are weighted equally, regardless of size. Images that several processes share are gathered.
    `engine.state.metrics` receives the mean under the metric's name and each defined cell as `dice/<dataset>/<class>`;
    `state.metric_details` receives the values of all images.

    Args:
        classes: names, background first.
        datasets: names in the order of the batch's `dataset` indices.
    """

    def update(self, output: Mapping[str, Tensor]) -> None:
        """Add the images of a batch: `pred` logits (B, C, *spatial), `label`, `dataset` (B,) and `index` (B,)."""
        prediction = output["pred"].argmax(dim=1)
        self.keep(output, dice=annotated_dice(prediction, output["label"], len(self.classes)))

    def compute(self) -> float:
        """Return the mean over all defined cells, or NaN without any."""
        cells = [value for row in self._table().values() for value in row.values() if not math.isnan(value)]
        return sum(cells) / len(cells) if cells else math.nan

    def completed(self, engine: Engine, name: str) -> None:
        """Write the mean, the cells and the values of all images to the engine's state."""
        super().completed(engine, name)
        for cell in [key for key in engine.state.metrics if key.startswith("dice/")]:
            del engine.state.metrics[cell]  # from an earlier evaluation, where it may have been defined
        for dataset, row in self._table().items():
            for label, value in row.items():
                if not math.isnan(value):
                    engine.state.metrics[f"dice/{dataset}/{label}"] = value
        engine.state.metric_details[name] = self.kept()

    def _table(self) -> dict[str, dict[str, float]]:
        rows = self.kept()
        return summarise(rows["dice"], rows["dataset"], self.datasets, self.classes) if rows else {}
