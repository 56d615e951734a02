"""The precision in which losses are computed."""

import torch

__all__ = ["full_precision"]


def full_precision(logits: torch.Tensor) -> torch.Tensor:
    """Convert half-precision logits to float32, and any to the contiguous layout; leave others as they are.

    Masks of classes are contiguous: on a CPU, arithmetic with logits in channels-last layout takes twice as long.

    Example:
        >>> full_precision(torch.zeros(1, dtype=torch.float16)).dtype
        torch.float32
    """
    return (logits if logits.dtype == torch.float64 else logits.float()).contiguous()
