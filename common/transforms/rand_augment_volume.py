"""Random geometry and intensity of a batch of volumes, on its device."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from .draws import DrawsPerImage

__all__ = ["AffineSamples", "RandAugmentVolumed"]


class AffineSamples:
    """New volumes sampled from old ones; what image and annotation need alike is computed once.

    On a CPU this is several times as fast as `torch.nn.functional.grid_sample`, whose three-dimensional form is not
    vectorised, and integers of any dtype keep their bits.

    Args:
        matrix: from voxels of the new volumes to voxels of the old ones, about the centres of both, (B, 3, 3).
        shift: of the centres in the old volumes, voxels, (B, 3).
        size: of the new volumes, (x, y, z).
        source: size of the old ones.

    Example:
        >>> samples = AffineSamples(torch.eye(3)[None], torch.tensor([[0.4, 0, 0]]), (1, 1, 1), (3, 1, 1))
        >>> volume = torch.tensor([10, 20, 30]).view(1, 1, 3, 1, 1)
        >>> samples.nearest(volume).item(), round(samples.linear(volume.float()).item(), 4)
        (20, 24.0)
    """

    def __init__(self, matrix: Tensor, shift: Tensor, size: Sequence[int], source: Sequence[int]) -> None:
        self.size, self.source = list(size), list(source)
        strides = [source[1] * source[2], source[2], 1]
        self._steps = [stride if length > 1 else 0 for stride, length in zip(strides, source, strict=True)]
        lines = [torch.arange(length, device=matrix.device) - (length - 1) / 2 for length in size]
        shape, voxels = (len(matrix), *size), source[0] * source[1] * source[2]
        # memory is used again where it can be: on a CPU, new memory costs more than the sums
        exact = torch.float32 if len(matrix) * voxels < 2**24 else torch.float64
        whole, beyond = matrix.new_empty(shape), matrix.new_full(shape, -1.0)
        place = torch.arange(len(matrix), device=matrix.device, dtype=exact).view(-1, 1, 1, 1).expand(shape) * voxels
        self._fractions: list[Tensor] = []
        for axis, length in enumerate(source):
            x, y, z = (matrix[:, axis, column, None] * line for column, line in enumerate(lines))
            plane = x[:, :, None, None] + y[:, None, :, None] + shift[:, axis, None, None, None]
            along = plane + z[:, None, None, :]  # voxels from the centre
            torch.abs(along, out=whole).sub_(length / 2)
            torch.maximum(beyond, whole, out=beyond)
            along.add_((length - 1) / 2).clamp_(0, length - 1)
            torch.floor(along, out=whole).clamp_(max=max(length - 2, 0))
            place.add_(whole, alpha=strides[axis])
            self._fractions.append(along.sub_(whole))
        self._place, self._index, self._beyond = place, place.to(torch.int32).view(-1), beyond

    def linear(self, image: Tensor) -> Tensor:
        """Interpolate (B, C, X, Y, Z), floating, between eight voxels; outside, the border is repeated."""
        channels = [self._linear(channel).unsqueeze(1) for channel in image.unbind(1)]
        return channels[0] if len(channels) == 1 else torch.cat(channels, dim=1)

    def nearest(self, label: Tensor) -> Tensor:
        """Take the nearest voxel of (B, K, X, Y, Z), of any dtype; outside, 0."""
        place, half = self._place.clone(), torch.empty_like(self._beyond)
        for fraction, step in zip(self._fractions, self._steps, strict=True):
            place.add_(torch.add(fraction, 0.5, out=half).floor_(), alpha=step)
        index = place.to(torch.int32).view(-1)
        inside = torch.neg(self._beyond, out=half).ceil_().clamp_(0, 1).to(label.dtype)  # a comparison is slower
        channels = [channel.reshape(-1).index_select(0, index) for channel in label.unbind(1)]
        return torch.stack([channel.view(inside.shape).mul_(inside) for channel in channels], dim=1)

    def _linear(self, volume: Tensor) -> Tensor:
        """Interpolate along z, then y, then x."""
        flat, (right, down, on), (x, y, z) = volume.reshape(-1), self._steps, self._fractions
        result, face, edge, far = flat.new_empty(4, *z.shape)

        def line(into: Tensor, offset: int) -> Tensor:
            for part, place in ((into, offset), (far, offset + on)):
                torch.index_select(flat[place:], 0, self._index, out=part.view(-1))
            return into.lerp_(far, z)

        line(result, 0).lerp_(line(edge, down), y)
        line(face, right).lerp_(line(edge, right + down), y)
        interpolated: Tensor = result.lerp_(face, x)
        return interpolated


class RandAugmentVolumed(DrawsPerImage):
    """Rotate, scale and shift each volume of a batch, and change its intensity.

    Geometry is that of the patient: rotations are rotations in mm, whatever the voxels' shape. It moves the label-set
    map, so place it behind `EncodeLabelSetsd`: voxels that enter from outside are then ignored; in the image they
    repeat the border. A batch that is larger than `size` leaves nothing to enter.

    Args:
        size: voxels of the result, (x, y, z), cut from the centre; None: as the batch.
        rotation: largest angle about each axis, degrees.
        scale: largest change of size, as a fraction.
        shift: largest displacement along each axis, mm; voxels where the spacing is unknown.
        intensity_shift: largest number added, in the units of the image.
        intensity_scale: largest change of contrast, as a fraction.
        noise: largest standard deviation of white noise, in the units of the image; 0 adds none.

    Example:
        >>> augment = RandAugmentVolumed(rotation=(0, 0, 10))
        >>> _ = augment.set_random_state(0)
        >>> batch = {"image": torch.ones(2, 1, 8, 8, 6), "label": torch.ones(2, 2, 8, 8, 6, dtype=torch.uint8)}
        >>> augment(batch)["label"].dtype
        torch.uint8
    """

    def __init__(
        self,
        size: Sequence[int] | None = None,
        rotation: Sequence[float] = (10.0, 10.0, 10.0),
        scale: float = 0.1,
        shift: float = 0.0,
        intensity_shift: float = 0.1,
        intensity_scale: float = 0.1,
        noise: float = 0.0,
    ) -> None:
        if len(rotation) != 3 or not 0 <= scale < 1:
            raise ValueError(f"expected three angles and a scale from 0 to below 1, got {rotation} and {scale}.")
        super().__init__()
        self.size, self.rotation, self.scale, self.shift = size, rotation, scale, shift
        self.intensity_shift, self.intensity_scale, self.noise = intensity_shift, intensity_scale, noise

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Augment `image` (B, C, X, Y, Z) and the integer `label` (B, K, X, Y, Z), by `index` (B,), on the CPU.

        `spacing`, mm per voxel, (x, y, z), (B, 3), on the CPU, says how long voxels are; without it they are cubes.
        """
        image, label = data["image"], data["label"]
        draws = self.draw(data, 11).cpu()
        both = 2 * draws[:, :9] - 1
        spacing = data["spacing"].nan_to_num(1.0) if "spacing" in data else torch.ones(len(image), 3)
        angles = np.array(self.rotation) * both[:, :3].numpy()
        turn = torch.from_numpy(Rotation.from_euler("XYZ", angles, degrees=True).as_matrix()).float()
        matrix = turn / (1 + self.scale * both[:, 3, None, None])
        matrix = matrix * spacing[:, None, :] / spacing[:, :, None]  # to mm, moved, and back
        shift = self.shift * both[:, 4:7] / spacing
        factors = torch.stack([1 + self.intensity_scale * both[:, 7], self.intensity_shift * both[:, 8]])
        contrast, brightness = factors.to(image.device).view(2, -1, 1, 1, 1, 1)
        source = image.shape[2:]
        samples = AffineSamples(matrix.to(image.device), shift.to(image.device), self.size or source, source)
        moved = samples.linear(image).mul_(contrast).add_(brightness)
        if self.noise:
            moved += self._noise(moved, draws[:, 9:])
        return {**data, "image": moved, "label": samples.nearest(label)}

    def _noise(self, like: Tensor, draws: Tensor) -> Tensor:
        """Return white noise; each volume has its own generator, seeded by its draw."""
        noise = torch.empty_like(like)
        generator = torch.Generator(like.device)
        for volume, (level, seed) in zip(noise, draws.tolist(), strict=True):
            volume.normal_(0, 1, generator=generator.manual_seed(int(seed * 2**24))).mul_(self.noise * level)
        return noise
