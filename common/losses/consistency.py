"""How far the probabilities of two networks are apart, per pixel: the consistency cost of Mean Teacher."""

import torch

from .contract import check_agreement, full_precision

__all__ = ["consistency"]


def consistency(
    input: torch.Tensor, teacher: torch.Tensor, target: torch.Tensor, activation: str = "softmax"
) -> torch.Tensor:
    """Compute the sum over classes of the squared differences of the probabilities of two networks.

    The annotation does not matter, only whether a pixel is ignored: annotated and unannotated pixels count alike.
    With one sigmoid per class the sum is over the foreground classes; the background has no logit of its own.

    Args:
        input: logits of the network that is trained, (B, C, *spatial).
        teacher: logits of the other network, the same shape.
        target: label-set map (B, 2, *spatial).
        activation: how both are read, "softmax" or "sigmoid".

    Returns:
        Squared distance, (B, *spatial); zero where a pixel is ignored.

    References:
        Tarvainen and Valpola (2017), Mean teachers are better role models.
        Filbrandt et al. (2021), Learning from partially overlapping labels: image segmentation under annotation shift,
        eq. (5).

    Example:
        >>> target = torch.tensor([[[3, 0], [0, 0]]])  # not annotated; ignored
        >>> certain = torch.tensor([[[0.0, 0.0], [-100.0, -100.0]]])
        >>> consistency(torch.zeros(1, 2, 2), certain, target)  # (1/2, 1/2) and (1, 0)
        tensor([[0.5000, 0.0000]])
    """
    input, target = check_agreement(input, target)
    logits, others = full_precision(input), full_precision(teacher)
    if activation == "sigmoid":
        difference = logits[:, 1:].sigmoid() - others[:, 1:].sigmoid()
    else:
        difference = logits.softmax(dim=1) - others.softmax(dim=1)
    distance: torch.Tensor = difference.square().sum(dim=1)
    return distance * (target[:, 0] != 0)
