"""Check that logits and label-set map agree."""

import torch

__all__ = ["check_agreement"]


def check_agreement(input: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Check shapes and dtypes, and convert subclasses (MONAI's `MetaTensor`) to plain tensors.

    Args:
        input: logits (B, C, *spatial).
        target: label-set map (B, 2, *spatial).

    Returns:
        Both as plain tensors.

    Raises:
        TypeError: if the logits are not floating-point or the target is not integer.
        ValueError: if the shapes do not agree, or the target has too few bits for the classes.

    Example:
        >>> check_agreement(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
        Traceback (most recent call last):
        ...
        ValueError: expected a label-set map (1, 2, 8, 8) for logits (1, 3, 8, 8), got a target of (1, 1, 8, 8).
    """
    if not input.dtype.is_floating_point:
        raise TypeError(f"expected floating-point logits as input, got {input.dtype}.")
    if target.dtype not in (torch.uint8, torch.int16, torch.int32, torch.int64):
        raise TypeError(
            f"expected a label-set map of dtype uint8, int16, int32 or int64 as target, got {target.dtype}."
        )
    if input.ndim < 3:
        raise ValueError(f"expected logits (B, C, *spatial) as input, got {tuple(input.shape)}.")
    expected = (input.shape[0], 2, *input.shape[2:])
    if tuple(target.shape) != expected:
        raise ValueError(
            f"expected a label-set map {expected} for logits {tuple(input.shape)}, "
            f"got a target of {tuple(target.shape)}."
        )
    information = torch.iinfo(target.dtype)
    bits = information.bits - (information.min < 0)
    if input.shape[1] > bits:
        raise ValueError(f"target of dtype {target.dtype} holds {bits} classes, but the logits have {input.shape[1]}.")
    return _plain(input), _plain(target)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if type(tensor) is torch.Tensor else tensor.as_subclass(torch.Tensor)
