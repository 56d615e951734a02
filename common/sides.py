"""Names of structures on the left and on the right."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["opposite", "pairs_of_sides"]

RIGHT = re.compile(
    r"(?<![^\W_])(?i:right)|(?<=[a-z0-9])Right|(?<![^\W_])(?i:rt|r)(?![^\W_])"
    r"|(?<=[a-z])Rt?(?![^\W_])|(?<![^\W_])R(?=[A-Z][a-z])"  # kidneyR and RKidney
)
LEFT = {"right": "left", "rt": "lt", "r": "l", "Right": "Left", "Rt": "Lt", "R": "L", "RIGHT": "LEFT", "RT": "LT"}
SIDES = re.compile(r"left|right|lt|rt|l|r", re.IGNORECASE)
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# words of names whose structures on the left and on the right are not mirror images
UNEQUAL = {
    "ventricle",
    "ventricular",
    "atrium",
    "atrial",
    "myocardium",
    "coronary",
    "portal",
    "liver",
    "hepatic",
    "colon",
}
PARTS = {"heart", "appendage", "artery", "vein", "branch", "cavity", "wall", "lobe", "blood", "pool"}


def opposite(name: str) -> str | None:
    """Return the name of the structure on the other side; None for one that has no side, or is on the left.

    Example:
        >>> opposite("right_parotid"), opposite("femur_right"), opposite("left_parotid"), opposite("bright_spot")
        ('left_parotid', 'femur_left', None, None)
    """
    changed = RIGHT.sub(lambda found: LEFT.get(found.group(), "left"), name)
    return None if changed == name else changed


def pairs_of_sides(names: Sequence[str]) -> list[list[str]]:
    """Return the pairs [left, right] of mirrored structures among names, in the order of those on the left.

    The chambers and coronary arteries of a heart, the lobes of the liver with their vessels, and the two parts of the
    colon are not the mirror images of each other.

    Example:
        >>> pairs_of_sides(["kidney_right", "liver", "kidney_left", "lung_l", "lung_r", "right_ventricle"])
        [['kidney_left', 'kidney_right'], ['lung_l', 'lung_r']]
        >>> hearts = ["left_ventricle", "right_ventricle", "RightAtrium", "LeftAtrium"]
        >>> pairs_of_sides(["parotid_lt", "parotid_rt", "LeftKidney", "RightKidney", *hearts])
        [['parotid_lt', 'parotid_rt'], ['LeftKidney', 'RightKidney']]
    """
    of_left = {opposite(name): name for name in names if not _is_unequal(name)}
    return [[name, of_left[name]] for name in names if name in of_left]


def _is_unequal(name: str) -> bool:
    words = {word.lower() for word in WORDS.findall(name) if not SIDES.fullmatch(word)}
    return bool(words & UNEQUAL) and words <= UNEQUAL | PARTS
