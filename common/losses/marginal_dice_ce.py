"""Marginal cross entropy plus marginal Dice in one computation."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .contract import check_agreement, full_precision, reduce, reduce_pixels
from .dice import dice_of_sums
from .membership import membership
from .set_cross_entropy import relative_exponential

__all__ = ["MarginalDiceCELoss"]


class MarginalDiceCELoss(nn.Module):
    """The sum of `MarginalLoss` and `MarginalDiceLoss`, from one softmax.

    It equals `SumLoss([MarginalLoss(), MarginalDiceLoss()], [1.0, 1.0])` in value and gradient, at about half the time
    (`python -m benchmarks.losses`). The softmax is kept for the backward pass: one tensor of the size of the logits. A
    second derivative is not implemented; asking for one raises an error.

    Args:
        reduction: "mean" over all pixels plus the mean over the counted pairs of image and class; "annotated_mean", the
            first over the pixels whose annotation says something (sparse annotations); or "sum" of both.

    References:
        Shi et al. (2021), Marginal loss and exclusion loss for partially supervised multi-organ segmentation.

    Example:
        >>> target = torch.tensor([[[2, 2], [2, 2]]])  # class 1, then class 1
        >>> logits = torch.zeros(1, 2, 2)  # probability 1/2: log 2, and 1 - 2 * (1/2 + 1/2) / (1/2 + 1/2 + 2)
        >>> MarginalDiceCELoss()(logits, target)
        tensor(1.0265)
    """

    activation = "softmax"

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss of logits (B, C, *spatial) for a label-set map (B, 2, *spatial)."""
        if self.reduction == "none":
            raise ValueError(
                "expected reduction 'mean', 'annotated_mean' or 'sum', got 'none': pixels and classes have no common "
                "shape."
            )
        input, target = check_agreement(input, target)
        pixels, *sums, counted = _MarginalDiceCE.apply(input, *target.unbind(dim=1))  # type: ignore[no-untyped-call]
        counted = functional.pad(counted[:, 1:], (1, 0))
        structures = (1 - dice_of_sums(*sums)) * counted
        of_pixels = reduce_pixels(pixels, self.reduction, target[:, 0], input.shape[1])
        return of_pixels + reduce(structures, self.reduction.removeprefix("annotated_"), counted)


def _admitted(admitted: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return 1 for admitted classes; an ignored pixel admits all, which costs nothing."""
    return membership(torch.where(admitted == 0, (1 << like.shape[1]) - 1, admitted), like)


class _MarginalDiceCE(torch.autograd.Function):
    """In-place arithmetic: allocating a tensor takes longer than filling it."""

    @staticmethod
    def forward(
        ctx: Any, input: torch.Tensor, admitted: torch.Tensor, annotated: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        logits = full_precision(input)
        inside = _admitted(admitted, logits)
        probability, gap = relative_exponential(logits, inside)
        work = inside * probability
        sum_admitted = work.sum(dim=1)
        sum_all = torch.sub(probability, work, out=work).sum(dim=1) + sum_admitted
        probability.div_(sum_all.unsqueeze(1))
        ratio = sum_all / sum_admitted
        ctx.save_for_backward(admitted, annotated, probability, ratio)
        ctx.dtype = input.dtype

        decided = membership(annotated, logits)
        counted = decided.flatten(start_dim=2).amax(dim=2).bool()
        truth = inside.mul_(decided)
        true = truth.flatten(start_dim=2).sum(dim=2)
        predicted = decided.mul_(probability).flatten(start_dim=2).sum(dim=2)
        overlap = decided.mul_(truth).flatten(start_dim=2).sum(dim=2)
        ctx.mark_non_differentiable(true, counted)
        return ratio.log() + gap, overlap, predicted, true, counted

    @staticmethod
    def backward(
        ctx: Any, grad_pixels: torch.Tensor, grad_overlap: torch.Tensor, grad_predicted: torch.Tensor, *_: torch.Tensor
    ) -> tuple[torch.Tensor, None, None]:
        if torch.is_grad_enabled():
            raise RuntimeError("MarginalDiceCELoss has no second derivative; differentiate it without create_graph.")
        admitted, annotated, probability, ratio = ctx.saved_tensors
        inside = _admitted(admitted, probability)
        every_pixel = (*grad_overlap.shape, *[1] * (probability.ndim - 2))
        grad_pixels = grad_pixels.unsqueeze(1)
        # of the Dice for each probability, then through the softmax; p - p ratio is the gradient of the cross entropy
        gradient = inside.mul(grad_overlap.view(every_pixel)).add_(grad_predicted.view(every_pixel))
        gradient.mul_(membership(annotated, probability))
        mean = (probability * gradient).sum(dim=1, keepdim=True) - grad_pixels
        gradient.sub_(mean).sub_(inside.mul_(grad_pixels * ratio.unsqueeze(1))).mul_(probability)
        return gradient.to(ctx.dtype), None, None
