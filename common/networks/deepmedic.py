"""DeepMedic: three pathways that see the image at its own and at coarser resolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import avg_pool3d, interpolate, pad

__all__ = ["DeepMedic", "DeepMedicLayer", "DeepMedicPathway"]

RESIDUAL = (4, 6, 8)  # layers of a pathway that receive the input of the layer before them


class DeepMedicLayer(nn.Sequential):
    """Batch norm, PReLU, dropout and convolution, in this order; the first layer of a network only convolves.

    Args:
        channels: of the input.
        width: channels of the output.
        kernel: voxels per side; convolutions are valid.
        dropout: probability of dropping an input value.
        first: leave out everything but the convolution.

    Example:
        >>> DeepMedicLayer(4, 8, kernel=3)(torch.zeros(2, 4, 5, 5, 5)).shape
        torch.Size([2, 8, 3, 3, 3])
    """

    def __init__(self, channels: int, width: int, kernel: int, dropout: float = 0.0, first: bool = False) -> None:
        before: list[nn.Module] = [nn.BatchNorm3d(channels), nn.PReLU(channels), nn.Dropout(dropout)]
        convolution = nn.Conv3d(channels, width, kernel, bias=False)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        super().__init__(*([] if first else before), convolution)


class DeepMedicPathway(nn.Module):
    """Valid convolutions on an image that is first averaged over cubes of `factor` voxels, then repeated as often.

    The image is padded by its border voxels, so the result has its size.

    Args:
        channels: of the image.
        widths: channels of the layers.
        factor: voxels per side of the cubes.
        dropout: probability of dropping an input value, in all layers but the first two.

    Attributes:
        field_of_view: voxels per side of what one voxel of the result depends on.

    Example:
        >>> pathway = DeepMedicPathway(1, (4, 4, 4), factor=5)
        >>> pathway.field_of_view, pathway(torch.zeros(1, 1, 8, 9, 7)).shape
        (35, torch.Size([1, 4, 8, 9, 7]))
    """

    def __init__(self, channels: int, widths: Sequence[int], factor: int, dropout: float = 0.0) -> None:
        super().__init__()
        before = [channels, *widths[:-1]]
        self.layers = nn.ModuleList(
            DeepMedicLayer(one, width, 3, dropout if number > 1 else 0.0, first=number == 0)
            for number, (one, width) in enumerate(zip(before, widths, strict=True))
        )
        self.factor = factor
        self.field_of_view = factor * (2 * len(widths) + 1)

    def convolve(self, image: torch.Tensor) -> torch.Tensor:
        """Apply the valid convolutions; a side loses two voxels in each layer."""
        inputs = []
        for number, layer in enumerate(self.layers, start=1):
            inputs.append(image)
            image = layer(image)
            if number in RESIDUAL:
                image = _add(image, inputs[-2])
        return image

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return features, (B, widths[-1], X, Y, Z), of an image (B, channels, X, Y, Z)."""
        sides = image.shape[2:]
        excess = [-side % self.factor for side in sides]  # the last cubes may reach beyond the image
        context = self.factor * len(self.layers)
        margins = [(context + more // 2, context + more - more // 2) for more in excess]
        padded = pad(image, [margin for side in reversed(margins) for margin in side], mode="replicate")
        features = self.convolve(avg_pool3d(padded, self.factor) if self.factor > 1 else padded)
        if self.factor > 1:
            features = interpolate(features, scale_factor=self.factor, mode="nearest")
        x, y, z = (slice(more // 2, more // 2 + side) for more, side in zip(excess, sides, strict=True))
        return features[:, :, x, y, z]


class DeepMedic(nn.Module):
    """Segment volumes of any size by three pathways and two hidden layers ("wide" by default: 5.1 million parameters).

    One pathway sees 17 voxels a side, the others 51 and 85 at a third and a fifth of the resolution. As published, the
    pathways see beyond a training segment and predict its middle; here the segment is padded by its border voxels and
    predicted as a whole, so that losses and sliding windows use it like any network. Segments should be larger than
    37 voxels, then: at the border, context is invented. Coarse voxels are averages, where the published code takes
    every third or fifth voxel.

    Args:
        in_channels: channels of the image.
        out_channels: classes.
        widths: channels of the eight layers of each pathway.
        factors: of the coarser pathways.
        hidden: channels of the two hidden layers.
        dropout: probabilities of dropping an input of the hidden layers and of the classification.
        pathway_dropout: likewise of the layers of the pathways, but the first two.

    Shapes:
        input: (B, in_channels, X, Y, Z). output: logits (B, out_channels, X, Y, Z).

    References:
        K. Kamnitsas et al., Efficient multi-scale 3D CNN with fully connected CRF for accurate brain lesion
        segmentation, Medical Image Analysis 36:61-78, 2017; residual connections: Kamnitsas et al., DeepMedic for brain
        tumor segmentation, BrainLes 2016.

    Example:
        >>> network = DeepMedic(1, 3, widths=[4] * 8, hidden=8)
        >>> network(torch.zeros(2, 1, 12, 9, 10)).shape
        torch.Size([2, 3, 12, 9, 10])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int] = (30, 40, 50, 60, 70, 80, 90, 100),
        factors: Sequence[int] = (3, 5),
        hidden: int = 300,
        dropout: Sequence[float] = (0.0, 0.5, 0.5),
        pathway_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(dropout) != 3:
            raise ValueError(f"expected dropout of two hidden layers and the classification, got {list(dropout)}.")
        self.pathways = nn.ModuleList(
            DeepMedicPathway(in_channels, widths, factor, pathway_dropout) for factor in (1, *factors)
        )
        joined = len(self.pathways) * widths[-1]
        self.first_hidden = DeepMedicLayer(joined, hidden, 3, dropout[0])
        self.second_hidden = DeepMedicLayer(hidden, hidden, 1, dropout[1])
        self.classify = DeepMedicLayer(hidden, out_channels, 1, dropout[2])
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        joined = torch.cat([pathway(image) for pathway in self.pathways], dim=1)
        features = self.first_hidden(pad(joined, [1] * 6, mode="replicate"))
        features = _add(self.second_hidden(features), joined)
        logits: torch.Tensor = self.classify(features) + self.bias.view(-1, 1, 1, 1)
        return logits


def _add(image: torch.Tensor, earlier: torch.Tensor) -> torch.Tensor:
    """Add the middle of an earlier, larger image to as many channels as both have."""
    sides = zip(earlier.shape[2:], image.shape[2:], strict=True)
    x, y, z = (slice((more - side) // 2, (more + side) // 2) for more, side in sides)
    middle = earlier[:, : image.shape[1], x, y, z]
    return image + pad(middle, [0] * 6 + [0, image.shape[1] - middle.shape[1]])
