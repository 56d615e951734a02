"""Pseudo-labels as label-set maps: a network decides what the annotation leaves open, and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

from ...label_set_map import members
from ...losses.contract import check_agreement

__all__ = ["open_pixels", "pseudo_label_map"]


def pseudo_label_map(target: Tensor, scores: Tensor) -> Tensor:
    """Decide each ambiguous pixel by the most likely of its admitted classes; ties go to the lower class.

    Pixels that the annotation decides, and ignored pixels, stay as they are. In an image without annotation every
    class is admitted, and this is the ordinary pseudo-label. Where an admitted class has the score NaN, the pixel stays
    ambiguous.

    A pseudo-label decides between the admitted classes, so these become *annotated*: the chosen one is the truth, the
    others are not. The bits of the classes that the annotation had excluded stay: a class that it decides keeps its
    bit, and one that its dataset never outlines stays unannotated there, as it is at decided pixels of that image.
    Losses count pseudo-labels like annotations; metrics must be given the annotation itself.

    Args:
        target: label-set map (B, 2, *spatial).
        scores: logits or probabilities, floating (B, C, *spatial). The background logit of sigmoids must be
            0, as for every argmax.

    Returns:
        New label-set map, of the same shape; of the same dtype if that is an integer.

    Raises:
        TypeError: the scores are not floating-point, or the map has a dtype that holds no label sets.
        ValueError: the shapes do not match.

    Example:
        >>> scores = torch.tensor([[[1.0] * 4, [9.0] * 4, [2.0] * 4]])  # class 1 is most likely everywhere
        >>> target = torch.tensor([[[0b111, 0b101, 0b001, 0], [0b000, 0b010, 0b011, 0]]])
        >>> [f"{bits:03b}" for bits in pseudo_label_map(target, scores)[0, 0].tolist()]
        ['010', '100', '001', '000']
        >>> [f"{bits:03b}" for bits in pseudo_label_map(target, scores)[0, 1].tolist()]
        ['111', '111', '011', '000']
    """
    scores, target = check_agreement(scores.detach(), target)
    admitted, annotated = target.unbind(dim=1)
    # `argmax` over classes takes several times as long on a CPU
    among = scores.masked_fill(members(admitted, scores.shape[1]) == 0, -torch.inf)
    highest = among == among.amax(dim=1, keepdim=True)
    codes = (1 << torch.arange(scores.shape[1], device=scores.device)).to(target.dtype)
    best = (highest * codes.view(-1, *[1] * (scores.ndim - 2))).sum(dim=1, dtype=target.dtype) & admitted
    lowest = best & -best  # the lowest bit
    chosen = ((admitted & (admitted - 1)) != 0) & (lowest != 0)
    return torch.stack(
        [torch.where(chosen, lowest, admitted), torch.where(chosen, annotated | admitted, annotated)], dim=1
    )


def open_pixels(pseudo_labels: Tensor, target: Tensor) -> Tensor:
    """Ignore each pixel of pseudo-labels that the annotation itself decides or ignores.

    Args:
        pseudo_labels: label-set map (B, 2, *spatial).
        target: label-set map of the annotation, the same shape and dtype.

    Returns:
        New label-set map, of the same shape and dtype.

    Example:
        >>> pseudo_labels = torch.tensor([[[0b010, 0b100], [0b111, 0b111]]])
        >>> open_pixels(pseudo_labels, torch.tensor([[[0b011, 0b100], [0b100, 0b111]]])).tolist()
        [[[2, 0], [7, 0]]]
    """
    admitted = target[:, :1]
    return pseudo_labels * ((admitted & (admitted - 1)) != 0)
