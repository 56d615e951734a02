"""The soft Dice coefficient of each structure in each image."""

import torch

__all__ = ["dice", "dice_of_sums"]


def dice(probability: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Compute the soft Dice coefficient 2 sum(p y) / (sum(p) + sum(y)), without smoothing.

    An empty truth gives zero whatever the prediction, as the definition says, with a gradient of exactly zero: there is
    no division by a vanishing probability. Otherwise the denominator is at least 1, so no epsilon is needed.

    Args:
        probability: (B, C, *spatial), zero where a pixel is left out.
        truth: 0 or 1, (B, C, *spatial), zero where a pixel is left out.

    Returns:
        Coefficients (B, C).

    Example:
        >>> dice(torch.tensor([[[0.5, 0.5]]]), torch.tensor([[[1.0, 0.0]]]))  # 2 * 0.5 / (1 + 1)
        tensor([[0.5000]])
    """
    overlap, predicted, true = (
        each.flatten(start_dim=2).sum(dim=2) for each in (probability * truth, probability, truth)
    )
    return dice_of_sums(overlap, predicted, true)


def dice_of_sums(overlap: torch.Tensor, predicted: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Compute the soft Dice coefficient from the sums of p y, p and y, each (B, C).

    Example:
        >>> dice_of_sums(torch.tensor([[0.5]]), torch.tensor([[1.0]]), torch.tensor([[1.0]]))
        tensor([[0.5000]])
    """
    return 2 * overlap / torch.where(true > 0, predicted + true, 1)
