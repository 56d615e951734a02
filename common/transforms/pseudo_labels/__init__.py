"""Pseudo-labels of two networks that teach each other: made, combined and cut on the device of the batch."""

from .combine import combine
from .cut import cut, draw_boxes
from .pseudo_label_map import pseudo_label_map
from .shifts import crop, draw_shifts, shifts

__all__ = ["combine", "crop", "cut", "draw_boxes", "draw_shifts", "pseudo_label_map", "shifts"]
