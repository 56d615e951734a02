"""Compare names, and suggest some for misspelt ones."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

__all__ = ["did_you_mean", "folded", "nearest"]


def folded(name: object) -> str:
    """Return a name without what does not distinguish two: its case, and the Unicode form of its letters.

    Example:
        >>> folded("MU\N{COMBINING DIAERESIS}LLER") == folded("m\u00fcller"), folded("Muller") == folded("M\u00fcller")
        (True, False)
    """
    # folding case decomposes a few letters: composed again, so that order does not matter
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(name)).casefold())


def nearest(name: object, known: Iterable[object], cutoff: float = 0.6) -> str | None:
    """Return the known name that was probably meant, ignoring case; None if nothing is similar.

    Args:
        name: as given.
        known: allowed names.
        cutoff: minimum similarity, 0 to 1 (`difflib`).

    Example:
        >>> nearest("Pateint", ["patient", "phase"]), nearest("site", ["patient", "phase"])
        ('patient', None)
    """
    folded = {str(one).casefold(): str(one) for one in known}
    close = difflib.get_close_matches(str(name)[:100].casefold(), folded, n=1, cutoff=cutoff)
    return folded[close[0]] if close else None


def did_you_mean(name: object, known: Iterable[object], cutoff: float = 0.6) -> str:
    """Return a question to append to an error message; empty if nothing is similar.

    Example:
        >>> did_you_mean("margnal", ["marginal", "adaptive_bce"])
        " Did you mean 'marginal'?"
    """
    close = nearest(name, known, cutoff)
    return f" Did you mean {close!r}?" if close else ""
