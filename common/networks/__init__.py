"""Networks that MONAI lacks, and dropout by layer in those that it has."""

from .deepmedic import DeepMedic
from .dropout import place_dropout
from .mean import MeanOfNetworks
from .swin_unet import SwinUnet

__all__ = ["DeepMedic", "MeanOfNetworks", "SwinUnet", "place_dropout"]
