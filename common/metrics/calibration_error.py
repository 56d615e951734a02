"""Expected calibration error: how far the confidence of predictions is from their accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from ignite.engine import Engine
from torch import Tensor

from ..label_set_map import annotated, known_masks
from .gathering import ImageMetric

__all__ = ["CalibrationError", "confidence"]

BINS = 15  # of equal width, as in Guo et al., 2017


def confidence(logits: Tensor, activation: str) -> Tensor:
    """Return the probability of the predicted class of each pixel.

    Args:
        logits: (B, C, *spatial).
        activation: how they are read: "softmax", or "sigmoid" (one per foreground class, the background's logit is 0;
            background is as probable as the most likely structure is not).

    Returns:
        (B, *spatial).

    Example:
        >>> confidence(torch.tensor([[[0.0], [-2.0], [-1.0]]]), "sigmoid")  # background: 1 - sigmoid(-1)
        tensor([[0.7311]])
    """
    if activation == "softmax":
        return logits.softmax(dim=1).amax(dim=1)
    return logits[:, 1:].amax(dim=1).abs().sigmoid()


class CalibrationError(ImageMetric):
    """Ignite metric: expected calibration error of each dataset (15 bins), and their mean.

    A pixel counts if its annotation decides the class that is predicted there, one way or the other. That selects by
    the prediction, never by the truth, so partial labels do not bias it. Images that several processes share are
    gathered. `engine.state.metrics` receives the mean under the metric's name and each dataset with decided pixels as
    `ece/<dataset>`.

    Args:
        classes: names, background first.
        datasets: names in the order of the batch's `dataset` indices.
        activation: how logits are read, "softmax" or "sigmoid".

    References:
        Guo et al., 2017. On calibration of modern neural networks.
    """

    def __init__(self, classes: Sequence[str], datasets: Sequence[str], activation: str) -> None:
        self.activation = activation
        super().__init__(classes, datasets)

    def update(self, output: Mapping[str, Tensor]) -> None:
        """Add the images of a batch: `pred` logits (B, C, *spatial), `label`, `dataset` (B,) and `index` (B,)."""
        logits, target = output["pred"].float(), output["label"]
        predicted, sure = logits.argmax(dim=1, keepdim=True), confidence(logits, self.activation)
        decided, true = (
            part(target, len(self.classes)).gather(1, predicted).squeeze(1) for part in (annotated, known_masks)
        )
        place = torch.arange(len(sure), device=sure.device).view(-1, *[1] * (sure.ndim - 1)) * BINS
        bins = (place + (sure * BINS).long().clamp(max=BINS - 1))[decided]
        weights = (part[decided].double() for part in (torch.ones_like(sure), true, sure))
        sums = torch.stack([torch.bincount(bins, one, len(sure) * BINS) for one in weights])
        # pixels, correct pixels and summed confidence of each image and bin
        self.keep(output, sums=sums.view(3, len(sure), BINS).movedim(0, 1))

    def compute(self) -> float:
        """Return the mean over the datasets with decided pixels, or NaN without any."""
        errors = [error for error in self._errors().values() if not math.isnan(error)]
        return sum(errors) / len(errors) if errors else math.nan

    def completed(self, engine: Engine, name: str) -> None:
        """Write the mean and the datasets' errors to the engine's state."""
        super().completed(engine, name)
        for dataset, error in self._errors().items():
            engine.state.metrics.pop(f"ece/{dataset}", None)  # of an earlier evaluation
            if not math.isnan(error):
                engine.state.metrics[f"ece/{dataset}"] = error

    def _errors(self) -> dict[str, float]:
        rows, errors = self.kept(), dict.fromkeys(self.datasets, math.nan)
        for position, name in enumerate(self.datasets if rows else ()):
            pixels, correct, sure = rows["sums"][rows["dataset"] == position].sum(dim=0)
            errors[name] = float((correct - sure).abs().sum() / pixels.sum())  # NaN (0/0) without pixels
        return errors
