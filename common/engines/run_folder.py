"""The folder of a training: a new training never writes over an old one."""

from __future__ import annotations

import logging
from pathlib import Path

__all__ = ["require_checkpoint", "run_folder"]

LOGGER = logging.getLogger(__name__)


def run_folder(folder: str | Path, resume: bool) -> None:
    """Make the folder of a training; one that an earlier training left is set aside under a number.

    Args:
        folder: to make.
        resume: keep what is there, to continue it.
    """
    folder = Path(folder)
    if folder.exists() and not resume and any(folder.iterdir()):
        number = 1
        while (aside := folder.with_name(f"{folder.name}.previous-{number}")).exists():
            number += 1
        folder.rename(aside)
        LOGGER.info("an earlier training was set aside in %s", aside)
    folder.mkdir(parents=True, exist_ok=True)


def require_checkpoint(path: str | Path) -> None:
    """Check that weights are there before anything is loaded.

    Raises:
        FileNotFoundError: if they are not; the message says how to get them.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path} is missing. Train first with the same --loss, --network, --label_dropout and --seed, "
            "or name other weights with --checkpoint PATH."
        )
