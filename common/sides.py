"""Names of structures on the left and on the right."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["opposite", "pairs_of_sides"]

RIGHT = re.compile(r"(?<![^\W_])(?:right|r)(?![^\W_])", re.IGNORECASE)
LEFT = {"right": "left", "r": "l", "Right": "Left", "R": "L", "RIGHT": "LEFT"}


def opposite(name: str) -> str | None:
    """Return the name of the structure on the other side; None for one that has no side, or is on the left.

    Example:
        >>> opposite("right_parotid"), opposite("femur_right"), opposite("left_parotid"), opposite("bright_spot")
        ('left_parotid', 'femur_left', None, None)
    """
    changed = RIGHT.sub(lambda found: LEFT.get(found.group(), "left"), name)
    return None if changed == name else changed


def pairs_of_sides(names: Sequence[str]) -> list[list[str]]:
    """Return the pairs [left, right] among names, in the order of those on the left.

    Example:
        >>> pairs_of_sides(["kidney_right", "liver", "kidney_left", "lung_l", "lung_r", "right_ventricle"])
        [['kidney_left', 'kidney_right'], ['lung_l', 'lung_r']]
    """
    of_left = {opposite(name): name for name in names}
    return [[name, of_left[name]] for name in names if name in of_left]
