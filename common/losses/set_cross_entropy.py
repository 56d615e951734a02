"""Cross entropy between two sets of classes, per pixel: the primitive of the softmax family."""

import math
from typing import Any

import torch

from .membership import membership
from .precision import full_precision

__all__ = ["set_cross_entropy"]


def set_cross_entropy(
    input: torch.Tensor, admitted: torch.Tensor, competing: torch.Tensor | None = None
) -> torch.Tensor:
    """Compute, per pixel, the negative log probability of the admitted classes among the competing classes.

    The loss is logsumexp over the competing logits minus logsumexp over the admitted logits; its gradient is the
    softmax over the competing minus the softmax over the admitted classes. It is exact at any distance between logits,
    and exactly zero, gradient included, where both sets are equal. Half-precision logits are reduced in float32.

    Loss and gradient share one exponential per logit, so the gradient is computed with the loss and kept for the
    backward pass: one tensor of the size and dtype of the logits, as in `torch.nn.functional.cross_entropy`. A second
    derivative is not implemented; asking for one raises an error.

    Args:
        input: logits (B, C, *spatial).
        admitted: bit `c` is set where class `c` may be the truth, integer (B, *spatial); a subset of `competing`. An
            empty set marks an ignored pixel: it costs nothing, as if all competing classes were admitted.
        competing: bit `c` is set where class `c` competes, integer (B, *spatial); None for all classes.

    Returns:
        Loss per pixel (B, *spatial), float32, or float64 for float64 logits.

    Example:
        >>> logits = torch.zeros(1, 4, 1)  # four equally probable classes, {0, 1} = 1 + 2 are admitted: log(4 / 2)
        >>> set_cross_entropy(logits, torch.tensor([[3]]))
        tensor([[0.6931]])
    """
    every = (1 << input.shape[1]) - 1 if competing is None else competing
    admitted = torch.where(admitted == 0, every, admitted)
    loss: torch.Tensor = _SetCrossEntropy.apply(input, admitted, competing)  # type: ignore[no-untyped-call]
    return loss


class _SetCrossEntropy(torch.autograd.Function):
    """In-place arithmetic, because `torch.where` and `masked_fill` take thirty times as long on a CPU."""

    @staticmethod
    def forward(ctx: Any, input: torch.Tensor, admitted: torch.Tensor, competing: torch.Tensor | None) -> torch.Tensor:
        logits = full_precision(input)
        inside = membership(admitted, logits)
        if competing is not None:
            logits = _lower(logits, membership(competing, logits).sub_(1))
        buffer = _lower(logits, inside - 1)
        highest_admitted = buffer.amax(dim=1)

        # All logits are taken relative to the highest admitted one. Where another exceeds it by more than `reach`,
        # those not admitted are lowered by a further `gap`. Their sum is still at least exp(reach), so the admitted
        # terms do not change it: exp(-reach) is the square of the precision. For the same reason clamping at -reach
        # changes no sum of 1 or more; it avoids the slow path of `exp` on a CPU.
        reach = -2 * math.log(torch.finfo(logits.dtype).eps)
        shift = torch.maximum(highest_admitted, logits.amax(dim=1) - reach)
        gap = shift - highest_admitted
        relative = torch.sub(logits, shift.unsqueeze(1), out=buffer).addcmul_(inside, gap.unsqueeze(1))
        exponential = relative.clamp_(min=-reach).exp_()
        if competing is not None:
            torch.threshold_(exponential, 2 * math.exp(-reach), 0)  # exactly zero for others
        of_admitted = inside.mul_(exponential)
        of_others = exponential.sub_(of_admitted)
        sum_admitted = of_admitted.sum(dim=1)
        sum_competing = of_others.sum(dim=1).add_(sum_admitted)

        if ctx.needs_input_grad[0]:
            scale = sum_competing.reciprocal()
            difference = scale - sum_admitted.reciprocal()
            gradient = of_others.mul_(scale.unsqueeze(1)).addcmul_(of_admitted, difference.unsqueeze(1))
            ctx.save_for_backward(gradient.to(input.dtype))
        return sum_competing.div_(sum_admitted).log_().add_(gap)

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        if torch.is_grad_enabled():
            raise RuntimeError("set_cross_entropy has no second derivative; differentiate it without create_graph.")
        (gradient,) = ctx.saved_tensors
        return (gradient * grad_output.unsqueeze(1)).to(gradient.dtype), None, None


def _lower(logits: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """Lower logits below all others where `below` is -1 instead of 0, before any exponential; overwrite `below`."""
    return below.mul_(torch.finfo(logits.dtype).max).add_(logits)
