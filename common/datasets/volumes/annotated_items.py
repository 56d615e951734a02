"""What is known of the items of a datalist before their volumes are read: dataset, unlabelled classes, spacing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
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
        stated: digests of the voxels of the items (`stated_pixels`).

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
        self._states = [_states(item) for item in self.data]  # before anything in the files is compared
        self.stated = stated_pixels(self.data)

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
        image, label = read_volume_pair(item, self.stated[position])
        if "size" in item and list(image.shape) != list(item["size"]):
            raise ValueError(
                f"{item['image']} has {list(image.shape)} voxels, its item {item['size']}; prepare the dataset again."
            )
        values = np.flatnonzero(np.bincount(label.ravel("K"), minlength=256))
        self.label_sets.encode(torch.from_numpy(values).unsqueeze(0), item["dataset"])
        return image, label

    @contextmanager
    def unchanged(self, position: int) -> Iterator[None]:
        """Read the files of an item again within this block, which copies what it keeps.

        Another preparation may replace them at any time. Files that it takes over keep size and time; nothing else is
        compared, because inodes are not steady on every network file system.

        Raises:
            ValueError: after the block, if a file differs from the start.
        """
        try:
            yield
        except Exception:
            self._check_states(position)
            raise
        self._check_states(position)

    def _check_states(self, position: int) -> None:
        for path, state in _states(item := self.data[position]).items():
            if state is None or state != self._states[position][path]:
                raise ValueError(
                    f"{path} was changed after this run had started; keep {Path(item['image']).parent.parent} as "
                    "it is while it is used, and start again (--resume true continues a training of equal data)."
                )

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


def _states(item: Mapping[str, Any]) -> dict[str, tuple[int, int] | None]:
    """Return size, bytes, and time of the last change, ns, of the files of an item; None of one that is missing."""
    states: dict[str, tuple[int, int] | None] = {}
    for path in (item["image"], item["label"]):
        try:
            found = Path(path).stat()
            states[path] = found.st_size, found.st_mtime_ns
        except OSError:
            states[path] = None
    return states
