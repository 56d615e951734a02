"""Segmentation from partially labelled medical images: losses, transforms, networks, metrics, data, measurements."""

__all__ = ["__version__"]

__version__ = "0.3.0"
