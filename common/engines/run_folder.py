"""The folder of a training: a new training never overwrites an earlier one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

__all__ = ["require_checkpoint", "run_folder"]

LOGGER = logging.getLogger(__name__)


def run_folder(folder: str | Path, resume: bool) -> None:
    """Create the folder of a training; rename the folder of an earlier training to `<name>.previous-<number>`.

    Args:
        folder: to create.
        resume: keep an existing folder, to continue its training.
    """
    folder = Path(folder)
    if folder.exists() and not resume and any(folder.iterdir()):
        number = 1
        while (aside := folder.with_name(f"{folder.name}.previous-{number}")).exists():
            number += 1
        folder.rename(aside)
        LOGGER.info("moved an earlier training to %s", aside)
    folder.mkdir(parents=True, exist_ok=True)


def require_checkpoint(path: str | Path, settings: Mapping[str, Any]) -> None:
    """Check that weights exist and were trained with the settings of their use.

    Args:
        path: of the weights; a training writes its `config.yaml` next to them.
        settings: that must equal the training's, such as the loss, which decides how to read the logits.

    Raises:
        FileNotFoundError: if `path` does not exist; the message explains how to get them.
        ValueError: if the training's settings differ; the message names them.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path} is missing. Train first with the same --loss, --network, --label_dropout and --seed, "
            "or choose other weights with --checkpoint PATH."
        )
    config = Path(path).with_name("config.yaml")
    trained = yaml.safe_load(config.read_text()) if config.is_file() else settings
    if wrong := {key: trained[key] for key in settings if key in trained and trained[key] != settings[key]}:
        given = " ".join(f"--{key} {value}" for key, value in wrong.items())
        raise ValueError(f"{path} was trained with {given}; use it with the same settings.")
