"""Expected calibration error: how far the confidence of predictions is from their accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from torch import Tensor

from ..label_set_map import annotated, known_masks

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


class CalibrationError(Metric):
    """Ignite metric: expected calibration error of each dataset (15 bins), and their mean.

    A pixel counts if its annotation decides the class that is predicted there, one way or the other. That selects by
    the prediction, never by the truth, so partial labels do not bias it. `engine.state.metrics` receives the mean under
    the metric's name and each dataset with decided pixels as `ece/<dataset>`.

    Args:
        classes: names, background first.
        datasets: names in the order of the batch's `dataset` indices.
        activation: how logits are read, "softmax" or "sigmoid".

    References:
        Guo et al., 2017. On calibration of modern neural networks.
    """

    def __init__(self, classes: Sequence[str], datasets: Sequence[str], activation: str) -> None:
        self.classes = list(classes)
        self.datasets = list(datasets)
        self.activation = activation
        super().__init__()

    def reset(self) -> None:
        """Forget all images."""
        # pixels, correct pixels and summed confidence of each dataset and bin
        self._sums = torch.zeros(3, len(self.datasets) * BINS, dtype=torch.float64)

    def update(self, output: Mapping[str, Tensor]) -> None:
        """Add a batch: `pred` logits (B, C, *spatial), `label` label-set maps (B, 2, *spatial) and `dataset` (B,)."""
        logits, target = output["pred"].float(), output["label"]
        predicted, sure = logits.argmax(dim=1, keepdim=True), confidence(logits, self.activation)
        decided, true = (
            part(target, len(self.classes)).gather(1, predicted).squeeze(1) for part in (annotated, known_masks)
        )
        place = output["dataset"].view(-1, *[1] * (sure.ndim - 1)).to(sure.device) * BINS
        bins = (place + (sure * BINS).long().clamp(max=BINS - 1))[decided]
        for row, weights in enumerate((None, true[decided].double(), sure[decided].double())):
            self._sums[row] += torch.bincount(bins, weights, self._sums.shape[1]).cpu()

    def compute(self) -> float:
        """Return the mean over the datasets with decided pixels, or NaN without any."""
        errors = [error for error in self._errors().values() if not math.isnan(error)]
        return sum(errors) / len(errors) if errors else math.nan

    def iteration_completed(self, engine: Engine) -> None:
        """Pass an evaluator's batch and output to `update`."""
        batch: Mapping[str, Any] = engine.state.batch
        self.update({**engine.state.output, "dataset": batch["dataset"]})

    def completed(self, engine: Engine, name: str) -> None:
        """Write the mean and the datasets' errors to the engine's state."""
        super().completed(engine, name)
        for dataset, error in self._errors().items():
            engine.state.metrics.pop(f"ece/{dataset}", None)  # of an earlier evaluation
            if not math.isnan(error):
                engine.state.metrics[f"ece/{dataset}"] = error

    def _errors(self) -> dict[str, float]:
        pixels, correct, sure = self._sums.view(3, len(self.datasets), BINS)
        gaps = (correct - sure).abs().sum(dim=1) / pixels.sum(dim=1)  # NaN (0/0) without pixels
        return dict(zip(self.datasets, gaps.tolist(), strict=True))
