"""Names and values as MLflow accepts them: any character, escaped reversibly, within its limits."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from ..configuration import without_password
from ..identity import digest

__all__ = ["mlflow_name", "one_segment", "original_name", "shortened"]

LONGEST_NAME = 250  # of parameters, metrics and tags, in characters
LONGEST_VALUE = 6000  # of a parameter
REFUSED = r"[^/\w.\- ]" if os.name == "nt" else r"[^/\w.\- :]"
LEAD = r"-(?=x)"  # what begins an escape is escaped itself


def mlflow_name(name: str) -> str:
    """Return a name with every character that MLflow refuses written as `-x<code>-`; very long names are shortened.

    Example:
        >>> mlflow_name("dice/camus/lv (cavity)"), mlflow_name("mean_dice")
        ('dice/camus/lv -x28-cavity-x29-', 'mean_dice')
    """
    return shortened("/".join(map(_accepted, name.split("/"))), LONGEST_NAME)


def _accepted(part: str) -> str:
    folder = part == "." or part.startswith("..")  # to MLflow
    return _escaped(part, f"{REFUSED}|{LEAD}" + ("|[.]" if folder else ""))


def _escaped(text: str, pattern: str) -> str:
    return re.sub(pattern, lambda found: f"-x{ord(found[0]):x}-", text)


def original_name(name: str) -> str:
    """Undo `mlflow_name`.

    Example:
        >>> original_name("dice/camus/lv -x28-cavity-x29-")
        'dice/camus/lv (cavity)'
    """
    return re.sub(r"-x([0-9a-f]+)-", lambda found: chr(int(found[1], 16)), name)


def one_segment(name: str) -> str:
    """Return a name that is one folder: neither separators nor a step upwards.

    Example:
        >>> one_segment("a/b"), one_segment("..")
        ('a-x2f-b', '-x2e--x2e-')
    """
    return _escaped(mlflow_name(name), "[/:]")


def shortened(value: Any, longest: int = LONGEST_VALUE) -> str:
    """Return a value as text without passwords, nested values as JSON.

    Beyond `longest` characters it ends with a digest of the whole.

    Example:
        >>> shortened([1, 2]), shortened("x" * 50, 30)
        ('[1, 2]', 'xxxxxxxxxxxxx-77cf12060d47183e')
    """
    text = without_password(value if isinstance(value, str) else json.dumps(value, default=str))
    return text if len(text) <= longest else f"{text[: longest - 17]}-{digest(text)[:16]}"
