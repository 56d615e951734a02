"""The facts of metadata.json that are stated elsewhere: versions of packages, and classes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["REQUIREMENTS", "with_facts"]

REQUIREMENTS = Path(__file__).parents[2] / "requirements.txt"
PIN = re.compile(r"^([\w.-]+)(?:\[\w+\])?==([\w.]+)$", re.MULTILINE)
OWN_KEYS = {"monai": "monai_version", "torch": "pytorch_version", "numpy": "numpy_version"}
# what a published bundle runs without: the grid of experiments, and a decoder
NOT_PUBLISHED = ("ray", "pandas", "Jinja2", "jsonschema", "pyjpegls")


def with_facts(text: str, classes: Sequence[str] | None) -> str:
    """Return metadata.json with the pinned versions of requirements.txt and the classes of a bundle.

    An installed copy of this package has no requirements.txt; there the versions stay as they are.

    Args:
        text: of metadata.json.
        classes: names, background first; None leaves what is stated.
    """
    metadata: dict[str, Any] = json.loads(text)
    if REQUIREMENTS.is_file():
        pinned = dict(PIN.findall(REQUIREMENTS.read_text(encoding="utf-8")))
        metadata |= {key: pinned.pop(name) for name, key in OWN_KEYS.items()}
        required = {name: version for name, version in pinned.items() if name not in NOT_PUBLISHED}
        metadata["required_packages_version"] = required
    if classes is not None:
        output = metadata["network_data_format"]["outputs"]["pred"]
        output["num_channels"] = len(classes)
        output["channel_def"] = {str(index): name for index, name in enumerate(classes)}
    return json.dumps(metadata, indent=4, ensure_ascii=False) + "\n"
