"""Split a token grid into tiles and join them again: patches, windows, merging and expanding of Swin-Unet."""

from __future__ import annotations

from math import isqrt

import torch

__all__ = ["join_tiles", "split_tiles"]


def split_tiles(grid: torch.Tensor, side: int) -> torch.Tensor:
    """Split a grid of tokens into square tiles.

    Args:
        grid: tokens (B, H, W, C); `side` divides H and W.
        side: tokens per side of a tile.

    Returns:
        (B, H / side, W / side, side * side, C), the tokens of each tile row by row.

    Example:
        >>> split_tiles(torch.arange(16).reshape(1, 4, 4, 1), 2)[0, 0, 1].flatten()  # the upper right tile
        tensor([2, 3, 6, 7])
    """
    batch, height, width, channels = grid.shape
    cut = grid.reshape(batch, height // side, side, width // side, side, channels)
    return cut.transpose(2, 3).flatten(3, 4)


def join_tiles(tiles: torch.Tensor) -> torch.Tensor:
    """Join tiles (B, H / side, W / side, side * side, C) to a grid: the inverse of `split_tiles`.

    Example:
        >>> join_tiles(torch.arange(8).reshape(1, 1, 2, 4, 1))[0, ..., 0]
        tensor([[0, 1, 4, 5],
                [2, 3, 6, 7]])
    """
    side = isqrt(tiles.shape[3])
    cut = tiles.reshape(*tiles.shape[:3], side, side, tiles.shape[4])
    return cut.transpose(2, 3).flatten(3, 4).flatten(1, 2)
