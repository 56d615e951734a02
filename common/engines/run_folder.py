"""The folder of a training: a new training never overwrites an earlier one."""

from __future__ import annotations

import logging
from pathlib import Path

from .processes import rank

__all__ = ["run_folder"]

LOGGER = logging.getLogger(__name__)


def run_folder(folder: str | Path, resume: bool) -> None:
    """Create the folder of a training; rename the folder of an earlier training to `<name>.previous-<number>`.

    Args:
        folder: to create.
        resume: keep an existing folder, to continue its training.
    """
    if rank():
        return
    folder = Path(folder)
    if folder.exists() and not resume and any(folder.iterdir()):
        number = 1
        while (aside := folder.with_name(f"{folder.name}.previous-{number}")).exists():
            number += 1
        folder.rename(aside)
        LOGGER.info("moved an earlier training to %s", aside)
    folder.mkdir(parents=True, exist_ok=True)
