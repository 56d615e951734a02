"""The layers of Swin-Unet other than attention: block, patch merging and patch expanding."""

from __future__ import annotations

import torch
from monai.networks.layers import DropPath
from torch import nn

from .tiles import join_tiles, split_tiles
from .window_attention import WindowAttention

__all__ = ["PatchExpanding", "PatchMerging", "SwinBlock"]


class SwinBlock(nn.Module):
    """Attention within windows, then two dense layers per token, each with a residual connection.

    Args:
        channels: of a token.
        grid: tokens per side of the image.
        window: tokens per side of a window.
        shifted: shift the windows by half a window.
        drop_path: probability of skipping either part for an image of a training batch.

    Shapes:
        input and output: (B, grid, grid, channels).

    References:
        Liu et al. (2021), Swin Transformer, eq. (3).

    Example:
        >>> SwinBlock(32, grid=8, window=4, shifted=True, drop_path=0.1)(torch.zeros(2, 8, 8, 32)).shape
        torch.Size([2, 8, 8, 32])
    """

    def __init__(self, channels: int, grid: int, window: int, shifted: bool, drop_path: float) -> None:
        super().__init__()
        attention = WindowAttention(channels, grid, window, shifted)
        dense = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))
        self.attention = nn.Sequential(nn.LayerNorm(channels), attention, DropPath(drop_path))
        self.dense = nn.Sequential(nn.LayerNorm(channels), dense, DropPath(drop_path))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform tokens (B, grid, grid, channels)."""
        x = x + self.attention(x)
        transformed: torch.Tensor = x + self.dense(x)
        return transformed


class PatchMerging(nn.Module):
    """Merge 2 x 2 tokens into one token with twice the channels.

    Args:
        channels: of an input token.

    Shapes:
        input: (B, H, W, channels). output: (B, H / 2, W / 2, 2 * channels).

    References:
        Liu et al. (2021), Swin Transformer, section 3.1.

    Example:
        >>> PatchMerging(32)(torch.zeros(1, 8, 8, 32)).shape
        torch.Size([1, 4, 4, 64])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduce = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Merge tokens (B, H, W, channels)."""
        merged: torch.Tensor = self.reduce(self.norm(split_tiles(x, 2).flatten(3)))
        return merged


class PatchExpanding(nn.Module):
    """Expand each token into `side` x `side` new tokens: learned upsampling without convolution.

    Args:
        channels: of an input token.
        expanded: channels of an output token.
        side: new tokens per side of an input token.

    Shapes:
        input: (B, H, W, channels). output: (B, side * H, side * W, expanded).

    References:
        Cao et al. (2022), Swin-Unet, section 3.5.

    Example:
        >>> PatchExpanding(64, 32, side=2)(torch.zeros(1, 4, 4, 64)).shape
        torch.Size([1, 8, 8, 32])
    """

    def __init__(self, channels: int, expanded: int, side: int) -> None:
        super().__init__()
        self.tile = (side**2, expanded)
        self.expand = nn.Linear(channels, side**2 * expanded, bias=False)
        self.norm = nn.LayerNorm(expanded)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Expand tokens (B, H, W, channels)."""
        expanded: torch.Tensor = self.norm(join_tiles(self.expand(x).unflatten(3, self.tile)))
        return expanded
