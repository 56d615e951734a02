"""Name what makes the results: a bundle and its version."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Algorithm", "algorithm_of"]


@dataclass(frozen=True)
class Algorithm:
    """What made a result.

    Args:
        name: of the bundle.
        version: of the bundle.
    """

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def algorithm_of(bundle_root: str | Path) -> Algorithm:
    """Return the name of a bundle's folder and the version in its metadata.

    Raises:
        FileNotFoundError: if the folder has no configs/metadata.json.
    """
    root = Path(bundle_root).resolve()
    metadata = root / "configs" / "metadata.json"
    if not metadata.is_file():
        raise FileNotFoundError(f"{metadata} is missing; give the folder of the bundle: --bundle_root bundles/BUNDLE.")
    return Algorithm(root.name, json.loads(metadata.read_text(encoding="utf-8"))["version"])
