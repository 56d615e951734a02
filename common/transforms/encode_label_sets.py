"""The last deterministic step of every pipeline: encode integer annotations as label-set maps."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from ..label_set_map import drop_classes
from ..label_sets import LabelSets

__all__ = ["EncodeLabelSetsd"]


class EncodeLabelSetsd:
    """Encode the annotations of a batch as label-set maps, by the dataset and the unlabelled classes of each image."""

    def __init__(self, label_sets: LabelSets) -> None:
        self.label_sets = label_sets

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace `label` (B, 1, *spatial) by (B, 2, *spatial), given `dataset` (B,); drop `unlabelled` (B, C)."""
        label = self.label_sets.encode_batch(data["label"], data["dataset"])
        if "unlabelled" in data:
            label = drop_classes(label, data["unlabelled"])
        return {**data, "label": label}
