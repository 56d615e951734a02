"""Label dropout: drop annotated classes at random, so that a missing label does not reveal the scanner."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch

from ..label_set_map import drop_classes
from ..label_sets import LabelSets
from .draws import DrawsPerImage

__all__ = ["RandLabelDropoutd"]


class RandLabelDropoutd(DrawsPerImage):
    """Drop each partially labelled class of each image with probability `prob` (Islam et al., 2024).

    Only classes that some training images do not annotate are dropped: for the other classes, the absence of a label
    says nothing about the scanner. A dropped class leaves the annotation, and its pixels become ambiguous
    (`drop_classes`). A dataset that outlines super-classes loses only what it outlines.

    Args:
        label_sets: of the training data.
        prob: probability of dropping a class of an image; 1 removes all supervision of those classes.

    Raises:
        ValueError: if `prob` is outside 0 to 1.

    References:
        I. Islam et al., Label Dropout, arXiv 2403.07818, 2024.
    """

    def __init__(self, label_sets: LabelSets, prob: float) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f"expected a label dropout probability from 0 to 1, got {prob}.")
        super().__init__()
        self.label_sets = label_sets
        self.prob = prob
        self.droppable = torch.tensor([name in label_sets.partially_labelled() for name in label_sets.classes])
        drawn = {name: label_sets.drawn(name) for name in label_sets.label_sets}
        self.drawn = torch.tensor([[name in own for name in label_sets.classes] for own in drawn.values()])
        # elsewhere dropping what is not outlined changes nothing, and needs no wait for a GPU
        self.super_classes = any(set(own) - set(label_sets.annotated(name)) for name, own in drawn.items())

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Drop classes from the label-set maps `label` (B, 2, *spatial), given `dataset` and `index` (B,)."""
        if not self.prob or not self.droppable.any():
            return dict(data)
        drop = (self.draw(data, len(self.droppable)) < self.prob) & self.droppable
        if self.super_classes:
            drop &= self.drawn[data["dataset"].cpu()]
        return {**data, "label": drop_classes(data["label"], drop)}
