"""Where patches are drawn: first a class, then a patient who annotates it, then a voxel of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["ANYWHERE", "CAP", "DRAWS", "PatchCentres", "thinned"]

ANYWHERE = "anywhere"  # beside the classes: any voxel of any patient
CAP = 4096  # voxels that are remembered of a class in a volume
DRAWS = 6  # numbers that one patch takes: class, patient, voxel among those of a class; x, y, z of any voxel


def thinned(positions: NDArray[np.int32], key: int) -> NDArray[np.int32]:
    """Keep at most `CAP` of sorted positions, spread evenly: one drawn from each of `CAP` equal runs.

    Example:
        >>> kept = thinned(np.arange(10 * CAP, dtype=np.int32), key=0)
        >>> bool(np.all(kept // 10 == np.arange(CAP)))
        True
    """
    if len(positions) <= CAP:
        return positions
    borders = np.arange(CAP + 1) * len(positions) // CAP
    return positions[np.random.default_rng(key).integers(borders[:-1], borders[1:])]


class PatchCentres:
    """Draw the centres of patches.

    A class of which only some patients have voxels is drawn as often as any other, always in these patients: drawing
    patients first would starve it.

    Args:
        voxels: for each volume, the voxels of each class that it annotates and holds: name -> indices into the volume
            with z fastest, int32.
        sizes: voxels of each volume, (x, y, z), (volumes, 3).
        patients: of each volume; all patients of a class are drawn equally, however many volumes they have.
        shares: name of a class, or `ANYWHERE` -> how often, relative to the others.

    Raises:
        ValueError: for a share that is not positive, or of a class that no volume holds.

    References:
        K. Kamnitsas et al. (2017), Efficient multi-scale 3D CNN with fully connected CRF, section 2.3 (classes drawn
        with equal probability).

    Example:
        >>> voxels = [{"lv": np.array([7], np.int32)}, {}]
        >>> centres = PatchCentres(voxels, [(2, 2, 2)] * 2, ["p", "q"], {"lv": 1.0})
        >>> item, voxel = centres(torch.rand(5, DRAWS))
        >>> item.tolist(), voxel[0].tolist()
        ([0, 0, 0, 0, 0], [1, 1, 1])
    """

    def __init__(
        self,
        voxels: Sequence[Mapping[str, NDArray[np.int32]]],
        sizes: Sequence[Sequence[int]],
        patients: Sequence[Hashable],
        shares: Mapping[str, float],
    ) -> None:
        if wrong := {name: share for name, share in shares.items() if not share > 0} or not shares:
            raise ValueError(f"shares hold {wrong if shares else '{}'}, expected positive numbers by class.")
        self.sizes = torch.tensor([list(size) for size in sizes])
        edges, items, parts = [], [], []
        for rank, name in enumerate(shares):
            own = [item for item, held in enumerate(voxels) if name == ANYWHERE or name in held]
            if not own:
                raise ValueError(f"shares name {name!r}, which no volume annotates and holds; leave it out.")
            of_patient = dict.fromkeys(patients, 0)
            for item in own:
                of_patient[patients[item]] += 1
            weight = np.cumsum([1 / of_patient[patients[item]] for item in own])
            weight /= weight[-1]
            edges.append(rank + weight)
            items += own
            parts += [np.zeros(0, np.int32) if name == ANYWHERE else voxels[item][name] for item in own]
        total = np.cumsum(list(shares.values()), dtype=np.float64)
        counts = torch.tensor([len(part) for part in parts])
        self._shares = torch.from_numpy(total / total[-1])
        self._edges = torch.from_numpy(np.concatenate(edges))
        self._items, self._counts, self._starts = torch.tensor(items), counts, counts.cumsum(0) - counts
        self._positions = torch.from_numpy(np.concatenate(parts)) if counts.any() else torch.zeros(1, dtype=torch.int32)

    def __call__(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Turn numbers from 0 up to, but not including, 1, (patches, `DRAWS`), into volumes and voxels of them.

        Returns:
            Volume, int64, (patches,), and voxel, (x, y, z), int64, (patches, 3).
        """
        numbers = numbers.double()
        rank = torch.searchsorted(self._shares, numbers[:, 0].contiguous(), right=True)
        cell = torch.searchsorted(self._edges, rank + numbers[:, 1], right=True)
        item, count = self._items[cell], self._counts[cell]
        size = self.sizes[item]
        number = self._starts[cell] + (numbers[:, 2] * count).long()
        place = self._positions[number.clamp(max=len(self._positions) - 1)].long()  # "anywhere" has no positions
        rest = place % (size[:, 1] * size[:, 2])
        known = torch.stack([place // (size[:, 1] * size[:, 2]), rest // size[:, 2], rest % size[:, 2]], dim=1)
        return item, torch.where(count.unsqueeze(1) > 0, known, (numbers[:, 3:] * size).long())
