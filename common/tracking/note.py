"""The sentence that MLflow shows above a run, the datasets it lists, and who ran what."""

from __future__ import annotations

import getpass
import json
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..datasets.prepared.layout import read_provenance
from .names import without_password
from .outbox import Outbox

__all__ = ["dataset_inputs", "git_commit", "note", "origin_tags"]

LONGEST_DIGEST = 36  # characters that MLflow keeps


def note(outbox: Outbox, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one sentence: loss, network, data and the best Dice of a training or an evaluation that has ended."""
    parts = [f"{name} {outbox.parameters[name]}" for name in ("loss", "network") if name in outbox.parameters]
    if data := dict.fromkeys(one["name"] for one in outbox.inputs):
        parts.append(f"data {', '.join(data)}")
    sentence = ", ".join(parts) or outbox.name
    if outbox.status == "RUNNING":
        return f"{sentence}."
    scored = [row for row in rows if row.get("mean_dice") is not None]
    if scored:
        best = max(scored, key=lambda row: row["mean_dice"])
        return f"{sentence}: best mean Dice {best['mean_dice']:.3f} (epoch {best['epoch']} of {rows[-1]['epoch']})."
    dice = [f"{name} {value:.3f}" for name, value in outbox.metrics.items() if name.endswith("mean_dice")]
    return f"{sentence}: {', '.join(dice)}." if dice else f"{sentence}."


def dataset_inputs(items: Mapping[str, Iterable[Mapping[str, Any]]]) -> tuple[dict[str, str], ...]:
    """Describe the datasets that a run reads, for MLflow's `log_inputs`.

    Args:
        items: context (training, validation, test) -> items of the datalist (`read_datalist`).

    Returns:
        For each prepared folder, dataset and context: name, digest (of the folder; a context that is not training is
        appended, since MLflow links a run to each name and digest once), source, context, and number of images.
    """
    counts = Counter(
        (context, str(Path(item["image"]).parents[1]), str(item["dataset"]))
        for context, chosen in items.items()
        for item in chosen
    )
    inputs = []
    for (context, folder, dataset), images in counts.items():
        stated = read_provenance(Path(folder))
        suffix = "" if context == "training" else f"-{context}"
        digest = str(stated["checksum"])[: LONGEST_DIGEST - len(suffix)] + suffix
        source = {"uri": folder, **{name: stated[name] for name in ("source",) if name in stated}}
        inputs.append(
            {
                "name": dataset,
                "digest": digest,
                "source": json.dumps(source),
                "context": context,
                "profile": json.dumps({"images": images}),
            }
        )
    return tuple(inputs)


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
        "mlflow.source.name": without_password(f"{program} {shlex.join(sys.argv[1:])}".strip()),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git_commit(),
        "git_commit": git_commit(),
        "folder": str(folder),
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
