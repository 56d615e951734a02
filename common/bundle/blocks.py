"""Top-level blocks of YAML text, and nested entries set in it with all comments kept."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import yaml

__all__ = ["item", "parts_of", "put", "split"]

# a key at the top level and what is indented below it; comments and blank lines in between belong to it
BLOCK = re.compile(r"^(?P<key>[A-Za-z_]\w*(?:(?:::|#)\w+)*):(?=\s).*\n(?:(?:(?:#.*)?\n)*[ -].*\n)*", re.MULTILINE)
MAPPING = re.compile(
    r"\s*(?:\{\}\s*)?(?P<comment>#.*)?$"
)  # what follows the key of a block mapping, or of an empty one


def split(text: str) -> list[tuple[str, str]]:
    r"""Split YAML text into (top-level key, block with the comments above it); the text after the last has key ''.

    Example:
        >>> split("a: 1  # one\n# two\nb::c: 2\n")
        [('a', 'a: 1  # one\n'), ('b::c', '# two\nb::c: 2\n'), ('', '')]
    """
    blocks, start = [], 0
    for match in BLOCK.finditer(text):
        blocks.append((match["key"], text[start : match.end()]))
        start = match.end()
    return [*blocks, ("", text[start:])]


def parts_of(key: str) -> list[str]:
    """Return the parts of a nested key: a::b (or a#b) -> a, b."""
    return key.replace("#", "::").split("::")


def put(text: str, parts: Sequence[str], entry: str) -> str | None:
    r"""Set an entry in YAML text, with the comments of the entry; one of the same name is replaced with its comments.

    Args:
        text: a mapping in block style.
        parts: names of the parents, then of the entry; an item of a list is named by its position.
        entry: "name: value", not indented.

    Returns:
        The new text, None if a parent is missing.

    Example:
        >>> text = "losses:  # by name\n  ce: {_target_: CE}\n"
        >>> print(put(text, ["losses", "mine"], "mine: {_target_: Mine}\n"), end="")
        losses:  # by name
          ce: {_target_: CE}
          mine: {_target_: Mine}
    """
    blocks = split(text)
    position = next((index for index, (key, _) in enumerate(blocks) if key == parts[0]), None)
    if len(parts) == 1:
        place = len(blocks) - 1 if position is None else position
        blocks[place : place + (position is not None)] = [(parts[0], entry)]
    elif position is None:
        return None
    else:
        inner = _put_below(*blocks[position], parts[1:], entry)
        if inner is None:
            return None
        blocks[position] = (parts[0], inner)
    return "".join(block for _, block in blocks)


def _put_below(key: str, block: str, parts: Sequence[str], entry: str) -> str | None:
    """Set an entry below the key of a block."""
    above, line, body = re.split(rf"^{key}:(.*)\n", block, maxsplit=1, flags=re.MULTILINE)
    first = next((each for each in body.splitlines() if each.strip() and not each.lstrip().startswith("#")), "")
    if (mapping := MAPPING.match(line)) and not first.lstrip().startswith("-"):
        indent = len(first) - len(first.lstrip()) or 2
        inner = put(re.sub(rf"^ {{1,{indent}}}", "", body, flags=re.MULTILINE), parts, entry)
        comment = f"  {mapping['comment']}" if mapping["comment"] else ""
        return None if inner is None else f"{above}{key}:{comment}\n{textwrap.indent(inner, ' ' * indent)}"
    value = yaml.safe_load(block)[key]  # written in flow style, or a list: written anew
    node, (*parents, name) = value, parts
    for part in parents:
        node = item(node, part)
    new = next(iter(yaml.safe_load(entry).values()))
    if isinstance(node, dict):
        node[name] = new
    elif isinstance(node, list) and item(node, name) is not None:
        node[int(name)] = new
    else:
        return None
    written = yaml.safe_dump({key: value}, sort_keys=False, default_flow_style=None, width=10**6, allow_unicode=True)
    return above + str(written)


def item(node: Any, part: str) -> Any:
    """Return an item of a list by its position, or an entry of a mapping by its name; None if there is none."""
    if isinstance(node, list):
        return node[int(part)] if part.isdigit() and int(part) < len(node) else None
    return node.get(part) if isinstance(node, dict) else None
