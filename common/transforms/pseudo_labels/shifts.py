"""The four crops that are shifted against a fixed crop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["crop", "shifts"]

SIGNS = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))  # the diagonals of a square; in 3-D a tetrahedron


def shifts(size: Sequence[int], multiple: int = 16) -> Tensor:
    """Return the shifts of four crops against a fixed crop, towards the corners of a square or a tetrahedron.

    Each axis is shifted by the largest multiple that is at most a quarter of the crop. Where the multiple is that by
    which a network reduces its input, both crops meet the same grid of pooling. Number, directions and lengths of the
    shifts are ours where the text of Kumari and Singh (2024) says "four, shifted" alone.

    Args:
        size: of the crop, pixels along each axis, two or three.
        multiple: pixels.

    Returns:
        Pixels, int64, (4, axes).

    Raises:
        ValueError: other numbers of axes, or a crop too small to be shifted along two of them.

    Example:
        >>> shifts([112, 112, 80]).tolist()
        [[16, 16, 16], [16, -16, -16], [-16, 16, -16], [-16, -16, 16]]
        >>> shifts([128, 64]).tolist()
        [[32, 16], [32, -16], [-32, 16], [-32, -16]]
    """
    if len(size) not in (2, 3):
        raise ValueError(f"expected a crop of two or three axes, got {list(size)}.")
    steps = [length // 4 // multiple * multiple for length in size]
    if sum(step > 0 for step in steps) < 2:
        raise ValueError(
            f"a crop of {list(size)} cannot be shifted in four directions by a multiple of {multiple} that is at most "
            f"a quarter of it; expected two axes of at least {4 * multiple}, or a smaller multiple (--shift_multiple)."
        )
    return torch.tensor(SIGNS)[:, : len(size)] * torch.tensor(steps)


def crop(image: Tensor, size: Sequence[int], shift: Tensor) -> Tensor:
    """Crop the centre of each image, shifted; images and label-set maps alike.

    Args:
        image: (B, *spatial) or (B, K, *spatial).
        size: of the crop, pixels along each axis.
        shift: of each crop from the centre, pixels, integer (B, axes), on the CPU; zeros give the fixed crop.

    Returns:
        A new tensor, (B, *size) or (B, K, *size).

    Raises:
        ValueError: a crop leaves its image, or the shapes do not match.

    Example:
        >>> crop(torch.arange(10).view(1, 10), [4], torch.tensor([[2]]))  # the centre is pixels 3 to 6
        tensor([[5, 6, 7, 8]])
    """
    if shift.shape != (len(image), len(size)) or image.ndim - len(size) not in (1, 2):
        raise ValueError(
            f"expected images (B, *spatial) or (B, K, *spatial) and shifts (B, axes) for crops of {list(size)}, "
            f"got {tuple(image.shape)} and {tuple(shift.shape)}."
        )
    room = torch.tensor(image.shape[-len(size) :]) - torch.tensor(size)
    starts = room // 2 + shift
    if bool(((starts < 0) | (starts > room)).any()):
        raise ValueError(
            f"expected crops of {list(size)} inside images of {list(image.shape[-len(size) :])}, got the shifts "
            f"{shift.tolist()}."
        )
    places = [[slice(s, s + length) for s, length in zip(start, size, strict=True)] for start in starts.tolist()]
    return torch.stack([one[(..., *place)] for one, place in zip(image, places, strict=True)])
