"""Reduce the losses of many pixels or structures to one number."""

import torch

__all__ = ["reduce"]


def reduce(loss: torch.Tensor, reduction: str, counted: torch.Tensor | None = None) -> torch.Tensor:
    """Reduce losses to their mean or sum, or return them as they are.

    Args:
        loss: losses of any shape, zero where nothing is counted.
        reduction: "mean", "sum" or "none".
        counted: boolean of the shape of `loss`, the entries that the mean is taken over; None for all. The mean over
            nothing is zero.

    Example:
        >>> reduce(torch.tensor([1.0, 0.0]), "mean", counted=torch.tensor([True, False]))
        tensor(1.)
    """
    if reduction == "mean":
        return loss.mean() if counted is None else loss.sum() / counted.sum().clamp(min=1)
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"expected reduction 'mean', 'sum' or 'none', got '{reduction}'.")
