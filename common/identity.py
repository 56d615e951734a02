"""What makes two things the same: digests of content."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["fingerprint"]


def fingerprint(path: str | Path) -> str:
    """Return the SHA-256 of a file, its first 16 digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
