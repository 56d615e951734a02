"""Who ran what, where, and with which code."""

from __future__ import annotations

import getpass
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

from ..configuration import without_password
from .outbox import PLACE

__all__ = ["git_commit", "origin_tags"]


def origin_tags(folder: Path) -> dict[str, str]:
    """Return the tags that say who ran what, where and with which code."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        user = "unknown"
    module = getattr(sys.modules.get("__main__"), "__spec__", None)
    program = f"python -m {module.name.removesuffix('.__main__')}" if module else Path(sys.argv[0]).name
    return {
        "mlflow.user": user,
        "mlflow.source.name": f"{program} {shlex.join(map(without_password, sys.argv[1:]))}".strip(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git_commit(),
        "git_commit": git_commit(),
        PLACE: str(folder.resolve()),
    }


@cache
def git_commit() -> str:
    """Return the commit of this code, with `-modified` if files were changed since; "unknown" outside a repository."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("-modified" if changed.stdout.strip() else "")
