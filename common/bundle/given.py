"""The settings below a block that a run was given."""

from __future__ import annotations

from .overrides import given_overrides

__all__ = ["given_below"]


def given_below(block: str) -> list[str]:
    """Return the names of the settings within a block that the workflow of the caller was given.

    Args:
        block: top-level id of a mapping.

    Example:
        >>> given_below("networks")  # no workflow is running
        []
    """
    names = [name.replace("#", "::") for name in given_overrides()[1]]
    return [name for name in names if name.startswith(f"{block}::")]
