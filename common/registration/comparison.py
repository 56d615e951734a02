"""Compare the annotation of a source, carried to a target by each step of a registration, with that of the target."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..datasets.prepared.layout import read_pair, stated_pixels
from ..label_set_map import known_classes
from ..label_sets import LabelSets
from .affine_then_bspline import AffineThenBSpline
from .annotation_dice import agreement_dice, encode_annotation
from .pairing import Item, Pair
from .stage import Stage
from .warp import carry_image, carry_label

__all__ = ["Comparison", "View", "compare"]


@dataclass(frozen=True)
class View:
    """An image with an annotation, for drawing.

    Args:
        image: grey values, (rows, columns).
        classes: class index, 0 where the annotation does not decide, (rows, columns).
    """

    image: NDArray[Any]
    classes: NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Comparison:
    """Result of a pair.

    Args:
        pair: source and target.
        stages: of the registration.
        dice: for each stage one number per class, background first (`agreement_dice`).
        target: with its own annotation.
        source: with its own annotation.
        carried: the source on the target's grid after the last stage.
    """

    pair: Pair
    stages: list[Stage]
    dice: list[list[float]]
    target: View
    source: View
    carried: View

    @property
    def used(self) -> str:
        """Name of the last stage that was not refused."""
        return [stage.name for stage in self.stages if not stage.refused][-1]


def _spacing(item: Item) -> tuple[float, float] | None:
    return tuple(item["spacing"]) if item.get("spacing") else None


def compare(pairs: Sequence[Pair], labels: LabelSets, registration: AffineThenBSpline) -> list[Comparison]:
    """Register each pair and compare annotations.

    Args:
        pairs: sources and targets.
        labels: label sets of their datasets. Outside the source, value 0 is carried over.
        registration: of two images.
    """
    num_classes = len(labels.classes)

    def view(image: NDArray[Any], label: Any) -> View:
        return View(image, known_classes(label[None], num_classes)[0].numpy())

    results = []
    stated = iter(stated_pixels([item for pair in pairs for item in (pair.source, pair.target)]))
    for pair in tqdm(pairs, "register", unit=" pairs", file=sys.stdout, dynamic_ncols=True):
        source, values = read_pair(pair.source, next(stated))
        target, own_values = read_pair(pair.target, next(stated))

        def encode(annotation: NDArray[Any], item: Item) -> Any:
            return encode_annotation(annotation, labels, item["dataset"], item.get("unlabelled", ()))

        stages = registration(source, target, _spacing(pair.source), _spacing(pair.target), pair.scale)
        own = encode(own_values, pair.target)
        carried = [encode(carry_label(values, stage.coordinates), pair.source) for stage in stages]
        results.append(
            Comparison(
                pair,
                stages,
                [agreement_dice(label, own, num_classes) for label in carried],
                target=view(target, own),
                source=view(source, encode(values, pair.source)),
                carried=view(carry_image(source, stages[-1].coordinates), carried[-1]),
            )
        )
    return results
