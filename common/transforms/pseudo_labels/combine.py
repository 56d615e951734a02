"""Dynamic pseudo-labels: those of a shifted crop where it overlaps the fixed crop, the fixed ones elsewhere (COM)."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType

import torch
from torch import Tensor

__all__ = ["combine"]


def combine(fixed: Tensor, temporary: Tensor, shift: Tensor) -> Tensor:
    """Replace the pseudo-labels of a fixed crop by those of a shifted crop of the same size, where both overlap.

    A network sees the overlap twice, with different surroundings. Made by `pseudo_label_map`, both pseudo-labels agree
    wherever the annotation decides a pixel, so this changes ambiguous pixels only.

    Args:
        fixed: of the fixed crops, class indices (B, *spatial) or label-set maps (B, 2, *spatial).
        temporary: of the shifted crops, the same shape and dtype.
        shift: of the second crop against the first, pixels along each spatial axis, integer (B, axes). Leave it on the
            CPU: it places slices.

    Returns:
        The dynamic pseudo-labels of the fixed crops, of the same shape and dtype.

    Raises:
        ValueError: the shapes or dtypes do not match.

    References:
        Kumari and Singh (2024), Leveraging fixed and dynamic pseudo-labels for semi-supervised medical image
        segmentation.

    Example:
        >>> fixed = torch.tensor([[13, 14, 15, 16]])      # of pixels 3 to 6
        >>> temporary = torch.tensor([[25, 26, 27, 28]])  # of pixels 5 to 8
        >>> combine(fixed, temporary, torch.tensor([[2]]))
        tensor([[13, 14, 25, 26]])
    """
    if fixed.shape != temporary.shape or fixed.dtype != temporary.dtype:
        raise ValueError(
            f"expected two pseudo-labels of one shape and dtype, got {fixed.dtype} {tuple(fixed.shape)} and "
            f"{temporary.dtype} {tuple(temporary.shape)}."
        )
    batch, axes = shift.shape if shift.ndim == 2 else (0, 0)
    if batch != len(fixed) or fixed.ndim - axes not in (1, 2) or torch.is_floating_point(shift):
        raise ValueError(
            "expected integer shifts (B, axes), one for each spatial axis of each image, "
            f"got {shift.dtype} {tuple(shift.shape)} for pseudo-labels {tuple(fixed.shape)}."
        )
    size = fixed.shape[-axes:]
    dynamic = fixed.clone()
    for image, steps in enumerate(shift.tolist()):
        dynamic[image][_overlap(size, steps)] = temporary[image][_overlap(size, [-step for step in steps])]
    return dynamic


def _overlap(size: Sequence[int], shift: Sequence[int]) -> tuple[EllipsisType | slice, ...]:
    """Return the part of a crop that lies in another one of its size, which is shifted against it."""
    along = (slice(max(step, 0), max(length + min(step, 0), 0)) for length, step in zip(size, shift, strict=True))
    return (..., *along)
