"""Pixels for tests of image files, and the memory that a refusal takes."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from common.datasets.files.images import read_grey

MEBIBYTE = 1024 * 1024


def scan(rows: int = 48, columns: int = 64) -> np.ndarray:
    """Draw grey values that no transposition or flip maps onto themselves, (row, column)."""
    return (np.add.outer(np.arange(rows) * 3, np.arange(columns)) % 200).astype(np.uint8)


def peak_of_refusing(path: Path) -> int:
    """Return the peak of allocated bytes while the file is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"cannot be read as"):
            read_grey(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
