"""Networks that MONAI lacks."""

from .deepmedic import DeepMedic
from .swin_unet import SwinUnet

__all__ = ["DeepMedic", "SwinUnet"]
