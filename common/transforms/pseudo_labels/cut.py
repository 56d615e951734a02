"""CutMix: a box of one image replaced by that of another, with their pseudo-labels and label-set maps (CUT)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["boxes", "cut"]


def cut(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Mix two batches by a mask: images, pseudo-labels and label-set maps alike, each cut with the same mask.

    `second` may be the same batch in another order, such as `first.roll(1, dims=0)`.

    Args:
        first: taken where the mask is true, (B, *spatial) or (B, K, *spatial).
        second: taken elsewhere, the same shape and dtype.
        mask: boolean (B, *spatial), on the device of both.

    Returns:
        A new tensor, of the same shape and dtype.

    Raises:
        ValueError: the shapes or dtypes do not match.

    References:
        Yun et al. (2019), CutMix: regularization strategy to train strong classifiers with localizable features.

    Example:
        >>> mask = torch.tensor([[True, False, False, True]])
        >>> cut(torch.tensor([[10, 11, 12, 13]]), torch.tensor([[20, 21, 22, 23]]), mask)
        tensor([[10, 21, 22, 13]])
    """
    if first.shape != second.shape or first.dtype != second.dtype:
        raise ValueError(
            f"expected two batches of one shape and dtype, got {first.dtype} {tuple(first.shape)} and "
            f"{second.dtype} {tuple(second.shape)}."
        )
    channels = first.ndim - mask.ndim
    expected = first.shape[:1] + first.shape[1 + channels :]
    if mask.dtype != torch.bool or channels not in (0, 1) or mask.shape != expected:
        raise ValueError(
            "expected a boolean mask (B, *spatial) for batches (B, *spatial) or (B, K, *spatial), "
            f"got {mask.dtype} {tuple(mask.shape)} for {tuple(first.shape)}."
        )
    return torch.where(mask.unsqueeze(1) if channels else mask, first, second)


def boxes(draws: Tensor, size: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Return a mask for each image that is false in a random box, for `cut`.

    The fraction of the image that the box fills is uniform from 0 to 1 (the Beta(1, 1) of Yun et al.), its sides have
    the proportions of the image, and its place is uniform among those inside the image.

    Args:
        draws: numbers from 0 to 1, float, (B, 1 + axes); on the CPU, boxes are the same whatever the device of the
            masks.
        size: of the images, pixels along each spatial axis.
        device: of the masks.

    Returns:
        Boolean (B, *size): true outside the box.

    Example:
        >>> boxes(torch.tensor([[0.4, 0.7], [0.9, 0.1]]), [8]).int()
        tensor([[1, 1, 1, 1, 0, 0, 0, 1],
                [0, 0, 0, 0, 0, 0, 0, 1]], dtype=torch.int32)
    """
    axes = len(size)
    lengths = torch.tensor(size, device=draws.device)
    sides = (lengths * draws[:, :1] ** (1 / axes)).round().long()
    starts = (draws[:, 1:] * (lengths - sides + 1)).long()
    starts, stops = (corner.to(device, non_blocking=True) for corner in (starts, starts + sides))
    outside = torch.zeros(len(draws), *size, dtype=torch.bool, device=device)
    for axis, length in enumerate(size):
        line = torch.arange(length, device=device)
        beyond = (line < starts[:, axis, None]) | (line >= stops[:, axis, None])
        outside |= beyond.view(-1, *(length if other == axis else 1 for other in range(axes)))
    return outside
