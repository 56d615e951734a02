"""Networks that MONAI lacks."""

from common.networks.swin_unet import SwinUnet

__all__ = ["SwinUnet"]
