"""A second scanner, made from the images of the first."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.transforms import Randomizable

from common.scanner import SecondScanner, rescan

__all__ = ["SimulateScannerd"]


class SimulateScannerd(Randomizable):
    """Show one image and its annotation as a second scanner would (`common.scanner.rescan`).

    The scanner is a domain: its settings are the same for every image, and only speckle and gain are drawn. Set the
    random state before each item to make them depend on the item alone, not on the order.

    Args:
        scanner: its settings; None takes the defaults of `SecondScanner`.

    Example:
        >>> simulate = SimulateScannerd()
        >>> _ = simulate.set_random_state(0)
        >>> item = {"image": np.full((1, 64, 64), 90, np.uint8), "label": np.ones((1, 64, 64), np.uint8)}
        >>> moved = simulate({**item, "spacing": [0.9, 0.9]})
        >>> moved["image"].shape, moved["label"].dtype, moved["spacing"]
        ((1, 64, 64), dtype('uint8'), [1.0, 1.0])
    """

    def __init__(self, scanner: SecondScanner | None = None) -> None:
        self.scanner = scanner or SecondScanner()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Move `image` (1, H, W), uint8 or in [0, 1], the integer `label` (1, H, W) and, if there is one, `spacing`."""
        rng = np.random.default_rng(self.R.randint(2**31))
        spacing = data.get("spacing")
        image, label, moved = rescan(
            np.asarray(data["image"])[0],
            np.asarray(data["label"])[0],
            None if spacing is None else (float(spacing[0]), float(spacing[1])),
            self.scanner,
            rng,
        )
        told: dict[Hashable, Any] = {} if moved is None else {"spacing": list(moved)}
        return {**data, "image": image[None], "label": label[None], **told}
