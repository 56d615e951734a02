"""Check that logits and label-set map agree."""

import torch

__all__ = ["check_agreement"]

_BITS = {torch.uint8: 8, torch.int16: 15, torch.int32: 31, torch.int64: 63}  # dtype: number of classes
_EXACT = {torch.float32: (24, torch.int32), torch.float64: (53, torch.int64)}  # largest exact integers


def check_agreement(input: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Check shapes and dtypes, and convert subclasses (MONAI's `MetaTensor`) to plain tensors.

    A floating-point target holds exact integers, as nearest-neighbour interpolation leaves them: float32 up to 24
    classes, float64 up to 53. Other numbers, and impossible sets of classes, stop the run without a device sync: with
    a RuntimeError on a CPU, with a device-side assertion on a GPU.

    Args:
        input: logits (B, C, *spatial).
        target: label-set map (B, 2, *spatial).

    Returns:
        Logits, and the label-set map in an integer dtype.

    Raises:
        TypeError: if the logits are not floating-point, or the dtype of the target holds no exact integers.
        ValueError: if the shapes do not agree, or the target has too few bits for the classes.
        RuntimeError: if a floating-point target holds other numbers than integers, the target has bits beyond the
            classes of the logits, or it has pixels that admit no class but annotate some.

    Example:
        >>> check_agreement(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
        Traceback (most recent call last):
        ...
        ValueError: expected a label-set map (1, 2, 8, 8) for logits (1, 3, 8, 8), got a target of (1, 1, 8, 8).
    """
    if not input.dtype.is_floating_point:
        raise TypeError(f"expected floating-point logits as input, got {input.dtype}.")
    if target.dtype not in _BITS and target.dtype not in _EXACT:
        raise TypeError(
            "expected a label-set map of dtype uint8, int16, int32 or int64, or of exact integers in float32 or "
            f"float64, as target, got {target.dtype}."
        )
    if input.ndim < 3:
        raise ValueError(f"expected logits (B, C, *spatial) as input, got {tuple(input.shape)}.")
    expected = (input.shape[0], 2, *input.shape[2:])
    if tuple(target.shape) != expected:
        raise ValueError(
            f"expected a label-set map {expected} for logits {tuple(input.shape)}, "
            f"got a target of {tuple(target.shape)}."
        )
    bits, integer = _EXACT[target.dtype] if target.dtype in _EXACT else (_BITS[target.dtype], target.dtype)
    if input.shape[1] > bits:
        raise ValueError(f"target of dtype {target.dtype} holds {bits} classes, but the logits have {input.shape[1]}.")
    target = _plain(target)
    asserts = target.device.type in ("cpu", "cuda")  # where torch has the assertion
    if asserts and target.dtype.is_floating_point:
        exact = (target == target.trunc()).all()
        torch._assert_async(exact, "the target is not a label-set map: it holds numbers that are not integers.")
    target = target.to(integer)
    if asserts and input.shape[1] < torch.iinfo(integer).bits and target.numel():
        lowest, highest = target.aminmax()
        fits = (lowest >= 0) & (highest >> input.shape[1] == 0)
        torch._assert_async(fits, f"the label-set map has classes beyond the {input.shape[1]} of the logits.")
    if asserts:
        admitting = ((target[:, 0] != 0) | (target[:, 1] == 0)).all()
        torch._assert_async(admitting, "the label-set map has pixels that admit no class, but annotate some.")
    return _plain(input), target


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if type(tensor) is torch.Tensor else tensor.as_subclass(torch.Tensor)
