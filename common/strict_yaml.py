"""Read YAML that people write; a key given twice, of which YAML would silently keep the last, is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

__all__ = ["parse_yaml", "read_yaml"]

MERGE = "tag:yaml.org,2002:merge"  # of <<, which may be given more than once


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice in one mapping, as MONAI's and PyYAML's do not."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        known = set()
        for name, _ in node.value:
            if isinstance(name, yaml.ScalarNode) and name.tag != MERGE:
                key = self.construct_object(name)  # 1 and 0x1 are one key, 1 and "1" are two
                if key in known:
                    line = name.start_mark.line + 1
                    raise yaml.YAMLError(f"line {line} repeats {key!r}; give it once, YAML would keep the last.")
                known.add(key)
        return node


def parse_yaml(text: str | bytes) -> Any:
    """Parse YAML of plain values.

    Raises:
        yaml.YAMLError: if the text is not YAML, or a mapping repeats a key.

    Example:
        >>> parse_yaml("values: {0: background, 1: lv}")
        {'values': {0: 'background', 1: 'lv'}}
        >>> parse_yaml("values: {1: lv, 1: la}")
        Traceback (most recent call last):
        ...
        yaml.error.YAMLError: line 1 repeats 1; give it once, YAML would keep the last.
    """
    return yaml.load(text, _Loader)


def read_yaml(path: Path) -> Any:
    """Read a file as `parse_yaml` does.

    Raises:
        ValueError: with the path, if the file is not YAML, or a mapping repeats a key.
    """
    try:
        return parse_yaml(path.read_bytes())
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path} is not readable YAML: {error}") from error
