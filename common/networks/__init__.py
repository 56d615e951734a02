"""Networks that MONAI lacks, and dropout by layer in those that it has."""

from .dropout import place_dropout
from .swin_unet import SwinUnet

__all__ = ["SwinUnet", "place_dropout"]
