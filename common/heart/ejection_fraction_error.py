"""Compare the ejection fraction of predicted masks with that of the annotation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ignite.engine import Engine
from ignite.metrics import Metric
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.prepared.layout import read_pixels
from ..datasets.views import PHASES
from ..label_set_map import annotated, known_masks
from ..metrics.gathering import everyone
from .biomarkers import discs_volume, ejection_fraction, ventricle

__all__ = ["EjectionFractionError"]

KEYS = ("ef_mae/", "ef_bias/", "ef_limits_low/", "ef_limits_high/", "ef_patients/", "ef_unmeasured/")
LIMITS = 1.96  # standard deviations to either side of the bias hold 95 % of normal differences


class EjectionFractionError(Metric):
    """Ignite metric: mean absolute error of the monoplane ejection fraction, percentage points, over the datasets.

    Patients with both the ED and the ES frame of a view count; both fractions are measured by discs, on masks of the
    network's size, without ignored pixels, in millimetres if the spacing of all frames of a view is known; volumes of
    several frames of one phase (beats) are averaged. Each `visit` of a patient, a field of the items, counts by itself.
    `engine.state.metrics` receives, for each dataset, `ef_mae/<dataset>`, `ef_bias/<dataset>` (predicted minus
    annotated), the 95 % limits of agreement about it (two patients and more) as `ef_limits_low/<dataset>` and
    `ef_limits_high/<dataset>`, `ef_patients/<dataset>`, the number of views of patients in these means, and
    `ef_unmeasured/<dataset>`, the fraction of those whose annotation can be measured but whose prediction cannot; they
    do not enter the means. Without anything to compare, a dataset has no entry and the mean is NaN.

    Args:
        classes: names, background first.
        datasets: names in the order of the batch's `dataset` indices.
        data: items of the datalist, in the loader's numbering.

    References:
        Bland and Altman, 1986. Statistical methods for assessing agreement between two methods of clinical measurement.
    """

    def __init__(self, classes: Sequence[str], datasets: Sequence[str], data: Sequence[Mapping[str, Any]]) -> None:
        self.classes = list(classes)
        self.datasets = list(datasets)
        self.data = data
        self._unknown = {_key(item["dataset"], item) for item in data if item.get("spacing") is None}
        super().__init__()

    def reset(self) -> None:
        """Forget all images."""
        # dataset, patient, view, visit -> phase -> image -> volumes of prediction and annotation
        self._volumes: dict[tuple[str, ...], dict[str, dict[int, tuple[float, float]]]] = defaultdict(dict)

    def update(self, output: Mapping[str, Tensor]) -> None:
        """Add a batch: `pred` logits (B, C, H, W), `label` label-set maps (B, 2, H, W), `dataset` and `index` (B,)."""
        if "lv_cavity" not in self.classes:
            return
        ignored = (output["label"] == 0).all(dim=1)  # missing in the annotation, so in the prediction too
        predicted = output["pred"].argmax(dim=1).masked_fill(ignored, 0).cpu().numpy()
        known = known_masks(output["label"], len(self.classes)).cpu().numpy()
        # both ventricles are measured by the same structures: where no wall is annotated, the predicted one has no part
        decided = annotated(output["label"], len(self.classes)).flatten(start_dim=2).any(dim=2).tolist()
        for position, index in enumerate(output["index"].tolist()):
            item = self.data[index]
            if item.get("phase") not in PHASES or item.get("patient") is None:
                continue
            key = _key(self.datasets[int(output["dataset"][position])], item)
            scale = _nominal(predicted.shape[1]) if key in self._unknown else _scale(item, predicted.shape[1])
            masks = [(predicted[position] == value) & own for value, own in enumerate(decided[position])]
            volumes = self._volume(masks, scale), self._volume(known[position], scale)
            self._volumes[key].setdefault(item["phase"], {})[index] = volumes

    def compute(self) -> float:
        """Return the mean of the datasets' errors; NaN without any."""
        for others in everyone({key: dict(volumes) for key, volumes in self._volumes.items()}):
            for key, phases in others.items():
                for phase, images in phases.items():
                    self._volumes[key].setdefault(phase, {}).update(images)
        errors = [np.abs(own).mean() for own, _ in self._errors().values() if len(own)]
        return float(np.mean(errors)) if errors else math.nan

    def iteration_completed(self, engine: Engine) -> None:
        """Pass an evaluator's batch and output to `update`."""
        batch: Mapping[str, Any] = engine.state.batch
        self.update({**engine.state.output, "dataset": batch["dataset"], "index": batch["index"]})

    def completed(self, engine: Engine, name: str) -> None:
        """Write the mean and the datasets' errors into the engine's state."""
        super().completed(engine, name)
        for key in [key for key in engine.state.metrics if key.startswith(KEYS)]:
            del engine.state.metrics[key]  # of an earlier evaluation
        for dataset, (errors, patients) in self._errors().items():
            engine.state.metrics[f"ef_unmeasured/{dataset}"] = 1 - len(errors) / patients
            engine.state.metrics[f"ef_patients/{dataset}"] = float(len(errors))
            if len(errors):
                engine.state.metrics[f"ef_mae/{dataset}"] = float(np.abs(errors).mean())
                engine.state.metrics[f"ef_bias/{dataset}"] = float(errors.mean())
            if len(errors) > 1:
                spread = LIMITS * float(errors.std(ddof=1))
                for name, side in (("low", -spread), ("high", spread)):
                    engine.state.metrics[f"ef_limits_{name}/{dataset}"] = float(errors.mean()) + side

    def _errors(self) -> dict[str, tuple[NDArray[np.float64], int]]:
        """Return for each dataset the errors, points, and the number of patients whose annotation can be measured."""
        found: dict[str, list[float]] = defaultdict(list)
        for (dataset, *_), volumes in self._volumes.items():
            if volumes.keys() >= set(PHASES):
                means = [np.mean(list(volumes[phase].values()), axis=0).tolist() for phase in PHASES]
                pairs = zip(*means, strict=True)
                predicted, reference = (ejection_fraction(*pair) for pair in pairs)
                if not math.isnan(reference):
                    found[dataset].append(predicted - reference)
        arrays = {name: np.array(own) for name, own in found.items()}
        return {name: (own[np.isfinite(own)], len(own)) for name, own in arrays.items()}

    def _volume(self, masks: Sequence[NDArray[np.bool_]], scale: tuple[float, float]) -> float:
        named = dict(zip(self.classes, masks, strict=True))
        return discs_volume(ventricle(named["lv_cavity"], scale, named.get("lv_myocardium"), named.get("left_atrium")))


def _key(dataset: str, item: Mapping[str, Any]) -> tuple[str, ...]:
    return dataset, *(str(item.get(name)) for name in ("patient", "view", "visit"))


def _nominal(side: int) -> tuple[float, float]:
    """Return a unit for images without spacing: any will do, since only ratios count."""
    return (150 / side,) * 2  # mm; about the depth of an apical view


def _scale(item: Mapping[str, Any], side: int) -> tuple[float, float]:
    """Return mm per pixel of the network's image."""
    rows, columns = read_pixels(item["image"]).shape
    row, column = item["spacing"]
    return row * rows / side, column * columns / side
