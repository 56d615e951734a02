"""Training volumes held on the training device, from which patches are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ...identity import hashed
from ...label_sets import LabelSets
from ...transforms.draws import DrawsPerImage
from .annotated_items import AnnotatedItems
from .intensity import Intensity
from .patch_centres import ANYWHERE, DRAWS, PatchCentres, thinned

__all__ = ["ResidentVolumes"]

BYTES = 3  # of a voxel: int16 and uint8


@dataclass(frozen=True)
class _File:
    """Where the voxels of a file lie: no descriptor stays open between patches."""

    path: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]

    def __getitem__(self, there: tuple[slice, ...]) -> Tensor:
        mapped = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order="F")
        return torch.from_numpy(np.array(mapped[there]))


class ResidentVolumes(DrawsPerImage, Dataset[dict[str, Any]]):
    """Patches of prepared volumes of any sizes, drawn anew in each epoch from voxels held on one device.

    A patch is drawn by class, then by a patient who annotates the class and has voxels of it, then by a voxel of it
    (`PatchCentres`). It is centred on the voxel, or moved into the volume where it would leave it; a volume smaller
    than the patch is padded with ignored voxels and the lowest value of the window. What patch n of an epoch shows
    depends on seed, epoch and n alone (`SeedEachEpoch` gives the key).

    A voxel takes 3 bytes. Where all of them exceed `memory`, patches are read from the files, mapped into memory;
    one that changes after the start is then refused.

    Args:
        data: items of a datalist (`read_datalist`).
        label_sets: of all datasets in `data`.
        patch_size: voxels, (x, y, z).
        patches: in an epoch.
        intensity: how values are standardised.
        shares: class, or "anywhere" (any voxel of any patient) -> how often patches are drawn by it, relative to the
            others, in any order; None: each class with voxels, and "anywhere", equally.
        memory: GiB that the voxels may take; None: any. It changes speed alone.
        device: of the tensors.
        surroundings: size of what is cut around each patch, which is its centre; None: the patch alone.

    Attributes:
        spacing: mm per voxel, (x, y, z), (volumes, 3), on the CPU; NaN if unknown.

    Raises:
        ValueError: if a dataset has no label sets, an annotation holds a value that they do not name, a file is not
            what was prepared, or a share is of a class without voxels.

    Batch:
        image: standardised values, float32, (B, 1, X, Y, Z); label: annotation values, uint8, same shape;
        dataset: index into `label_sets.label_sets`, int64, (B,); and on the CPU
        index: number of the patch, int64, (B,); spacing: mm per voxel, (x, y, z), float32, (B, 3), NaN if unknown;
        unlabelled: classes that a patient does not annotate although the dataset does, bool, (B, classes), absent if
        every patient annotates what the dataset does.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        label_sets: LabelSets,
        patch_size: Sequence[int],
        patches: int,
        intensity: Intensity,
        shares: Mapping[str, float] | None = None,
        memory: float | None = None,
        device: torch.device | str = "cpu",
        surroundings: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if len(patch_size) != 3 or min(patch_size) < 1 or patches < 1:
            raise ValueError(f"expected a patch of three sizes and at least 1 patch, got {patch_size} and {patches}.")
        self.data, self.label_sets, self.intensity = list(data), label_sets, intensity
        self.patch_size, self.patches, self.shares, self.memory = list(patch_size), patches, shares, memory
        self.cut_size = list(patch_size if surroundings is None else surroundings)
        self.device = torch.device(device)
        self._items = AnnotatedItems(data, label_sets)
        self.spacing = self._items.spacing
        self._sizes = [self._items.read(position)[0].shape for position in range(len(self._items))]
        voxels = sum(int(np.prod(size)) for size in self._sizes)
        self.resident = memory is None or voxels * BYTES <= memory * 2**30
        with ThreadPoolExecutor() as pool:
            read = list(pool.map(self._read, range(len(self._items))))
        self._volumes = [volume for _, volume in read]
        self._dataset, self._padding = self._items.dataset.to(self.device), label_sets.padding
        if shares is None:
            held = {name for known, _ in read for name in known}
            shares = dict.fromkeys([*(name for name in label_sets.classes if name in held), ANYWHERE], 1.0)
        ordered = {name: shares[name] for name in (*label_sets.classes, ANYWHERE) if name in shares}
        patients = [(item["dataset"], item["patient"]) for item in self.data]
        self._centres = PatchCentres([known for known, _ in read], self._sizes, patients, {**ordered, **shares})

    @property
    def normalisation(self) -> dict[str, Any]:
        """Window, mean and sd of the images, as the record of weights states them."""
        return self.intensity.normalisation

    def __len__(self) -> int:
        return self.patches

    def __getitem__(self, index: int) -> dict[str, Any]:
        batch = self.__getitems__([index])
        return {key: value[0] for key, value in batch.items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        index = torch.as_tensor(indices)
        item, voxel = self._centres(self.draw({"index": index, "label": index}, DRAWS))
        patch = torch.tensor(self.patch_size)
        room = self._centres.sizes[item] - patch
        start = torch.where(room < 0, -(-room // 2), (voxel - patch // 2).clamp(min=0).minimum(room))
        image, label = self._patches(item.tolist(), (start - (torch.tensor(self.cut_size) - patch) // 2).tolist())
        missing = {"unlabelled": self._items.unlabelled[item]} if self._items.unlabelled.any() else {}
        return {
            **missing,
            "image": self.intensity(image).unsqueeze(1),
            "label": label.unsqueeze(1),
            "dataset": self._dataset[item.to(self.device)],
            "index": index,
            "spacing": self._items.spacing[item],
        }

    def _read(self, position: int) -> tuple[dict[str, NDArray[np.int32]], tuple[Tensor | _File, Tensor | _File]]:
        """Return the voxels of the classes of a volume, and its image and annotation, held or mapped."""
        image, label = self._items.checked(position)
        of_value = self._items.classes_of_values(position)
        key = hashed(self.data[position]["dataset"], self.data[position]["patient"], "voxels")
        flat = np.array(label, order="C").reshape(-1)
        inside = np.flatnonzero(of_value[flat]) if of_value.any() else np.zeros(0, np.int64)
        classes = of_value[flat[inside]]
        voxels = {
            name: thinned(inside[classes == number].astype(np.int32), key)
            for number, name in enumerate(self.label_sets.classes)
            if number and (classes == number).any()
        }
        if self.resident:
            voxels_held = np.array(image, order="C"), flat.reshape(label.shape)
            held, annotated = (torch.from_numpy(one).to(self.device) for one in voxels_held)
            return voxels, (held, annotated)
        item = self.data[position]
        return voxels, (_file(item["image"], image), _file(item["label"], label))

    def _patches(self, items: Sequence[int], starts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Return images and annotations, (B, X, Y, Z), cut from volumes at `starts`, which may lie outside them."""
        shape = len(items), *self.cut_size
        image = torch.full(shape, self.intensity.outside, dtype=torch.int16, device=self.device)
        label = torch.full(shape, self._padding, dtype=torch.uint8, device=self.device)
        for number, (position, start) in enumerate(zip(items, starts, strict=True)):
            spans = list(zip(start, self.cut_size, self._sizes[position], strict=True))
            there = tuple(slice(max(low, 0), min(low + length, most)) for low, length, most in spans)
            here = tuple(slice(part.start - low, part.stop - low) for part, low in zip(there, start, strict=True))
            with nullcontext() if self.resident else self._items.unchanged(position):
                for patch, volume in zip((image, label), self._volumes[position], strict=True):
                    patch[number][here] = volume[there]
        return image, label


def _file(path: str, values: NDArray[Any]) -> _File:
    if not isinstance(values, np.memmap):
        raise ValueError(f"{path} cannot be mapped into memory; prepare the dataset again.")
    return _File(path, values.dtype, values.offset, values.shape)
