"""Whole volumes, one at a time, for validation and evaluation by a sliding window."""

from __future__ import annotations

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

__all__ = ["WholeVolumes"]


class WholeVolumes(Dataset[dict[str, Any]]):
    """Prepared volumes of their own sizes, read from the files whenever they are asked for.

    All are read once at the start, to check their voxels. Volumes of different sizes do not stack: use a batch size
    of 1.

    Args:
        data: items of a datalist (`read_datalist`).
        label_sets: of all datasets in `data`.
        intensity: how values are standardised.
        spacing: mm per voxel, (x, y, z), that the network was trained at; None: any.
        device: of the tensors.

    Attributes:
        spacing: mm per voxel, (x, y, z), (volumes, 3), on the CPU; NaN if unknown.

    Raises:
        ValueError: if a dataset has no label sets, an annotation holds a value that they do not name, or a file is not
            what was prepared.

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
        spacing: Sequence[float] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.data, self.label_sets, self.intensity = list(data), label_sets, intensity
        self.device = torch.device(device)
        self._items = AnnotatedItems(data, label_sets)
        self.spacing = self._items.spacing
        if spacing is not None and not torch.allclose(self.spacing, torch.tensor(spacing, dtype=self.spacing.dtype)):
            found = sorted({tuple(one) for one in self.spacing.tolist()})
            sides = " ".join(f"{side:g}" for side in spacing)
            raise ValueError(
                f"the volumes have voxels of {found[:3]} mm, the network was trained at {list(spacing)}; prepare them "
                f"with --spacing {sides}."
            )
        with ThreadPoolExecutor() as pool:
            self._shapes = [image.shape for image, _ in pool.map(self._items.checked, range(len(self._items)))]

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
        read = [self._items.read(position) for position in index.tolist()]
        images, labels = (torch.stack([self._tensor(pair[part]) for pair in read]).unsqueeze(1) for part in (0, 1))
        missing = {"unlabelled": self._items.unlabelled[index]} if self._items.unlabelled.any() else {}
        return {
            **missing,
            "image": self.intensity(images),
            "label": labels,
            "dataset": self._items.dataset[index].to(self.device),
            "index": index,
        }

    def _tensor(self, values: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(np.array(values, order="C")).to(self.device)
