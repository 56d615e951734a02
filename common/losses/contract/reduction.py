"""Reduce the losses of many pixels or structures to one number, over all processes of a training."""

import torch
from torch import distributed

__all__ = ["reduce", "reduce_pixels"]


def reduce(loss: torch.Tensor, reduction: str, counted: torch.Tensor | None = None) -> torch.Tensor:
    """Reduce losses to their mean or sum, or return them as they are.

    In a training of several processes (`torch.distributed`) each process divides its sum by its share of the number of
    entries of all processes. The mean over processes, which `DistributedDataParallel` takes of gradients, is then that
    of the whole batch, whichever process holds which images. This exchanges one number, for "mean" alone and only where
    the loss has a gradient: every process must then compute the loss as often as the others.

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
        if _is_shared(loss):
            own = torch.tensor(loss.numel(), device=loss.device) if counted is None else counted.sum()
            return loss.sum() / _share(own)
        return loss.mean() if counted is None else loss.sum() / counted.sum().clamp(min=1)
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"expected reduction 'mean', 'sum' or 'none', got '{reduction}'.")


def reduce_pixels(loss: torch.Tensor, reduction: str, admitted: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Reduce a loss per pixel, as `reduce` or to its mean over the pixels whose annotation says something.

    "mean" counts every pixel, so a loss of sparse annotations (scribbles, few slices) is small beside a Dice loss.
    "annotated_mean" leaves out ignored pixels and those that admit every class: where the others are fully labelled, it
    is `torch.nn.functional.cross_entropy` with `ignore_index`.

    Args:
        loss: (B, *spatial).
        reduction: "mean", "annotated_mean", "sum" or "none".
        admitted: channel 0 of the label-set map, (B, *spatial).
        num_classes: number of classes.

    Example:
        >>> loss, admitted = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[2, 7, 0]])  # class 1, any class, ignored
        >>> reduce_pixels(loss, "mean", admitted, 3), reduce_pixels(loss, "annotated_mean", admitted, 3)
        (tensor(1.), tensor(3.))
    """
    if reduction == "annotated_mean":
        counted = (admitted != 0) & (admitted != (1 << num_classes) - 1)
        return reduce(torch.where(counted, loss, 0), "mean", counted)
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"expected reduction 'mean', 'annotated_mean', 'sum' or 'none', got '{reduction}'.")
    return reduce(loss, reduction)


def _is_shared(loss: torch.Tensor) -> bool:
    return loss.requires_grad and distributed.is_available() and distributed.is_initialized()


def _share(count: torch.Tensor) -> torch.Tensor:
    """Return the number of entries of all processes, at least one, divided by the number of processes."""
    total = count.clone()
    distributed.all_reduce(total)
    return total.clamp(min=1) / distributed.get_world_size()
