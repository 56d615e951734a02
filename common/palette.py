"""Colour classes the same way in every picture of the project."""

from __future__ import annotations

__all__ = ["COLOURS", "colour"]

# Okabe and Ito's palette, distinguishable by colour-blind readers; yellow, faint as a line, comes late
COLOURS = ("#0072B2", "#E69F00", "#CC79A7", "#009E73", "#F0E442", "#56B4E9", "#D55E00")


def colour(index: int) -> str:
    """Return the colour of foreground class `index`, from 1; colours repeat after the last.

    Example:
        >>> colour(1), colour(8) == colour(1)
        ('#0072B2', True)
    """
    return COLOURS[(index - 1) % len(COLOURS)]
