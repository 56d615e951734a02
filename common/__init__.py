"""Segmentation from partially labelled medical images: losses, transforms, networks, metrics, data, measurements."""
