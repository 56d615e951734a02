"""Pseudo-labels of two networks that teach each other: made, combined and cut on the device of the batch."""

from .combine import combine
from .cut import boxes, cut
from .pseudo_label_map import open_pixels, pseudo_label_map
from .rand_shifted_crop import RandShiftedCropd, surroundings
from .shifts import crop, shifts

__all__ = [
    "RandShiftedCropd",
    "boxes",
    "combine",
    "crop",
    "cut",
    "open_pixels",
    "pseudo_label_map",
    "shifts",
    "surroundings",
]
