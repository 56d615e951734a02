"""The configuration of inference, reduced to what other programs need."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import yaml

__all__ = ["self_contained"]

ROOTS = ("imports", "bundle_root", "dataset_dir", "key_metric", "initialize", "run")
MODULE = 'network: "$@network_def.to(@device)"\n'
REFERENCE = re.compile(r"@(\w+)")
COMMENT = re.compile(r"(^|\s)#.*")


def self_contained(blocks: Sequence[tuple[str, str]]) -> str:
    r"""Write the network that a bundle names as `network_def`, and leave out the settings that nothing refers to.

    For MONAI's programs, `network` is the module; in the other workflows it is the name of an entry of `networks`.

    Args:
        blocks: (top-level key, text) of the joined configuration.

    Returns:
        The text of the configuration.

    Raises:
        ValueError: if `network` names no entry of `networks`.

    Example:
        >>> networks = "networks:\n  small:\n    size: 3\n  large:\n    size: 9\n"
        >>> settings = [("network", "network: small\n"), ("networks", networks), ("seed", "seed: 0\n")]
        >>> print(self_contained([*settings, ("device", "device: cpu\n"), ("run", "run: [$@network]\n")]))
        network: "$@network_def.to(@device)"
        network_def:
          size: 3
        device: cpu
        run: [$@network]
        <BLANKLINE>
    """
    text = dict(blocks)
    name = yaml.safe_load(text["network"])["network"]
    text |= {"network": MODULE, "networks": _entry(text["networks"], str(name))}
    kept, found = set(ROOTS), list(ROOTS)
    while found:
        key = found.pop()
        for reference in REFERENCE.findall(COMMENT.sub("", text.get(key, ""))):
            reference = "networks" if reference == "network_def" else reference
            if reference not in kept:
                kept.add(reference)
                found.append(reference)
    return "".join(text[key] for key, _ in blocks if key in kept or not key)


def _entry(networks: str, name: str) -> str:
    """Return the entry of a network as a block of its own."""
    entry = re.search(rf"^  {re.escape(name)}:(.*\n(?:(?:    .*)?\n)*)", networks, re.MULTILINE)
    if entry is None:
        raise ValueError(f"network: expected one of {', '.join(yaml.safe_load(networks)['networks'])}, got {name!r}.")
    chosen = re.sub(r"^    (?:_disabled_|_mode_):.*\n", "", entry[1], flags=re.MULTILINE)  # built here, not if chosen
    chosen = chosen.replace(", _mode_: callable", "")  # in flow style
    return textwrap.dedent(f"  network_def:{chosen}").rstrip("\n") + "\n"
