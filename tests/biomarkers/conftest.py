"""A drawn heart whose measures are known."""

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture
def bullet() -> NDArray[np.int64]:
    """Draw a bullet at 0.5 mm a pixel: 1 cavity (half an ellipse, 60 x 40 mm), 2 its wall (10 mm), 3 atrium below."""
    rows, columns = np.indices((260, 200))
    y, x = rows * 0.5 - 80, columns * 0.5 - 50  # mm from the middle of the annulus
    labels = np.zeros(rows.shape, dtype=np.int64)
    labels[((y / 70) ** 2 + (x / 30) ** 2 <= 1) & (y <= 0)] = 2
    labels[((y / 60) ** 2 + (x / 20) ** 2 <= 1) & (y <= 0)] = 1
    labels[(((y - 20) / 20) ** 2 + (x / 18) ** 2 <= 1) & (y > 0)] = 3
    return labels
