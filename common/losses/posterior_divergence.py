"""How far logits are from what other logits say within the label set, per pixel: the primitive of distillation."""

import torch
from torch.nn import functional

from ..label_set_map import annotated
from .contract import check_agreement, full_precision
from .membership import membership

__all__ = ["posterior_divergence"]


def posterior_divergence(
    input: torch.Tensor, initial: torch.Tensor, target: torch.Tensor, activation: str = "softmax"
) -> torch.Tensor:
    """Compute the divergence from the prediction of another network, given the label set.

    Under a softmax both distributions are restricted to the admitted classes of a pixel and renormalised; the result is
    the Kullback-Leibler divergence between them. It is zero where one class is admitted, and the usual distillation
    where every class is. `MarginalLoss` plus this is the cross entropy with what the other network says given the
    annotation, up to a constant. With one sigmoid per class it is the sum of the divergences of the foreground classes
    that the annotation leaves open; the other network says 0 where a class is not admitted.

    Args:
        input: logits of the network that is trained, (B, C, *spatial).
        initial: logits of the other network, the same shape.
        target: label-set map (B, 2, *spatial).
        activation: how both are read, "softmax" or "sigmoid".

    Returns:
        Divergence, (B, *spatial); zero where a pixel is ignored.

    References:
        Li and Hoiem (2017), Learning without forgetting.
        Cermelli et al. (2020), Modeling the background for incremental learning in semantic segmentation.

    Example:
        >>> target = torch.tensor([[[5, 2], [2, 2]]])  # background or class 2; class 1
        >>> initial = torch.tensor([[[0.0, 0.0], [9.0, 9.0], [0.0, 0.0]]])
        >>> changed = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [-100.0, -100.0]]])
        >>> posterior_divergence(changed, initial, target)  # log(1/2 / 1) / 2 + log(1/2 / exp(-100)) / 2 = 50 - log 2
        tensor([[49.3069,  0.0000]])
    """
    input, target = check_agreement(input, target)
    logits, others = full_precision(input), full_precision(initial)
    admitted = membership(target[:, 0], logits)
    if activation == "sigmoid":
        open_ = ~annotated(target, logits.shape[1]) & (target[:, :1] > 0)
        truth = others.sigmoid() * admitted
        cross = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        entropy = torch.special.entr(truth) + torch.special.entr(1 - truth)
        divergence: torch.Tensor = (cross - entropy) * open_
        return divergence[:, 1:].sum(dim=1)
    outside = admitted == 0  # everywhere in an ignored pixel, where both become uniform
    lowest = torch.finfo(logits.dtype).min
    inside, posterior = (both.masked_fill(outside, lowest).log_softmax(dim=1) for both in (logits, others))
    return functional.kl_div(inside, posterior, reduction="none", log_target=True).sum(dim=1)
