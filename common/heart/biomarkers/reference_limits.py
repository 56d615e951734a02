"""Grade measurements by the recommended reference limits in reference_limits.yaml."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

__all__ = ["grade"]

LIMITS: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
SEXES = {"F": "women", "M": "men"}


def grade(quantity: str, value: float, sex: str) -> str:
    """Return "normal", "low", "high" or a degree: "mildly", "moderately", "severely" reduced or enlarged; "" for NaN.

    Args:
        quantity: a name in reference_limits.yaml.
        value: in the unit given there.
        sex: "F" or "M", whose limits apply.

    Raises:
        ValueError: for a quantity without limits, or any other sex.

    Example:
        >>> grade("ejection_fraction", 38.0, "F"), grade("ejection_fraction", 60.0, "M")
        ('moderately reduced', 'normal')
        >>> grade("left_atrial_volume_index", 36.0, "F"), grade("end_systolic_volume", 12.0, "F")
        ('mildly enlarged', 'low')
    """
    if quantity not in LIMITS:
        raise ValueError(f"no reference limits for {quantity!r}; available: {sorted(LIMITS)}.")
    if sex not in SEXES:
        raise ValueError(f"expected sex to be one of {sorted(SEXES)}, got {sex!r}.")
    if math.isnan(value):
        return ""
    own = LIMITS[quantity][SEXES[sex]]
    below = [name for name, bound in own.get("below", {}).items() if value < bound]
    above = [name for name, bound in own.get("above", {}).items() if value > bound]
    if below or above:
        return f"{below[-1]}ly reduced" if below else f"{above[-1]}ly enlarged"
    low, high = own["normal"]
    return "low" if value < low else "high" if value > high else "normal"
