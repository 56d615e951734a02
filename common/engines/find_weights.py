"""Choose the weights of a training by its name."""

from __future__ import annotations

import re
from pathlib import Path

from ..spelling import did_you_mean

__all__ = ["find_weights"]

SET_ASIDE = re.compile(r"\.previous-\d+$")
WEIGHTS = "model.pt"


def find_weights(runs_dir: str | Path, run_name: str | int | None, checkpoint: str | Path | None) -> str:
    """Return the path of the weights that a run uses.

    Args:
        runs_dir: folder of the trainings of a bundle.
        run_name: name of a training in it; None: the only one there.
        checkpoint: path of the weights, instead of a name.

    Raises:
        FileNotFoundError: if that training is missing.
        ValueError: if name and path are given, or neither with several trainings.

    Example:
        >>> from tempfile import mkdtemp
        >>> runs = Path(mkdtemp())
        >>> (runs / "first").mkdir()
        >>> (runs / "first" / "model.pt").touch()
        >>> find_weights(runs, None, None) == str(runs / "first" / "model.pt")
        True
    """
    if checkpoint is not None:
        if run_name is not None:
            raise ValueError(f"give --run_name {run_name} or --checkpoint {checkpoint}, not both.")
        return str(checkpoint)
    trained = sorted(path.parent.name for path in Path(runs_dir).glob(f"*/{WEIGHTS}"))
    current = [name for name in trained if not SET_ASIDE.search(name)]
    remedy = "choose weights with --checkpoint PATH"
    if run_name is not None:
        if Path(str(run_name)).name != str(run_name):
            path = Path(runs_dir) / str(run_name) / WEIGHTS
            raise ValueError(
                f"--run_name {run_name}: expected the name of a folder in {runs_dir}, got a path; choose weights by "
                f"their path with --checkpoint {path}."
            )
        if str(run_name) not in trained:
            there = f"; there are {', '.join(current)}" if current else ""
            hint = did_you_mean(str(run_name), current)
            path = Path(runs_dir) / str(run_name) / WEIGHTS
            raise FileNotFoundError(f"{path} is missing{there}.{hint} Train first, or {remedy}.")
        return str(Path(runs_dir) / str(run_name) / WEIGHTS)
    if not current:
        raise FileNotFoundError(f"{runs_dir} holds no training with weights ({WEIGHTS}). Train first, or {remedy}.")
    if len(current) > 1:
        raise ValueError(f"{runs_dir} holds {len(current)} trainings; name one: --run_name {' | '.join(current)}")
    return str(Path(runs_dir) / current[0] / WEIGHTS)
