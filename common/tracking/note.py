"""The sentence that MLflow shows above a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .outbox import Outbox

__all__ = ["note"]


def note(outbox: Outbox, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one sentence: loss, network, data and the best Dice of a training or an evaluation that has ended.

    Example:
        >>> run = Outbox("", "", "", "", 0, "FINISHED", parameters={"loss": "marginal", "network": "unet"})
        >>> note(run, [{"epoch": 1, "mean_dice": 0.8}, {"epoch": 2, "mean_dice": 0.75}])
        'loss marginal, network unet: best mean Dice 0.800 (epoch 1 of 2).'
    """
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
