"""Convert bit masks of classes to the ones and zeros that losses multiply by."""

import torch

from ..label_set_map import members

__all__ = ["membership"]


def membership(bits: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Unpack the bit masks of sets of classes.

    Args:
        bits: bit `c` is set for the members of the set, integer (B, *spatial).
        logits: tensor (B, C, *spatial), which gives the number of classes and the dtype.

    Returns:
        1 for the members and 0 for the other classes, (B, C, *spatial).

    Example:
        >>> membership(torch.tensor([[5]]), torch.zeros(1, 3, 1)).flatten()  # {0, 2}
        tensor([1., 0., 1.])
    """
    # from integers: compiled for a CPU, bytes that become booleans and then numbers take four times as long
    return members(bits, logits.shape[1]).to(logits.dtype)
