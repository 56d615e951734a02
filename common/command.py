"""Format commands of this package for messages and help texts."""

from __future__ import annotations

__all__ = ["PACKAGE", "command"]

PACKAGE = __name__.rpartition(".")[0]  # differs where the package is installed or published under another name


def command(words: str) -> str:
    """Return the shell command that runs a module of this package.

    Args:
        words: module and its arguments, such as "datasets check data/camus".

    Example:
        >>> command("datasets check data/camus") == f"python -m {PACKAGE}.datasets check data/camus"
        True
    """
    return f"python -m {PACKAGE}.{words}"
