"""Training set held as uint8 tensors on the training device, so that a batch is one gather."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ...label_sets import LabelSets
from .layout import read_pair, stated_pixels

__all__ = ["ResidentDataset"]


def _read(item: Mapping[str, Any], stated: str | None, image_size: int) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Return resampled image and annotation, (1, size, size), and the rows and columns in the files."""
    image, label = read_pair(item, stated)
    if image.shape != label.shape:
        raise ValueError(
            f"{item['label']} has {label.shape} pixels, its image {image.shape}; prepare the dataset again."
        )
    bilinear, nearest = Image.Resampling.BILINEAR, Image.Resampling.NEAREST
    size = image.shape[0], image.shape[1]
    return _resampled(image, image_size, bilinear), _resampled(label, image_size, nearest), size


def _resampled(pixels: NDArray[np.uint8], image_size: int, resample: Image.Resampling) -> Tensor:
    image = Image.fromarray(pixels)
    square = image if image.size == (image_size, image_size) else image.resize((image_size,) * 2, resample)
    return torch.from_numpy(np.array(square)).unsqueeze(0)


class ResidentDataset(Dataset[dict[str, Any]]):
    """Prepared images and annotations held on one device.

    Files are read once, so an epoch costs no input time; 21,448 frames of 256x256 take 1.4 GB. Torch's DataLoader gets
    whole batches through `__getitems__` and passes them to `collate_fn`, which applies the batched transforms.

    Args:
        data: items of a datalist (`read_datalist`).
        label_sets: of all datasets in `data`.
        image_size: rows and columns; prepared images of another size are resampled once, annotations by nearest
            neighbour.
        device: of the tensors.

    Attributes:
        normalisation: of the images, as the record of weights states it.
        spacing: mm per pixel of the resampled images, (row, column), float64, (images, 2), on the CPU; NaN if unknown.
        stated: digests of the pixels (`stated_pixels`).

    Raises:
        ValueError: if a dataset has no label sets, or an annotation holds a value that they do not name,
            or a file is not what was prepared.

    Batch:
        image: grey value / 255, float32, (B, 1, size, size); label: annotation values, uint8, same shape;
        dataset: index into `label_sets.label_sets`, int64, (B,); index: position in `data`, int64, (B,), on the CPU;
        unlabelled: classes that an image does not annotate although its dataset does, bool, (B, classes), on the CPU;
        absent if every image annotates what its dataset does.
    """

    normalisation = "grey value / 255"

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        label_sets: LabelSets,
        image_size: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.data = list(data)
        self.label_sets = label_sets
        self.image_size = image_size
        names = list(label_sets.label_sets)
        if unknown := sorted({item["dataset"] for item in self.data} - set(names)):
            raise ValueError(f"the data have the datasets {unknown}, which have no label sets; known are {names}.")
        self.stated = stated_pixels(self.data)
        with ThreadPoolExecutor() as pool:  # decoding releases the interpreter lock
            read = list(pool.map(partial(_read, image_size=image_size), self.data, self.stated))
        images, labels, sizes = zip(*read, strict=True)
        spacings = [item.get("spacing") or (np.nan, np.nan) for item in self.data]
        self.spacing = torch.tensor(spacings, dtype=torch.float64) * torch.tensor(sizes) / image_size
        dataset = torch.tensor([names.index(item["dataset"]) for item in self.data])
        for position, name in enumerate(names):
            chosen = [label for label, index in zip(labels, dataset.tolist(), strict=True) if index == position]
            if chosen:  # check all values once: encoding a batch on the device does not
                label_sets.encode(torch.unique(torch.stack(chosen)).unsqueeze(0), name)
        self.images = torch.stack(images).to(device)
        self.labels = torch.stack(labels).to(device)
        self.dataset = dataset.to(device)
        missing = label_sets.unlabelled(self.data)
        self.unlabelled = missing if missing.any() else None

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        batch = self.__getitems__([index])
        return {key: value[0] for key, value in batch.items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        position = torch.as_tensor(indices)
        index = position.to(self.images.device)
        missing = {} if self.unlabelled is None else {"unlabelled": self.unlabelled[position]}
        return {
            **missing,
            "image": self.images[index].float().div_(255),
            "label": self.labels[index],
            "dataset": self.dataset[index],
            "index": position,
        }
