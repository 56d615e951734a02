"""The settings below a block that a run was given."""

from __future__ import annotations

from collections.abc import Sequence

from .settings import command_line

__all__ = ["given_below"]


def given_below(block: str, argv: Sequence[str] | None = None) -> list[str]:
    """Return the names of the settings within a block that this run was given.

    Args:
        block: top-level id of a mapping.
        argv: as for `command_line`.

    Example:
        >>> given_below("networks", ["run", "--networks::unet::act", "prelu", "--seed", "1"])
        ['networks::unet::act']
    """
    parsed = command_line(argv)
    names = [name.replace("#", "::") for name in parsed[1]] if parsed else []
    return [name for name in names if name.startswith(f"{block}::")]
