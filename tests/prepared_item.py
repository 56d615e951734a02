"""Write single prepared images of the phantom."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common.datasets.phantom.study import render


def prepared_item(
    folder: Path,
    dataset: str,
    patient: int,
    phase: str = "ED",
    seen: Callable[[np.ndarray], np.ndarray] = lambda image: image,
    **more: Any,
) -> dict[str, Any]:
    """Draw a heart of camus_like, 64x64, and write it.

    Args:
        folder: to write to.
        dataset: of the item.
        patient: number of the heart; the same heart in every dataset.
        phase: "ED" or "ES".
        seen: changes the image, as another scanner would.
        more: further keys of the item.

    Returns:
        Item of a datalist.
    """
    frame = render("camus_like", patient, phase, size=64)
    paths = {key: folder / f"{dataset}_{patient}_{phase}_{key}.png" for key in ("image", "label")}
    Image.fromarray(np.asarray(seen(frame.image), np.uint8)).save(paths["image"])
    Image.fromarray(frame.label).save(paths["label"])
    item = {"dataset": dataset, "patient": f"patient{patient}", "view": "4CH", "phase": phase}
    return item | {"spacing": list(frame.spacing)} | {key: str(path) for key, path in paths.items()} | more
