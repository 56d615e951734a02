"""Whole volumes, one at a time, for validation and evaluation by a sliding window."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ...label_sets import LabelSets
from .annotated_items import AnnotatedItems
from .intensity import Intensity
from .spacings import Spacing, wanted_spacing

__all__ = ["WholeVolumes"]

LOGGER = logging.getLogger(__name__)


class WholeVolumes(Dataset[dict[str, Any]]):
    """Prepared volumes of their own sizes, read from the files whenever they are asked for.

    All are read once at the start, to check their voxels; a file that changes later is refused. Volumes of
    different sizes do not stack: use a batch size of 1.

    Args:
        data: items of a datalist (`read_datalist`).
        label_sets: of all datasets in `data`.
        intensity: how values are standardised.
        spacing: mm per voxel, (x, y, z), that the network was trained at (`stated_spacing`); None: any.
        device: of the tensors.

    Attributes:
        spacing: mm per voxel, (x, y, z), (volumes, 3), on the CPU; NaN if unknown.
        stated: digests of the voxels (`stated_pixels`).

    Raises:
        ValueError: if a dataset has no label sets, an annotation holds a value that they do not name, or a file is not
            what was prepared, or no longer what it was at the start.

    Batch:
        image: standardised values, float32, (B, 1, X, Y, Z); label: annotation values, uint8, same shape;
        dataset: index into `label_sets.label_sets`, int64, (B,); index: position in `data`, int64, (B,), on the CPU;
        unlabelled: classes that a patient does not annotate although the dataset does, bool, (B, classes), on the CPU;
        absent if every patient annotates what the dataset does.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        label_sets: LabelSets,
        intensity: Intensity,
        spacing: Spacing = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.data, self.label_sets, self.intensity = list(data), label_sets, intensity
        self.device = torch.device(device)
        self._items = AnnotatedItems(data, label_sets)
        self.spacing, self.stated = self._items.spacing, self._items.stated
        self._check_spacing(spacing)
        with ThreadPoolExecutor() as pool:
            self._shapes = [image.shape for image, _ in pool.map(self._items.checked, range(len(self._items)))]

    def _check_spacing(self, trained: Spacing) -> None:
        """Refuse volumes of another spacing than that of the training; warn of those outside its range."""
        seen = torch.tensor([wanted_spacing(own, trained) for own in self.spacing.tolist()], dtype=self.spacing.dtype)
        other = [] if trained is None else self.spacing[~torch.isclose(self.spacing, seen).all(dim=1)].tolist()
        if not other:
            return
        found = sorted({tuple(round(side, 4) for side in own) for own in other})[:3]
        middle = trained["pixdim"] if isinstance(trained, Mapping) else trained or ()
        remedy = f"prepare them with --spacing {' '.join(f'{side:g}' for side in middle)}"
        if not isinstance(trained, Mapping):
            raise ValueError(
                f"the volumes have voxels of {found} mm, the network was trained at {list(middle)}; {remedy}."
            )
        LOGGER.warning(
            "%d of %d volumes have voxels of sizes that the network was not trained at (%s mm; it saw %s to %s); %s",
            *(len(other), len(self.data), found, trained["min_pixdim"], trained["max_pixdim"], remedy),
        )

    @property
    def normalisation(self) -> dict[str, Any]:
        """Window, mean and sd of the images, as the record of weights states them."""
        return self.intensity.normalisation

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        batch = self.__getitems__([index])
        return {key: value[0] for key, value in batch.items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        index = torch.as_tensor(indices)
        if len(shapes := sorted({self._shapes[position] for position in index.tolist()})) > 1:
            raise ValueError(f"volumes of the sizes {shapes} do not form a batch; use a batch size of 1.")
        read = [self._tensors(position) for position in index.tolist()]
        images, labels = (torch.stack([pair[part] for pair in read]).unsqueeze(1) for part in (0, 1))
        missing = {"unlabelled": self._items.unlabelled[index]} if self._items.unlabelled.any() else {}
        return {
            **missing,
            "image": self.intensity(images),
            "label": labels,
            "dataset": self._items.dataset[index].to(self.device),
            "index": index,
        }

    def _tensors(self, position: int) -> list[Tensor]:
        """Return the image and the annotation of a volume, (X, Y, Z)."""
        with self._items.unchanged(position):
            pair = self._items.read(position)
            return [torch.from_numpy(np.array(values, order="C")).to(self.device) for values in pair]
