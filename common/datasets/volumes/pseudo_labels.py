"""Write the predictions of a teacher for unannotated classes of volumes as a prepared folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import nn

from ..prepared.pseudo_labels import completed
from .form import prepare_volumes
from .intensity import STANDARDISED, is_standardised, shared_fact, stated_window
from .layout import read_affine, read_volume_pair
from .volume import Volume, checked_spacing, checked_window
from .whole import WholeVolumes

__all__ = ["write_volume_pseudo_labels"]


def write_volume_pseudo_labels(
    dataset: WholeVolumes,
    network: nn.Module,
    inferer: Inferer,
    checkpoint: str | Path,
    weights_digest: str,
    folders: str | Path | Iterable[str | Path],
    out: str | Path,
    overrides: Mapping[str, object] | None = None,
    renamed: Mapping[str, str] | None = None,
    among: str = "admitted",
) -> None:
    """Write the volumes of `dataset`, completed by a teacher, as the prepared folder `out`; as for `completed`."""
    source = completed(
        dataset, network, inferer, checkpoint, weights_digest, folders, overrides, renamed, among, out, _volume, 1
    )
    spacing, window = checked_spacing(shared_fact(folders, "spacing")), checked_window(stated_window(folders))
    own = {STANDARDISED: True} if is_standardised(folders) else {}
    prepare_volumes(replace(source, facts={**source.facts, **own}), Path(out), spacing, window, workers=1, strict=True)


def _volume(
    image: Path,
    own: Path,
    stated: str | None,
    spacing: Sequence[float] | None,  # noqa: ARG001 - of `read`
    label: NDArray[np.uint8],
) -> Volume:
    voxels, _ = read_volume_pair({"image": image, "label": own}, stated)
    return Volume(voxels, label, read_affine(image))
