"""Random numbers that depend on a key and on the number of each image alone: a counter-based generator.

An image draws the same whatever else is in its batch, whichever process or worker makes the batch, and in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from zlib import crc32

import numpy as np
import torch
from monai.transforms import Randomizable
from torch import Tensor, distributed
from torch.utils.data import Dataset, Subset, get_worker_info

from .generators import drawn_from, held_generators, seed_held

__all__ = ["DrawsPerBatch", "DrawsPerImage", "DrawsPerItem", "key_of", "uniform"]

STEP = 0x9E3779B97F4A7C15 - 2**64  # the constants of SplitMix64, as signed integers
FACTORS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)
SHIFTS = (30, 27)


def _mix(bits: Tensor) -> Tensor:
    """Scatter int64 bits: each bit of the input flips each bit of the output half of the time (SplitMix64)."""
    for shift, factor in zip(SHIFTS, FACTORS, strict=True):
        bits = (bits ^ _shifted(bits, shift)) * factor
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Tensor, by: int) -> Tensor:
    return (bits >> by) & ((1 << (64 - by)) - 1)  # torch shifts the sign in


def key_of(*numbers: int) -> int:
    """Return one 64-bit key for several integers in order, such as seed, epoch and position of a transform.

    Example:
        >>> len({key_of(seed, epoch) for seed in range(10) for epoch in range(10)})
        100
    """
    key = torch.zeros((), dtype=torch.int64)
    for number in numbers:
        for part in (number & (2**32 - 1), (number >> 32) & (2**32 - 1)):
            key = _mix(key + STEP + part)
    return int(key)


def uniform(key: Tensor, index: Tensor, count: int) -> Tensor:
    """Draw numbers from 0 up to, but not including, 1 for each image.

    Args:
        key: int64, ().
        index: number of each image, int64, (B,).
        count: numbers per image.

    Returns:
        float32, (B, count), on the device of `index`.

    References:
        Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators, OOPSLA (SplitMix64).
        Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3, SC (counter-based generators).

    Example:
        >>> key = torch.tensor(key_of(0, 1))
        >>> both, second = uniform(key, torch.tensor([3, 7]), 2), uniform(key, torch.tensor([7]), 2)
        >>> torch.equal(both[1:], second)
        True
    """
    of_image = _mix(_mix(index * STEP) ^ key.to(index.device))
    numbers = torch.arange(1, count + 1, device=index.device) * STEP
    return _shifted(_mix(of_image.unsqueeze(1) + numbers), 40).float() * 2.0**-24


def _index_of(data: Any, step: object) -> Tensor | None:
    """Return the numbers of the images of a batch, int64, (B,), or of one image, (1,); None if they are not needed.

    Raises:
        ValueError: if they are missing where workers or processes would repeat each other's draws.
    """
    if isinstance(data, Mapping) and "index" in data:
        return torch.as_tensor(data["index"]).reshape(-1)
    if get_worker_info() is None and not (distributed.is_available() and distributed.is_initialized()):
        return None
    raise ValueError(
        f"{type(step).__name__} needs the 'index' of each image, which its batch lacks: without it, workers and "
        "processes would repeat each other's draws. Keep 'index' in the steps before, or let the dataset give it."
    )


class DrawsPerImage(Randomizable):
    """A random transform of whole batches whose draws for an image depend on its `index`, once it has a key.

    `SeedEachEpoch` gives each transform another key in every epoch. Without a key, or without `index` in the batch,
    the transform draws from its own state `R`, as every MONAI transform does.
    """

    def __init__(self) -> None:
        # whether there is a key, and the key; shared: workers that persist over epochs see each
        self._key = torch.zeros(2, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def set_key(self, key: int) -> None:
        """Draw from this key from now on."""
        self._key.copy_(torch.tensor([1, key]))

    @property
    def has_key(self) -> bool:
        """Whether the draws depend on a key, not on `R`."""
        return bool(self._key[0])

    def draw(self, data: Mapping[Hashable, Any], count: int) -> Tensor:
        """Draw `count` numbers from 0 to 1 for each image of a batch, float32, (B, count).

        Raises:
            ValueError: if workers or processes would repeat each other's draws, for want of `index`.
        """
        if self.has_key and (index := _index_of(data, self)) is not None:
            return uniform(self._key[1], index, count)
        return torch.from_numpy(self.R.random_sample((len(data["label"]), count))).float()


class DrawsPerBatch(DrawsPerImage):
    """A transform of another kind, whose draws for a batch depend on the first image in it, once it has a key.

    It may draw from MONAI's `R`, from the generators of torch, NumPy and Python, or from those that it holds: workers
    and processes neither repeat each other's draws nor change them by their number.

    Args:
        transform: takes and returns a batch.
    """

    def __init__(self, transform: Callable[[Any], Any]) -> None:
        super().__init__()
        self.transform = transform

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> DrawsPerBatch:
        """Seed this transform and the other."""
        super().set_random_state(seed, state)
        if seed is not None:
            seed_held(self.transform, seed)
        elif isinstance(self.transform, Randomizable):
            self.transform.set_random_state(state=state)
        return self

    def __call__(self, data: Any) -> Any:
        """Transform a batch."""
        index = _index_of(data, self.transform) if self.has_key else None
        if index is None:
            return self.transform(data)
        with drawn_from(key_of(int(self._key[1]), int(index[0])), held_generators(self.transform)):
            return self.transform(data)


class DrawsPerItem(DrawsPerImage, Dataset[Any]):
    """A dataset of another kind, whose draws for an item depend on its index, once it has a key.

    Draws for a batch that the dataset makes as a whole (`__getitems__`) depend on the first index in it.

    Args:
        dataset: of any items.
    """

    def __init__(self, dataset: Any) -> None:
        super().__init__()
        self.dataset = dataset
        self._held: list[object] | None = None  # found once in each worker: a dataset may hold long lists

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        with self._drawn_for(index):
            return self.dataset[index]

    def __getitems__(self, indices: Sequence[Any]) -> Any:
        whole = self.dataset
        while isinstance(whole, Subset):  # makes batches of any dataset
            whole = whole.dataset
        if getattr(whole, "__getitems__", None) is None:
            return [self[index] for index in indices]
        with self._drawn_for(indices[0]):
            return self.dataset.__getitems__(indices)

    def _drawn_for(self, index: Any) -> AbstractContextManager[None]:
        if not self.has_key:
            return nullcontext()
        if self._held is None:
            self._held = held_generators(self.dataset)
        return drawn_from(key_of(int(self._key[1]), crc32(repr(index).encode())), self._held)
