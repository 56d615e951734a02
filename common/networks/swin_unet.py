"""Swin-Unet: a U-Net of attention within shifted windows, without convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import torch
from torch import nn

from .swin_block import PatchExpanding, PatchMerging, SwinBlock
from .tiles import split_tiles

__all__ = ["SwinUnet"]

PATCH = 4  # pixels per side of a token


def _fits(image_size: int, stages: int, window: int) -> bool:
    """Return whether every stage has whole tokens, and either whole windows or fewer tokens per side than a window."""
    coarsest, rest = divmod(image_size, PATCH * 2 ** (stages - 1))
    grids = [coarsest * 2**level for level in range(stages)]
    return coarsest > 0 and rest == 0 and all(grid <= window or grid % window == 0 for grid in grids)


def _check(image_size: int, stages: int, window: int) -> None:
    if stages < 1 or window < 2:
        raise ValueError(
            f"expected at least 1 stage and windows of at least 2 tokens per side, got {stages} and {window}."
        )
    if _fits(image_size, stages, window):
        return
    smaller = next((size for size in range(image_size - 1, 0, -1) if _fits(size, stages, window)), None)
    larger = next(size for size in count(max(image_size + 1, 1)) if _fits(size, stages, window))
    windows = [side for side in range(2, image_size // PATCH + 1) if _fits(image_size, stages, side)]
    raise ValueError(
        f"image_size {image_size} does not suit window_size {window} in {stages} stages: image_size / {PATCH}, halved "
        f"from stage to stage, must be whole, and a multiple of window_size or smaller. Use image_size "
        f"{larger if smaller is None else f'{smaller} or {larger}'}, or for {image_size} window_size "
        f"{', '.join(map(str, windows)) or '(none)'}."
    )


class SwinUnet(nn.Module):
    """Segment images by attention alone: patches of 4 x 4 pixels are tokens that attend to each other within windows.

    The encoder merges patches from stage to stage; the decoder expands them again and adds skip connections from the
    encoder at the same resolution; the last stage is the bottleneck. A stage with fewer tokens per side than a window
    has a single window. Heads have 32 channels, as in Swin, or the next number that divides evenly. The paper starts
    from ImageNet weights; here the weights are random. With the defaults, 3 input channels and 9 classes it has
    27.2 million parameters.

    Args:
        in_channels: channels of the image.
        out_channels: classes.
        image_size: pixels per side; the images are square.
        embed_dim: channels of a token in the first stage; doubles from stage to stage.
        depths: layers of each encoder stage, every second one with shifted windows; the decoder mirrors them.
        window_size: tokens per side of a window.
        drop_path: probability of skipping a layer for an image in training; increases with depth from 0 to this value.

    Shapes:
        input: (B, in_channels, image_size, image_size).
        output: logits (B, out_channels, image_size, image_size).

    Raises:
        ValueError: if an image does not divide into whole patches and windows, `drop_path` is not in [0, 1), or the
            input has another shape.

    References:
        Cao et al. (2022), Swin-Unet: Unet-like pure transformer for medical image segmentation, arXiv 2105.05537.
        Liu et al. (2021), Swin Transformer: hierarchical vision transformer using shifted windows, arXiv 2103.14030.

    Example:
        >>> network = SwinUnet(in_channels=1, out_channels=4, image_size=64, embed_dim=48, window_size=4)
        >>> network(torch.zeros(2, 1, 64, 64)).shape
        torch.Size([2, 4, 64, 64])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        image_size: int,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 2, 2),
        window_size: int = 7,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        _check(image_size, len(depths), window_size)
        if not 0 <= drop_path < 1:
            raise ValueError(f"expected drop_path from 0 to less than 1, got {drop_path}.")
        self.image_shape = (in_channels, image_size, image_size)
        widths = [embed_dim * 2**stage for stage in range(len(depths))]
        rates = torch.linspace(0, drop_path, sum(depths)).tolist()

        def stage(index: int) -> nn.Sequential:
            grid = image_size // PATCH // 2**index
            layers = enumerate(rates[sum(depths[:index]) : sum(depths[: index + 1])])
            return nn.Sequential(*(SwinBlock(widths[index], grid, window_size, n % 2 == 1, rate) for n, rate in layers))

        *finer, coarsest = range(len(depths))
        self.embed = nn.Sequential(nn.Linear(in_channels * PATCH**2, embed_dim), nn.LayerNorm(embed_dim))
        self.encoder = nn.ModuleList(stage(index) for index in finer)
        self.merge = nn.ModuleList(PatchMerging(widths[index]) for index in finer)
        self.bottleneck = nn.Sequential(*stage(coarsest), nn.LayerNorm(widths[coarsest]))
        self.expand = nn.ModuleList(PatchExpanding(2 * widths[index], widths[index], 2) for index in reversed(finer))
        self.fuse = nn.ModuleList(nn.Linear(2 * widths[index], widths[index]) for index in reversed(finer))
        self.decoder = nn.ModuleList(stage(index) for index in reversed(finer))
        self.head = nn.Sequential(
            nn.LayerNorm(embed_dim),
            PatchExpanding(embed_dim, embed_dim, PATCH),
            nn.Linear(embed_dim, out_channels, bias=False),  # the norm before it has a bias
        )
        for part in (self.encoder, self.merge, self.bottleneck, self.expand, self.fuse, self.decoder, self.head):
            part.apply(_initialize)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Compute logits (B, out_channels, H, W) of images (B, in_channels, H, W)."""
        if image.shape[1:] != self.image_shape:
            raise ValueError(f"expected images (B, *{self.image_shape}), got {tuple(image.shape)}.")
        x = self.embed(split_tiles(image.movedim(1, 3), PATCH).flatten(3))
        skipped = []
        for stage, merge in zip(self.encoder, self.merge, strict=True):
            skipped.append(stage(x))
            x = merge(skipped[-1])
        x = self.bottleneck(x)
        for expand, fuse, stage in zip(self.expand, self.fuse, self.decoder, strict=True):
            x = stage(fuse(torch.cat([expand(x), skipped.pop()], dim=3)))
        logits: torch.Tensor = self.head(x)
        return logits.movedim(3, 1)


def _initialize(module: nn.Module) -> None:
    """Scale weights by the number of channels: with Swin's fixed 0.02 a narrow network starts on a plateau.

    The embedding keeps PyTorch's biases: without them its norm would make all grey values of a uniform patch equal.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
