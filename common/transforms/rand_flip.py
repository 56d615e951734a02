"""Random reflection of the images of a batch, which exchanges the structures on the left and on the right."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch

from ..label_set_map import exchange_classes
from ..sides import pairs_of_sides
from .draws import DrawsPerImage

__all__ = ["RandFlipd"]


class RandFlipd(DrawsPerImage):
    """Flip each image along one axis with a probability, and exchange paired classes of its label-set map.

    A left kidney that is flipped looks like a right one: without the exchange, a network would learn that sides do not
    matter. Where only one class of a pair is annotated, the other is after the flip.

    Args:
        axis: of the image's spatial axes, from 0; that from left to right is x of a volume, columns of a picture.
        classes: names, background first.
        exchanged: pairs of classes that exchange, [left, right]; None along an axis that does not change sides.
        prob: probability of a flip, per image.

    Raises:
        ValueError: for a probability outside 0 to 1, pairs that are not two classes each, or a missing pair: two
            classes whose names say left and right.

    Example:
        >>> flip = RandFlipd(0, ["background", "left", "right"], exchanged=[["left", "right"]], prob=1.0)
        >>> batch = {"image": torch.tensor([[[1.0, 2.0]]]), "label": torch.tensor([[[1, 2], [7, 7]]])}
        >>> flip(batch)["image"].tolist(), flip(batch)["label"].tolist()
        ([[[2.0, 1.0]]], [[[4, 1], [7, 7]]])
    """

    def __init__(
        self, axis: int, classes: Sequence[str], exchanged: Sequence[Sequence[str]] | None = (), prob: float = 0.5
    ) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f"expected a probability of a flip from 0 to 1, got {prob}.")
        sides = [] if exchanged is None or not prob else pairs_of_sides(classes)
        exchanged = exchanged or ()
        for pair in exchanged:
            if isinstance(pair, str) or len(pair) != 2 or not set(pair) <= set(classes[1:]):
                raise ValueError(f"expected pairs of classes among {list(classes[1:])}, got {pair!r}.")
        if missing := [pair for pair in sides if set(pair) not in map(set, exchanged)]:
            named = ", ".join(f"[{left}, {right}]" for left, right in [*exchanged, *missing])
            raise ValueError(
                f"images are flipped, and {' and '.join(missing[0])} do not exchange then: a network would learn that "
                f'sides do not matter. State --exchanged "[{named}]", or do not flip (--flip::prob 0).'
            )
        super().__init__()
        self.axis, self.classes, self.exchanged, self.prob = axis, classes, exchanged, prob
        self._pairs = [(list(classes).index(left), list(classes).index(right)) for left, right in exchanged]
        exchange_classes(torch.zeros(1, 2, 0, dtype=torch.uint8), self._pairs)  # refuses a class in two pairs

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Flip `image` (B, C, *spatial) and the label-set map `label` (B, 2, *spatial), by `index` (B,), on the CPU."""
        image, label = data["image"], data["label"]
        if self._pairs and label.shape[1] != 2:
            raise ValueError(f"expected label-set maps (B, 2, *spatial), got {tuple(label.shape)}; encode them first.")
        chosen = (self.draw(data, 1)[:, 0] < self.prob).nonzero()[:, 0].tolist()
        if not chosen:
            return dict(data)
        image, label = image.clone(), label.clone()
        for one in chosen:
            image[one] = image[one].flip(1 + self.axis)
            label[one] = exchange_classes(label[one : one + 1].flip(2 + self.axis), self._pairs)[0]
        return {**data, "image": image, "label": label}
