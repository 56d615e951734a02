"""A heart drawn from formulas, and a network that segments it perfectly."""

import math

import numpy as np
import torch
from torch import nn

NAMES = ["background", "lv_cavity", "lv_myocardium", "left_atrium"]
STEP = 60  # grey values between classes
SIDE = 256  # pixels
MM = 0.5  # a pixel


def heart(length: float = 60.0, radius: float = 20.0) -> np.ndarray:
    """Draw half an ellipsoid of cavity with 10 mm of wall, and an atrium below, as labels (256, 256)."""
    rows, columns = np.indices((SIDE, SIDE))
    y, x = rows * MM - 80, columns * MM - 64  # mm from the middle of the annulus
    labels = np.zeros(rows.shape, dtype=np.uint8)
    labels[((y / (length + 10)) ** 2 + (x / (radius + 10)) ** 2 <= 1) & (y <= 0)] = 2
    labels[((y / length) ** 2 + (x / radius) ** 2 <= 1) & (y <= 0)] = 1
    labels[(((y - 18) / 18) ** 2 + (x / 16) ** 2 <= 1) & (y > 0)] = 3
    return labels


def volume(length: float = 60.0, radius: float = 20.0) -> float:
    """Return the volume of the cavity, ml."""
    return 2 / 3 * math.pi * length * radius**2 / 1000


class Seer(nn.Module):
    """Read the class from the grey value."""

    def __init__(self, classes: int = len(NAMES)) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        classes = torch.arange(self.classes).view(1, -1, 1, 1)
        return -20 * (image * 255 / STEP - classes) ** 2
