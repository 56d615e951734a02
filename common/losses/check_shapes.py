"""The one check that logits and label-set map belong together."""

import torch

__all__ = ["check_agreement"]


def check_agreement(input: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Check shapes and dtypes, and take off what subclasses of tensors (MONAI's `MetaTensor`) add.

    Args:
        input: logits (B, C, *spatial).
        target: label-set map (B, 2, *spatial).

    Returns:
        Both as plain tensors.

    Raises:
        TypeError: logits that are not floating point, a target that is not integer.
        ValueError: shapes that do not agree, or a target with too few bits for the classes.

    Example:
        >>> check_agreement(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
        Traceback (most recent call last):
        ...
        ValueError: target has shape (1, 1, 8, 8), must be the label-set map (1, 2, 8, 8) of logits (1, 3, 8, 8).
    """
    if not input.dtype.is_floating_point:
        raise TypeError(f"input has dtype {input.dtype}, must be floating-point logits.")
    if target.dtype not in (torch.uint8, torch.int16, torch.int32, torch.int64):
        raise TypeError(
            f"target has dtype {target.dtype}, must be a label-set map of dtype uint8, int16, int32 or int64."
        )
    if input.ndim < 3:
        raise ValueError(f"input has shape {tuple(input.shape)}, must be (B, C, *spatial).")
    expected = (input.shape[0], 2, *input.shape[2:])
    if tuple(target.shape) != expected:
        raise ValueError(
            f"target has shape {tuple(target.shape)}, must be the label-set map {expected} "
            f"of logits {tuple(input.shape)}."
        )
    information = torch.iinfo(target.dtype)
    bits = information.bits - (information.min < 0)
    if input.shape[1] > bits:
        raise ValueError(f"target of dtype {target.dtype} holds {bits} classes, but the logits have {input.shape[1]}.")
    return _plain(input), _plain(target)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if type(tensor) is torch.Tensor else tensor.as_subclass(torch.Tensor)
