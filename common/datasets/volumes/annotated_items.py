"""What is known of the items of a datalist before their volumes are read: dataset, unlabelled classes, spacing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...label_set_map import drop_classes, known_classes
from ...label_sets import LabelSets, by_value
from ..prepared.layout import stated_pixels
from .layout import read_volume_pair

__all__ = ["AnnotatedItems"]


class AnnotatedItems:
    """Items of a datalist of volumes, what their annotation values mean, and their files.

    Args:
        data: items of a datalist (`read_datalist`).
        label_sets: of all datasets in `data`.

    Attributes:
        dataset: index into `label_sets.label_sets`, int64, (items,).
        unlabelled: classes that an item does not annotate although its dataset does, bool, (items, classes).
        spacing: mm per voxel, (x, y, z), float32, (items, 3); NaN if unknown.

    Raises:
        ValueError: if a dataset has no label sets.
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], label_sets: LabelSets) -> None:
        self.data = list(data)
        self.label_sets = label_sets
        names = list(label_sets.label_sets)
        if unknown := sorted({item["dataset"] for item in self.data} - set(names)):
            raise ValueError(f"the data have the datasets {unknown}, which have no label sets; known are {names}.")
        self.dataset = torch.tensor([names.index(item["dataset"]) for item in self.data])
        self.unlabelled = label_sets.unlabelled(self.data)
        self.spacing = torch.tensor([item.get("spacing") or [np.nan] * 3 for item in self.data])
        self._stated = stated_pixels(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def read(self, position: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Map the image and the annotation of an item into memory, (x, y, z), without looking at their voxels."""
        return read_volume_pair(self.data[position])

    def checked(self, position: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Read an item as `read` does, and compare its voxels with what was prepared and its label sets.

        Raises:
            ValueError: if they differ.
        """
        item = self.data[position]
        image, label = read_volume_pair(item, self._stated[position])
        if "size" in item and list(image.shape) != list(item["size"]):
            raise ValueError(
                f"{item['image']} has {list(image.shape)} voxels, its item {item['size']}; prepare the dataset again."
            )
        values = np.flatnonzero(np.bincount(label.ravel("K"), minlength=256))
        self.label_sets.encode(torch.from_numpy(values).unsqueeze(0), item["dataset"])
        return image, label

    def classes_of_values(self, position: int) -> NDArray[np.uint8]:
        """Return the class that each annotation value stands for alone in an item; 0 where it stands for none; (256,).

        Background, super-classes, and classes that the item does not annotate count as none.
        """
        dataset = self.data[position]["dataset"]
        values = torch.tensor(list(by_value(self.label_sets.label_sets[dataset])))
        codes = self.label_sets.encode(values.unsqueeze(0), dataset).unsqueeze(0)
        codes = drop_classes(codes, self.unlabelled[position : position + 1])
        table = np.zeros(256, np.uint8)
        table[values.numpy()] = known_classes(codes, len(self.label_sets.classes))[0].numpy()
        return table
