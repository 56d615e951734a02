"""Networks that MONAI lacks."""

from .swin_unet import SwinUnet

__all__ = ["SwinUnet"]
