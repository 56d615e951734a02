"""Attention of image tokens within windows, which every second layer shifts by half a window."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .tiles import join_tiles, split_tiles

__all__ = ["WindowAttention", "heads_of", "relative_position", "shift_mask"]

HEAD = 32  # minimum channels per head, Liu et al. (2021), section 3.3


def heads_of(channels: int) -> int:
    """Return the number of heads that divides `channels` evenly into 32 each, or the next possible number.

    Example:
        >>> [heads_of(channels) for channels in (96, 192, 48, 112)]
        [3, 6, 1, 2]
    """
    return max(n for n in range(1, max(1, channels // HEAD) + 1) if channels % n == 0)


def relative_position(window: int) -> torch.Tensor:
    """Number the relative positions of all pairs of tokens in a window of `window` tokens per side.

    Returns:
        (window ** 2, window ** 2), int64 below (2 * window - 1) ** 2, equal for equal offsets in rows and columns.

    Example:
        >>> relative_position(2)[0]  # of the first token to itself, its right, lower and diagonal neighbour
        tensor([4, 3, 1, 0])
    """
    place = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    offset = place[:, None] - place[None] + window - 1
    return offset[..., 0] * (2 * window - 1) + offset[..., 1]


def shift_mask(grid: int, window: int, shift: int) -> torch.Tensor:
    """Mask, in each window of a rolled grid, pairs of tokens from opposite edges, which rolling brings together.

    Args:
        grid: tokens per side of the image.
        window: tokens per side of a window.
        shift: tokens by which the grid was rolled up and left.

    Returns:
        (windows, window ** 2, window ** 2), 0 where a token may attend to another and -inf elsewhere.

    Example:
        >>> shift_mask(4, 2, 1)[1]  # upper right: its right column came from the left edge
        tensor([[0., -inf, 0., -inf],
                [-inf, 0., -inf, 0.],
                [0., -inf, 0., -inf],
                [-inf, 0., -inf, 0.]])
    """
    wrapped = (torch.arange(grid) >= grid - shift).long()
    region = 2 * wrapped[:, None] + wrapped[None]
    tile = split_tiles(region[None, ..., None], window).flatten(0, 2).squeeze(-1)
    return torch.zeros(tile.shape[0], window**2, window**2).masked_fill(tile[:, :, None] != tile[:, None], -torch.inf)


class WindowAttention(nn.Module):
    """Multi-head attention of each token to the tokens of its window, with a learned bias per relative position.

    A window larger than the grid is reduced to the grid and not shifted. Masks are computed once, and windows with
    different masks are treated as heads, so that one call of PyTorch's fused attention suffices.

    Args:
        channels: of a token.
        grid: tokens per side of the image.
        window: tokens per side of a window; divides `grid` or exceeds it.
        shifted: shift the windows by half a window, without attention across the edge of the image.

    Shapes:
        input and output: (B, grid, grid, channels).

    References:
        Liu et al. (2021), Swin Transformer: hierarchical vision transformer using shifted windows, sections 3.2, 3.3.

    Example:
        >>> WindowAttention(32, grid=8, window=4, shifted=True)(torch.zeros(2, 8, 8, 32)).shape
        torch.Size([2, 8, 8, 32])
    """

    position: torch.Tensor
    mask: torch.Tensor

    def __init__(self, channels: int, grid: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.window = min(window, grid)
        self.shift = self.window // 2 if shifted and grid > window else 0
        self.heads = heads_of(channels)
        self.to_query_key_value = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.position_bias = nn.Parameter(torch.empty(self.heads, (2 * self.window - 1) ** 2))
        nn.init.trunc_normal_(self.position_bias, std=0.02)
        size = grid if self.shift else self.window  # unshifted windows share one mask of zeros
        # not saved: both follow from the arguments, so weights can be loaded at another image size
        self.register_buffer("position", relative_position(self.window), persistent=False)
        self.register_buffer("mask", shift_mask(size, self.window, self.shift)[:, None], persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Let the tokens (B, grid, grid, channels) of each window attend to each other."""
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
        tiles = split_tiles(x, self.window)
        every = self.to_query_key_value(tiles).unflatten(-1, (3, self.heads, -1)).movedim((4, 5), (0, 4))
        bias = (self.position_bias[:, self.position] + self.mask).flatten(0, 1)
        query, key, value = every.reshape(3, -1, *bias.shape[:2], every.shape[-1])
        tiles = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias[None])
        x = join_tiles(self.out(tiles.reshape(every.shape[1:]).transpose(3, 4).flatten(4)))
        return x.roll((self.shift, self.shift), dims=(1, 2)) if self.shift else x
