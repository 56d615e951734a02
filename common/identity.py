"""Identify content by digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["digest", "fingerprint", "hashed"]


def digest(*parts: str | bytes) -> str:
    """Return the SHA-256 of the concatenated parts, text as UTF-8.

    Example:
        >>> digest("abc")[:8], digest("a", b"bc")[:8]
        ('ba7816bf', 'ba7816bf')
    """
    return hashlib.sha256(b"".join(part.encode() if isinstance(part, str) else part for part in parts)).hexdigest()


def hashed(*names: object) -> int:
    """Return a number that depends only on the names, for choices that must not change when data are added.

    Example:
        >>> hashed("clinic", "patient0001") % 100
        81
    """
    return int(digest("/".join(map(str, names))), 16)


def fingerprint(path: str | Path) -> str:
    """Return the first 16 hexadecimal digits of a file's SHA-256."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
