"""Folds for data that come without an official split: by patient, stable when patients are added."""

from __future__ import annotations

import hashlib

__all__ = ["fold_of"]


def fold_of(dataset: str, patient: str) -> str:
    """Put a patient into the training (80 %), validation (10 %) or test (10 %) fold by a hash of its name.

    The answer depends on nothing else, so adding patients moves nobody.

    Example:
        >>> fold_of("clinic", "patient0001")
        'validation'
    """
    share = int(hashlib.sha256(f"{dataset}/{patient}".encode()).hexdigest(), 16) % 100
    return "training" if share < 80 else "validation" if share < 90 else "test"
