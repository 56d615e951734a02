"""Networks that MONAI lacks, and dropout by layer in those that it has."""

from .deepmedic import DeepMedic
from .dropout import place_dropout
from .swin_unet import SwinUnet

__all__ = ["DeepMedic", "SwinUnet", "place_dropout"]
